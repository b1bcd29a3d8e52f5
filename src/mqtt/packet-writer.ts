/**
 * Builds one packet. The body grows behind five spare bytes, into which the fixed header is put
 * last, right before the body, when its length is known: nothing is copied for it.
 */
import { PROPERTIES, USER_PROPERTY } from './property.ts'
import type { UserProperty } from './property.ts'

const HEADER_BYTES_MAX = 5
const VARIABLE_BYTE_INTEGER_MAX = 268_435_455

const encoder = new TextEncoder()

export class PacketWriter {
  #buffer = new Uint8Array(64)
  #position = HEADER_BYTES_MAX

  byte(value: number): void {
    this.#reserve(1)
    this.#buffer[this.#position++] = value
  }

  twoByteInteger(value: number): void {
    this.byte(value >>> 8)
    this.byte(value & 0xff)
  }

  fourByteInteger(value: number): void {
    this.twoByteInteger(value >>> 16)
    this.twoByteInteger(value & 0xffff)
  }

  variableByteInteger(value: number): void {
    this.#reserve(4)
    this.#position = putVariableByteInteger(this.#buffer, this.#position, value)
  }

  /** Throws RangeError on 0: it would be our own bug. [MQTT-2.2.1-4] */
  packetId(value: number): void {
    if (value < 1 || value > 0xffff) throw new RangeError(`packet id ${value}`)
    this.twoByteInteger(value)
  }

  /** U+0000 and lone surrogates become U+FFFD, so that no text of ours is malformed. */
  text(value: string): void {
    this.binary(encoder.encode(value.replaceAll('\0', '\ufffd')))
  }

  binary(value: Uint8Array): void {
    if (value.length > 0xffff) throw new RangeError(`a field of ${value.length} bytes`)
    this.twoByteInteger(value.length)
    this.bytes(value)
  }

  bytes(value: Uint8Array): void {
    this.#reserve(value.length)
    this.#buffer.set(value, this.#position)
    this.#position += value.length
  }

  /** A property block: its length, then what `fill` puts in. */
  properties(fill: (block: PropertyWriter) => void): void {
    const block = new PacketWriter()
    fill(new PropertyWriter(block))
    const content = block.#buffer.subarray(HEADER_BYTES_MAX, block.#position)
    this.variableByteInteger(content.length)
    this.bytes(content)
  }

  /** The whole packet. */
  finish(type: number, flags: number): Uint8Array {
    const remainingLength = this.#position - HEADER_BYTES_MAX
    const start = HEADER_BYTES_MAX - 1 - variableByteIntegerLength(remainingLength)
    this.#buffer[start] = (type << 4) | flags
    putVariableByteInteger(this.#buffer, start + 1, remainingLength)
    return this.#buffer.subarray(start, this.#position)
  }

  #reserve(count: number): void {
    const needed = this.#position + count
    if (needed <= this.#buffer.length) return
    const grown = new Uint8Array(Math.max(needed, this.#buffer.length * 2))
    grown.set(this.#buffer.subarray(0, this.#position))
    this.#buffer = grown
  }
}

/** Writes properties by identifier, in the wire type of the table; undefined ones are left out. */
export class PropertyWriter {
  readonly #writer: PacketWriter

  constructor(writer: PacketWriter) {
    this.#writer = writer
  }

  number(id: number, value: number | undefined): void {
    if (value === undefined) return
    const kind = PROPERTIES[id]?.kind
    this.#writer.byte(id)
    if (kind === 'two') this.#writer.twoByteInteger(value)
    else if (kind === 'four') this.#writer.fourByteInteger(value)
    else if (kind === 'variable') this.#writer.variableByteInteger(value)
    else this.#writer.byte(value)
  }

  text(id: number, value: string | undefined): void {
    if (value === undefined) return
    this.#writer.byte(id)
    this.#writer.text(value)
  }

  binary(id: number, value: Uint8Array | undefined): void {
    if (value === undefined) return
    this.#writer.byte(id)
    this.#writer.binary(value)
  }

  pairs(values: readonly UserProperty[] | undefined): void {
    for (const [key, value] of values ?? []) {
      this.#writer.byte(USER_PROPERTY)
      this.#writer.text(key)
      this.#writer.text(value)
    }
  }
}

function variableByteIntegerLength(value: number): number {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : 4
}

/** Returns the position behind it. Source: MQTT 5, section 1.5.5. */
function putVariableByteInteger(into: Uint8Array, position: number, value: number): number {
  if (value < 0 || value > VARIABLE_BYTE_INTEGER_MAX) throw new RangeError(`length ${value}`)
  let rest = value
  let at = position
  while (rest >= 0x80) {
    into[at++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  into[at++] = rest
  return at
}
