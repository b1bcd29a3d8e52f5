/**
 * PUBLISH. The common one — QoS 1 to `devices/{id}/telemetry` without properties — is read from
 * the socket's buffer by hand; everything else goes through the codec, which names what is wrong.
 */
import { ERRORS, WeirError, type ErrorCode } from '../errors/errors.ts'
import { checkTopicAlias, encodePuback, PacketReader, PublishView } from '../mqtt/mqtt.ts'
import type { DeviceState } from './device-state.ts'
import { AckBuffer } from './mqtt-acks.ts'
import type { Session } from './mqtt-connect.ts'
import type { MqttConnection } from './mqtt-connection.ts'

export interface PublishPacket {
  bytes: Uint8Array
  flags: number
  /** Of the variable header. */
  start: number
  end: number
}

const PREFIX = new TextEncoder().encode('devices/')
const SUFFIX = new TextEncoder().encode('/telemetry')
const FLAG_RETAIN = 1

const view = new PublishView()
const reader = new PacketReader()

export function handlePublish(
  connection: MqttConnection,
  session: Session,
  packet: PublishPacket,
): void {
  const { bytes, flags, start, end } = packet
  // QoS 1, no DUP, no RETAIN; topic and packet id inside the packet.
  const topicEnd = start + 2 + ((bytes[start]! << 8) | bytes[start + 1]!)
  const hasProperties = session.version === 5
  const payloadStart = topicEnd + (hasProperties ? 3 : 2)
  if (flags === 2 && payloadStart <= end && !(hasProperties && bytes[topicEnd + 2] !== 0)) {
    const device = deviceOfTopic(connection, bytes, start + 2, topicEnd)
    const packetId = (bytes[topicEnd]! << 8) | bytes[topicEnd + 1]!
    if (device !== undefined && packetId !== 0 && session.mayWrite(device)) {
      take(connection, session, { bytes, device, packetId, start: payloadStart, end })
      return
    }
  }
  handleSlowly(connection, session, packet)
}

/** The device of `devices/{id}/telemetry`, or undefined for any other topic or an unknown id. */
function deviceOfTopic(
  connection: MqttConnection,
  bytes: Uint8Array,
  start: number,
  end: number,
): DeviceState | undefined {
  const idStart = start + PREFIX.length
  const idEnd = end - SUFFIX.length
  if (idEnd <= idStart) return undefined
  for (let i = 0; i < PREFIX.length; i++) if (bytes[start + i] !== PREFIX[i]) return undefined
  for (let i = 0; i < SUFFIX.length; i++) if (bytes[idEnd + i] !== SUFFIX[i]) return undefined
  return connection.context.devices.findByBytes(bytes, idStart, idEnd)
}

interface Telemetry {
  bytes: Uint8Array
  device: DeviceState
  /** 0 with QoS 0. */
  packetId: number
  start: number
  end: number
}

/** Decodes into the batch; the PUBACK leaves when the batch is durable. [MQTT-4.3.2-4] */
function take(connection: MqttConnection, session: Session, telemetry: Telemetry): void {
  const { context } = connection
  const { packetId } = telemetry
  const { decoder } = context
  connection.device = telemetry.device
  decoder.decode(telemetry.bytes, telemetry.start, telemetry.end, connection)
  context.commit.touch()
  if (packetId === 0) return
  const { outcome } = decoder
  const rejection = outcome.accepted === 0 ? outcome.rejected[0] : undefined
  acknowledge(connection, session, { packetId, rejection })
}

