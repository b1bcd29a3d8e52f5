/** What a server does with bytes, without the server: header, limits, then the packet's parser. */
import { ERRORS, WeirError } from '../../src/errors/errors.ts'
import type { ErrorCode } from '../../src/errors/errors.ts'
import * as mqtt from '../../src/mqtt/mqtt.ts'

export type Received =
  | { outcome: 'incomplete' }
  | { outcome: 'refused'; code: ErrorCode; reasonCode: number; error: WeirError }
  | { outcome: 'packet'; type: number; flags: number; packet: unknown; length: number }

export interface Connection {
  /** Undefined: no CONNECT was accepted yet. */
  version?: mqtt.ProtocolVersion | undefined
  /** The whole packet's bytes. */
  packetBytesMax?: number | undefined
  authenticationMethod?: string | undefined
  topicAliasMaximum?: number | undefined
  /** Where the packet begins and what may be looked at; default: all. */
  start?: number | undefined
  end?: number | undefined
}

/** Throws only what is not a WeirError: that is a bug of the codec. */
export function receive(bytes: Uint8Array, connection: Connection = {}): Received {
  try {
    return receivePacket(bytes, connection)
  } catch (error) {
    if (!(error instanceof WeirError)) throw error
    return { outcome: 'refused', code: error.code, reasonCode: ERRORS[error.code].mqtt, error }
  }
}

function receivePacket(bytes: Uint8Array, connection: Connection): Received {
  const start = connection.start ?? 0
  const end = connection.end ?? bytes.length
  const header = mqtt.createFixedHeader()
  const state = mqtt.readFixedHeader(bytes, start, end, header)
  if (state === mqtt.HEADER_MALFORMED) throw new WeirError('MQTT_PACKET_MALFORMED')
  if (start < end) mqtt.checkClientHeader(header, connection.version)
  if (state === mqtt.HEADER_INCOMPLETE) return { outcome: 'incomplete' }
  const length = header.headerLength + header.remainingLength
  if (length > (connection.packetBytesMax ?? Infinity)) {
    throw new WeirError('GATEWAY_BODY_TOO_LARGE')
  }
  if (start + length > end) return { outcome: 'incomplete' }
  const body = new mqtt.PacketReader(bytes, start + header.headerLength, start + length)
  const packet = parse(header, body, connection)
  return { outcome: 'packet', type: header.type, flags: header.flags, packet, length }
}

function parse(header: mqtt.FixedHeader, body: mqtt.PacketReader, connection: Connection): unknown {
  const version = connection.version ?? 4
  switch (header.type) {
    case mqtt.PACKET_CONNECT:
      return mqtt.parseConnect(body)
    case mqtt.PACKET_PUBLISH: {
      const view = new mqtt.PublishView()
      view.read(body, header.flags, version)
      mqtt.checkTopicAlias(view, connection.topicAliasMaximum ?? 0xffff)
      return view
    }
    case mqtt.PACKET_PUBACK:
      return mqtt.parsePuback(body, version)
    case mqtt.PACKET_SUBSCRIBE:
      return mqtt.parseSubscribe(body, version)
    case mqtt.PACKET_UNSUBSCRIBE:
      return mqtt.parseUnsubscribe(body, version)
    case mqtt.PACKET_PINGREQ:
      return mqtt.parsePingreq(body)
    case mqtt.PACKET_DISCONNECT:
      return mqtt.parseDisconnect(body, version)
    case mqtt.PACKET_AUTH:
      return mqtt.parseAuth(body, connection.authenticationMethod)
    default:
      throw new Error(`packet type ${header.type} passed the header's check`)
  }
}

/** Bytes from hexadecimal text with blanks, and `'text'` in quotes as ASCII. */
export function bytesOf(transcript: string): Uint8Array {
  const parts = transcript.match(/'[^']*'|[0-9a-f]{2}|\S/gi) ?? []
  return Buffer.concat(
    parts.map((part) =>
      part.startsWith("'") ? Buffer.from(part.slice(1, -1), 'latin1') : Buffer.from(part, 'hex'),
    ),
  )
}

/** A packet with the right remaining length: first byte, then the body's transcript. */
export function packetOf(firstByte: number, body: string | Uint8Array): Uint8Array {
  const content = typeof body === 'string' ? bytesOf(body) : body
  const header = [firstByte]
  let rest = content.length
  do {
    header.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0))
    rest >>>= 7
  } while (rest > 0)
  return Buffer.concat([Buffer.from(header), content])
}

/** A length-prefixed field as transcript bytes. */
export function field(content: string | Uint8Array): Uint8Array {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 0xff]), bytes])
}
