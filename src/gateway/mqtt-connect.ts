/** CONNECT: who is it, and what do we grant. The CONNACK states the truth about what we offer. */
import { WeirError } from '../errors/errors.ts'
import { encodeConnack, parseConnect } from '../mqtt/mqtt.ts'
import type { Connect, PacketReader, ProtocolVersion, Will } from '../mqtt/mqtt.ts'
import type { DeviceState } from './device-state.ts'
import type { MqttConnection } from './mqtt-connection.ts'

const FILTERS_MAX = 50
/** DISCONNECT with this code asks for the will all the same. [MQTT-3.14.4-3] */
const DISCONNECT_WITH_WILL = 0x04

/** What an accepted CONNECT leaves. */
export class Session {
  readonly version: ProtocolVersion
  readonly clientId: string
  readonly device: DeviceState
  /** The client's Maximum Packet Size, bytes. */
  readonly bytesMax: number
  readonly saysWhy: boolean
  /** 0: none. */
  readonly keepAliveMs: number
  readonly filters = new Set<string>()
  readonly filtersMax = FILTERS_MAX
  /** Published when the connection ends without a DISCONNECT. */
  will: Will | undefined

  constructor(
    connect: Connect,
    of: { clientId: string; device: DeviceState; keepAliveMs: number },
  ) {
    this.version = connect.version
    this.clientId = of.clientId
    this.device = of.device
    this.bytesMax = connect.maximumPacketSize
    this.saysWhy = connect.requestsProblemInformation
    this.keepAliveMs = of.keepAliveMs
    this.will = connect.will
  }

  /** Its own telemetry, and as a gateway that of its children. */
  mayWrite(device: DeviceState): boolean {
    if (device === this.device) return true
    return this.device.isGateway && device.parent === this.device.id
  }

  leaves(reasonCode: number): void {
    if (reasonCode !== DISCONNECT_WITH_WILL) this.will = undefined
  }
}

/** Throws what `MqttConnection.fail` turns into a CONNACK. */
export function acceptConnect(connection: MqttConnection, body: PacketReader): void {
  const { context } = connection
  const connect = parseConnect(body)
  const device = authenticate(connection, connect)
  if (connect.authenticationMethod !== undefined) {
    throw refusal(connect, 'MQTT_PROTOCOL_ERROR', 'enhanced authentication is not offered')
  }
  if (connect.will !== undefined) checkWill(connect, connect.will, device)
  const assigned = connect.clientId === '' ? randomName(context.random.bytes(12)) : undefined
  const { keepAliveMaxSeconds, receiveMaximum, packetBytesMax } = context.limits
  const asked = connect.keepAliveSeconds
  const granted = asked === 0 ? keepAliveMaxSeconds : Math.min(asked, keepAliveMaxSeconds)
  // 3.1.1 cannot be told of another keep-alive: there the client's own holds, 0 means none.
  const keepAliveSeconds = connect.version === 5 ? granted : asked
  const session = new Session(connect, {
    clientId: assigned ?? connect.clientId,
    device,
    keepAliveMs: keepAliveSeconds * 1500, // [MQTT-3.1.2-22]: one and a half times.
  })
  connection.session = session
  connection.device = device
  context.joined(connection)
  const connack = encodeConnack(
    {
      isSessionPresent: false,
      sessionExpirySeconds: connect.sessionExpirySeconds > 0 ? 0 : undefined,
      receiveMaximum,
      maximumQos: 1,
      isRetainAvailable: false,
      maximumPacketSize: packetBytesMax,
      assignedClientId: assigned,
      areSubscriptionIdentifiersAvailable: false,
      isSharedSubscriptionAvailable: false,
      serverKeepAliveSeconds: granted === asked ? undefined : granted,
    },
    connect.version,
  )
  connection.socket.write(connack)
}

function authenticate(connection: MqttConnection, connect: Connect): DeviceState {
  const { context } = connection
  const { userName, password } = connect
  // One answer for an unknown device and a wrong token: nobody learns which ids exist.
  const wrong = refusal(connect, 'MQTT_CREDENTIALS_INVALID')
  if (userName === undefined || password === undefined) throw wrong
  const token = Buffer.from(password.buffer, password.byteOffset, password.length).toString()
  if (context.reader.authenticate(connection.tenant, userName, token) === undefined) throw wrong
  const device = context.devices.find(userName)
  if (device === undefined) throw wrong
  return device
}

/** A will may be a last telemetry message of the device itself, nothing else. */
function checkWill(connect: Connect, will: Will, device: DeviceState): void {
  if (will.qos > 1) throw refusal(connect, 'MQTT_QOS_UNSUPPORTED', 'the will has QoS 2')
  if (will.topic !== `devices/${device.id}/telemetry`) {
    throw refusal(connect, 'MQTT_TOPIC_FORBIDDEN', 'the will is not for this device’s telemetry')
  }
}

function refusal(
  connect: Connect,
  code: ConstructorParameters<typeof WeirError>[0],
  detail?: string,
): WeirError {
  return new WeirError(code, detail, { details: { version: connect.version } })
}

const randomName = (bytes: Uint8Array): string => `auto-${Buffer.from(bytes).toString('base64url')}`
