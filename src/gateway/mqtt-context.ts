/** What all MQTT connections share. */
import type { DeviceReader } from '../control/control.ts'
import type { WeirError } from '../errors/errors.ts'
import type { Clock, Random } from '../world/world.ts'
import type { DeviceState, DeviceTable } from './device-state.ts'
import type { GroupCommit } from './group-commit.ts'
import type { AckBook } from './mqtt-acks.ts'
import type { Session } from './mqtt-connect.ts'
import type { MqttConnection } from './mqtt-connection.ts'
import type { TelemetryDecoder } from './telemetry-decoder.ts'

export interface MqttLimits {
  packetBytesMax: number
  connectPacketBytesMax: number
  connectTimeoutMs: number
  /** New connections a second from one address. */
  connectRateMax: number
  receiveMaximum: number
  /** A connection that is not read from for this long is ended with 0x97. */
  heldMsMax: number
  keepAliveMaxSeconds: number
  /** For a 3.1.1 client, which cannot be told of another keep-alive. */
  idleMsMax: number
  connectionsMax: number
  connectionsPerDeviceMax: number
}

export interface MqttContext {
  readonly clock: Clock
  readonly random: Random
  readonly limits: MqttLimits
  readonly reader: DeviceReader
  readonly devices: DeviceTable
  readonly decoder: TelemetryDecoder
  readonly commit: GroupCommit
  readonly ackBook: AckBook
  isBlocked(): boolean
  /** The connection waits until reading goes on. */
  hold(connection: MqttConnection): void
  hasSession(device: DeviceState, clientId: string): boolean
  /** Its session begins; one with the same device and client id ends. */
  joined(connection: MqttConnection, session: Session): void
  left(connection: MqttConnection): void
  failed(error: WeirError): void
  /** Counts it, and returns the code for the SUBACK. */
  refusedFilter(reason: string, reasonCode: number): number
}