function acknowledge(
  connection: MqttConnection,
  session: Session,
  of: { packetId: number; rejection: { code: string; detail: string } | undefined },
): void {
  const { context } = connection
  const acks = (connection.acks ??= new AckBuffer(connection.socket))
  if (acks.count === 0) context.ackBook.join(acks)
  const { packetId, rejection } = of
  // 3.1.1 has no refusal: it is acknowledged once the dead letter in this batch is durable.
  if (rejection === undefined || session.version === 4) acks.push(packetId)
  else {
    acks.pushBytes(
      encodePuback(
        {
          packetId,
          reasonCode: ERRORS[rejection.code as ErrorCode].mqtt,
          reasonString: session.saysWhy ? `${rejection.code}: ${rejection.detail}` : undefined,
          bytesMax: session.bytesMax,
        },
        session.version,
      ),
    )
  }
  if (session.version === 5 && acks.inFlight > context.limits.receiveMaximum) {
    throw new WeirError('MQTT_RECEIVE_MAXIMUM_EXCEEDED', `${acks.inFlight} in flight`)
  }
}

function handleSlowly(connection: MqttConnection, session: Session, packet: PublishPacket): void {
  const { bytes, flags, start, end } = packet
  view.read(reader.reset(bytes, start, end), flags, session.version)
  checkTopicAlias(view, 0) // We offer no aliases.
  if (view.qos === 2) throw new WeirError('MQTT_QOS_UNSUPPORTED', 'QoS 2')
  // [MQTT-3.2.2-14] 3.1.1 could not be told, so there the flag is only not honoured.
  if ((flags & FLAG_RETAIN) !== 0 && session.version === 5) {
    throw new WeirError('MQTT_RETAIN_UNSUPPORTED', 'a retained message')
  }
  const { packetId, payloadStart } = view
  const device = deviceOfTopic(connection, bytes, view.topicStart, view.topicEnd)
  if (device !== undefined && session.mayWrite(device)) {
    take(connection, session, { bytes, device, packetId, start: payloadStart, end })
    return
  }
  refuseTopic(connection, session, { packetId, packet })
}

/**
 * A topic that is not the sender's. MQTT 5 hears it in the PUBACK; 3.1.1 has no word for it, and
 * acknowledging would lose the message silently, so it is disconnected. A gateway's message for a
 * device that does not exist (yet) is kept as a dead letter; whether it does is asked for first,
 * where the registry is a server.
 */
function refuseTopic(
  connection: MqttConnection,
  session: Session,
  of: { packetId: number; packet: PublishPacket },
): void {
  const { bytes } = of.packet
  const topic = Buffer.from(bytes.subarray(view.topicStart, view.topicEnd)).toString()
  const id = /^devices\/([^/]+)\/telemetry$/.exec(topic)?.[1]
  const isUnknownChild =
    session.device.isGateway &&
    id !== undefined &&
    connection.context.devices.find(id) === undefined
  if (isUnknownChild) {
    const asking = connection.context.reader.prepare?.(connection.tenant, [id])
    if (asking !== undefined) return connection.wait(asking)
  }
  const code = isUnknownChild ? 'GATEWAY_DEVICE_UNKNOWN' : 'MQTT_TOPIC_FORBIDDEN'
  const error = new WeirError(code, `topic "${topic.slice(0, 160)}"`)
  if (!isUnknownChild && (session.version === 4 || of.packetId === 0)) throw error
  const { context } = connection
  const { payloadStart, payloadEnd } = view
  connection.device = session.device
  context.decoder.begin()
  context.decoder.reject(error, {
    bytes: bytes.subarray(payloadStart, payloadEnd),
    sender: connection,
    index: 0,
  })
  context.commit.touch()
  if (of.packetId === 0) return
  acknowledge(connection, session, {
    packetId: of.packetId,
    rejection: { code, detail: error.message },
  })
}

/** A will of the device, which `acceptConnect` found to be telemetry. */
export function publishWill(connection: MqttConnection, session: Session): void {
  const { will, device } = session
  if (will === undefined) return
  const { payload } = will
  connection.nowUs = connection.context.clock.nowUs()
  take(connection, session, {
    bytes: payload,
    device,
    packetId: 0,
    start: 0,
    end: payload.length,
  })
}
