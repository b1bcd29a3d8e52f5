/**
 * The first 2 to 5 bytes of every packet:
 *
 *   byte 1      type (4 bits) | flags (4 bits)
 *   byte 2..5   remaining length, 7 bits a byte, low first, high bit: more follows (≤ 268,435,455)
 *
 * Reading them needs no allocation, so that the caller can hold a packet against its limits before
 * one byte of the body is kept.
 */
import { malformed, protocolError } from './failure.ts'

export type ProtocolVersion = 4 | 5

export const PACKET_CONNECT = 1
export const PACKET_CONNACK = 2
export const PACKET_PUBLISH = 3
export const PACKET_PUBACK = 4
const PACKET_PUBREC = 5
const PACKET_PUBREL = 6
const PACKET_PUBCOMP = 7
export const PACKET_SUBSCRIBE = 8
export const PACKET_SUBACK = 9
export const PACKET_UNSUBSCRIBE = 10
export const PACKET_UNSUBACK = 11
export const PACKET_PINGREQ = 12
const PACKET_PINGRESP = 13
export const PACKET_DISCONNECT = 14
export const PACKET_AUTH = 15

export const HEADER_COMPLETE = 0
/** More bytes are needed; after one byte `type` and `flags` are already set. */
export const HEADER_INCOMPLETE = 1
/** Type 0, reserved flags, QoS 3, or a length of more than four bytes: 0x81. */
export const HEADER_MALFORMED = 2

export interface FixedHeader {
  type: number
  flags: number
  /** Bytes behind the header. Meaningful only after HEADER_COMPLETE. */
  remainingLength: number
  /** 2 to 5 after HEADER_COMPLETE, else 0. */
  headerLength: number
}

export function createFixedHeader(): FixedHeader {
  return { type: 0, flags: 0, remainingLength: 0, headerLength: 0 }
}

/**
 * PUBLISH's flags are DUP, QoS and RETAIN; all others are fixed. [MQTT-2.2.2-1] (5: [MQTT-2.1.3-1])
 */
const FLAGS_ANY = -1
const FLAGS_BY_TYPE = [-2, 0, 0, FLAGS_ANY, 0, 0, 2, 0, 2, 0, 2, 0, 0, 0, 0, 0]

const LENGTH_BYTES_MAX = 4

/** Reads from `bytes[position, end)` into `into`; returns a HEADER_* code. */
export function readFixedHeader(
  bytes: Uint8Array,
  position: number,
  end: number,
  into: FixedHeader,
): number {
  into.headerLength = 0
  into.remainingLength = 0
  if (position >= end) return HEADER_INCOMPLETE
  const first = bytes[position]!
  const type = first >> 4
  const flags = first & 0x0f
  into.type = type
  into.flags = flags
  const expected = FLAGS_BY_TYPE[type]!
  if (expected === FLAGS_ANY ? (flags & 0x06) === 0x06 : flags !== expected) return HEADER_MALFORMED
  let length = 0
  for (let index = 1; index <= LENGTH_BYTES_MAX; index++) {
    if (position + index >= end) return HEADER_INCOMPLETE
    const byte = bytes[position + index]!
    length |= (byte & 0x7f) << (7 * (index - 1))
    if (byte < 0x80) {
      into.remainingLength = length
      into.headerLength = index + 1
      return HEADER_COMPLETE
    }
  }
  return HEADER_MALFORMED
}

const SERVER_ONLY = [PACKET_CONNACK, PACKET_SUBACK, PACKET_UNSUBACK, PACKET_PINGRESP]
const QOS_2_ONLY = [PACKET_PUBREC, PACKET_PUBREL, PACKET_PUBCOMP]

/**
 * Throws when a client may not send this packet now. `version` is undefined until the CONNECT was
 * accepted. May be called as soon as one byte was read (HEADER_INCOMPLETE). Errors:
 * MQTT_PROTOCOL_ERROR, MQTT_PACKET_MALFORMED.
 */
export function checkClientHeader(header: FixedHeader, version: ProtocolVersion | undefined): void {
  const { type } = header
  // [MQTT-3.1.0-1]
  if (version === undefined && type !== PACKET_CONNECT) {
    throw protocolError('the first packet is not a CONNECT')
  }
  if (version === undefined) return
  // [MQTT-3.1.0-2]
  if (type === PACKET_CONNECT) throw protocolError('a second CONNECT')
  if (type === PACKET_AUTH && version === 4) {
    throw malformed('packet type 15 is reserved in MQTT 3.1.1')
  }
  if (SERVER_ONLY.includes(type)) throw protocolError(`packet type ${type} is the server's`)
  if (QOS_2_ONLY.includes(type)) {
    throw protocolError(`packet type ${type} belongs to QoS 2, which was not offered`)
  }
  // [MQTT-1.5.5-1]; 3.1.1 says nothing about the shortest form.
  if (version === 5 && header.headerLength > 0 && !isShortest(header)) {
    throw malformed('the remaining length is not in its shortest form')
  }
}

function isShortest(header: FixedHeader): boolean {
  const lengthBytes = header.headerLength - 1
  return lengthBytes === 1 || header.remainingLength >= 1 << (7 * (lengthBytes - 1))
}
