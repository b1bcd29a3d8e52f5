/** CONNECT: who is it, and what do we grant. The CONNACK states the truth about what we offer. */
import { WeirError } from '../errors/errors.ts'
import { encodeConnack, parseConnect } from '../mqtt/mqtt.ts'
import type { Connect, PacketReader, ProtocolVersion, Will } from '../mqtt/mqtt.ts'
import type { DeviceState } from './device-state.ts'
import type { MqttConnection } from './mqtt-connection.ts'

const FILTERS_MAX = 50
/** Client ids appear in messages and metrics of others; this is more than anybody needs. */
const CLIENT_ID_BYTES_MAX = 256
// oxlint-disable-next-line no-control-regex -- control characters are what it refuses
const CLIENT_ID_FORBIDDEN = /[\u0000-\u001f\u007f-\u009f/+#]/
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
  /** A client silent for longer is gone. */
  readonly silenceMsMax: number
  readonly filters = new Set<string>()
  readonly filtersMax = FILTERS_MAX
  /** Published when the connection ends without a DISCONNECT. */
  will: Will | undefined

  constructor(
    connect: Connect,
    of: { clientId: string; device: DeviceState; silenceMsMax: number },
  ) {
    this.version = connect.version
    this.clientId = of.clientId
    this.device = of.device
    this.bytesMax = connect.maximumPacketSize
    this.saysWhy = connect.requestsProblemInformation
    this.silenceMsMax = of.silenceMsMax
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

/**
 * Throws what `MqttConnection.fail` turns into a CONNACK. Where the registry must be asked first,
 * the connection waits, and the packet comes here once more.
 */
export function acceptConnect(connection: MqttConnection, body: PacketReader): void {
  const { context } = connection
  const connect = parseConnect(body)
  checkClientId(connect)
  // [MQTT-4.12.0-1]
  if (connect.authenticationMethod !== undefined) {
    const detail = 'enhanced authentication is not offered'
    throw refusal(connect, 'MQTT_AUTHENTICATION_METHOD_INVALID', detail)
  }
  const device = authenticate(connection, connect)
  if (device === undefined) return
  if (connect.will !== undefined) checkWill(connect, connect.will, device)
  checkRoom(connection, connect, device)
  const assigned = connect.clientId === '' ? randomName(context.random.bytes(12)) : undefined
  const { keepAliveMaxSeconds, receiveMaximum, packetBytesMax } = context.limits
  const asked = connect.keepAliveSeconds
  const granted = asked === 0 ? keepAliveMaxSeconds : Math.min(asked, keepAliveMaxSeconds)
  const session = new Session(connect, {
    clientId: assigned ?? connect.clientId,
    device,
    silenceMsMax: silenceMsMax(connect, granted, context.limits.idleMsMax),
  })
  connection.session = session
  connection.device = device
  context.joined(connection, session)
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
  connection.reply(connack)
}

/**
 * One and a half keep-alives: [MQTT-3.1.2-24] (5: [MQTT-3.1.2-22]). 3.1.1 cannot be told of another
 * than its own, so there the idle time-out ends what a very long one, or none, would keep forever.
 */
function silenceMsMax(connect: Connect, grantedSeconds: number, idleMsMax: number): number {
  if (connect.version === 5) return grantedSeconds * 1500
  const askedMs = connect.keepAliveSeconds * 1500
  return askedMs === 0 ? idleMsMax : Math.min(askedMs, idleMsMax)
}

/**
 * [MQTT-3.1.3-5] asks for 23 letters and digits, and allows more. What stands for something in
 * topics, or forges lines, is refused although no topic and no permission is made of a client id.
 */
function checkClientId(connect: Connect): void {
  const { clientId } = connect
  if (CLIENT_ID_FORBIDDEN.test(clientId)) {
    throw refusal(
      connect,
      'MQTT_CLIENT_ID_INVALID',
      'the client id has / + # or a control character',
    )
  }
  if (Buffer.byteLength(clientId) > CLIENT_ID_BYTES_MAX) {
    const detail = `the client id has more than ${CLIENT_ID_BYTES_MAX} bytes`
    throw refusal(connect, 'MQTT_CLIENT_ID_INVALID', detail)
  }
}

/**
 * A token that leaked, or a client that forgets its connections, must not take all of them. Who
 * takes over a connection of its own needs no room.
 */
function checkRoom(connection: MqttConnection, connect: Connect, device: DeviceState): void {
  const { context } = connection
  if (device.connections < context.limits.connectionsPerDeviceMax) return
  if (context.hasSession(device, connect.clientId)) return
  const detail = `${device.connections} connections with the token of this device`
  throw refusal(connect, 'MQTT_CONNECTIONS_EXCEEDED', detail)
}

/** Undefined when the connection waits for the registry. */
function authenticate(connection: MqttConnection, connect: Connect): DeviceState | undefined {
  const { context } = connection
  const { userName, password } = connect
  // One answer for an unknown device and a wrong token: nobody learns which ids exist.
  const wrong = refusal(connect, 'MQTT_CREDENTIALS_INVALID')
  if (userName === undefined || password === undefined) throw wrong
  const token = Buffer.from(password.buffer, password.byteOffset, password.length).toString()
  const asking = context.reader.prepare?.(connection.tenant, [userName], { token })
  if (asking !== undefined) {
    connection.wait(answerOf(asking, connect))
    return undefined
  }
  const known = context.reader.authenticate(connection.tenant, userName, token)
  if (known === undefined) throw wrong
  const device = context.devices.find(userName)
  if (device === undefined) throw wrong
  context.devices.tell(device, known)
  return device
}

/** Without the driver's words: a stranger learns no address of ours. */
async function answerOf(asking: Promise<void>, connect: Connect): Promise<void> {
  try {
    await asking
  } catch (cause) {
    if (cause instanceof WeirError) throw refusal(connect, cause.code)
    throw cause
  }
}

/** A will may be a last telemetry message of the device itself, nothing else. */
function checkWill(connect: Connect, will: Will, device: DeviceState): void {
  // [MQTT-3.2.2-12] [MQTT-3.2.2-13]; 3.1.1 could not be told, so there RETAIN is not honoured.
  if (will.qos > 1) throw refusal(connect, 'MQTT_QOS_UNSUPPORTED', 'the will has QoS 2')
  if (will.isRetained && connect.version === 5) {
    throw refusal(connect, 'MQTT_RETAIN_UNSUPPORTED', 'the will is to be retained')
  }
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
