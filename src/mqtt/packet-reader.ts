/**
 * A packet's body as a bounded run of fields. Never reads outside [start, end) and names the field
 * that is cut short or wrong. One reader may be reused for packet after packet.
 */
import { malformed, protocolError } from './failure.ts'
import { decodeText, findTextFault } from './utf8.ts'

export class PacketReader {
  bytes: Uint8Array
  position: number
  end: number
  /** Where the field lies that `locateText` or `locateBinary` found last. */
  fieldStart = 0
  fieldEnd = 0

  constructor(bytes: Uint8Array = new Uint8Array(0), start = 0, end = bytes.length) {
    this.bytes = bytes
    this.position = start
    this.end = end
  }

  reset(bytes: Uint8Array, start: number, end: number): this {
    this.bytes = bytes
    this.position = start
    this.end = end
    return this
  }

  get remaining(): number {
    return this.end - this.position
  }

  byte(field: string): number {
    return this.bytes[this.#take(1, field)]!
  }

  twoByteInteger(field: string): number {
    const at = this.#take(2, field)
    return (this.bytes[at]! << 8) | this.bytes[at + 1]!
  }

  fourByteInteger(field: string): number {
    const high = this.twoByteInteger(field)
    return high * 0x10000 + this.twoByteInteger(field)
  }

  /** 0 to 268,435,455 in the fewest bytes that hold it. [MQTT-1.5.5-1] */
  variableByteInteger(field: string): number {
    let value = 0
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.byte(field)
      value |= (byte & 0x7f) << shift
      if (byte >= 0x80) continue
      if (byte === 0 && shift > 0) throw malformed(`${field} is not in its shortest form`)
      return value
    }
    throw malformed(`${field} has more than four bytes`)
  }

  /** Checks a UTF-8 string and leaves its place in `fieldStart` and `fieldEnd`. */
  locateText(field: string): void {
    this.locateBinary(field)
    const fault = findTextFault(this.bytes, this.fieldStart, this.fieldEnd)
    if (fault < 0) return
    const what = this.bytes[fault] === 0 ? 'contains U+0000' : 'is not well-formed UTF-8'
    throw malformed(`${field} ${what} at byte ${fault - this.fieldStart}`)
  }

  text(field: string): string {
    this.locateText(field)
    return decodeText(this.bytes, this.fieldStart, this.fieldEnd)
  }

  /** Finds length-prefixed bytes and leaves their place in `fieldStart` and `fieldEnd`. */
  locateBinary(field: string): void {
    const length = this.twoByteInteger(field)
    this.fieldStart = this.#take(length, field)
    this.fieldEnd = this.position
  }

  /** A copy: the caller's buffer is reused. */
  binary(field: string): Uint8Array {
    this.locateBinary(field)
    return copyBytes(this.bytes, this.fieldStart, this.fieldEnd)
  }

  /** Packet ids run from 1 to 65,535. [MQTT-2.3.1-1] (5: [MQTT-2.2.1-3]) */
  packetId(): number {
    const packetId = this.twoByteInteger('packet id')
    if (packetId === 0) throw protocolError('packet id 0')
    return packetId
  }

  /** Every packet ends where its remaining length says. */
  expectEnd(): void {
    if (this.position !== this.end) throw malformed(`${this.remaining} excess bytes`)
  }

  #take(count: number, field: string): number {
    const at = this.position
    if (at + count > this.end) throw malformed(`${field} is cut short`)
    this.position = at + count
    return at
  }
}

/** Not `slice`: that of a Buffer, which is what sockets hand out, copies nothing. */
export function copyBytes(bytes: Uint8Array, start: number, end: number): Uint8Array {
  return new Uint8Array(bytes.subarray(start, end))
}
