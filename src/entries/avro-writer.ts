/** Avro's binary encoding into one growing buffer (Apache Avro 1.12, "Binary encoding"). */
const CAPACITY_AT_FIRST = 64 * 1024
/** A varint of 64 bits. */
const LONG_BYTES_MAX = 10
const LOW_BITS = 2 ** 28

const text = new TextEncoder()

export class AvroWriter {
  bytes: Uint8Array<ArrayBuffer>
  length = 0
  #view: DataView

  constructor(capacity = CAPACITY_AT_FIRST) {
    this.bytes = new Uint8Array(capacity)
    this.#view = new DataView(this.bytes.buffer)
  }

  /** A fresh buffer: what was written stays with those who have views of it. */
  renew(): void {
    this.bytes = new Uint8Array(this.bytes.length)
    this.#view = new DataView(this.bytes.buffer)
    this.length = 0
  }

  /** Makes room for so many bytes more. */
  reserve(count: number): void {
    if (this.length + count <= this.bytes.length) return
    const more = new Uint8Array(Math.max(this.bytes.length * 2, this.length + count))
    more.set(this.bytes.subarray(0, this.length))
    this.bytes = more
    this.#view = new DataView(more.buffer)
  }

  /** An integer between -2^52 and 2^52: zigzag, then seven bits a byte. */
  long(value: number): void {
    this.reserve(LONG_BYTES_MAX)
    let rest = value >= 0 ? value * 2 : -value * 2 - 1
    if (rest >= LOW_BITS) {
      // Bits are 32 at most in JavaScript: the low 28 here, the others as a number below 2^26.
      const low = rest & (LOW_BITS - 1)
      rest = Math.floor(rest / LOW_BITS)
      this.bytes[this.length++] = low | 0x80
      this.bytes[this.length++] = (low >>> 7) | 0x80
      this.bytes[this.length++] = (low >>> 14) | 0x80
      this.bytes[this.length++] = (low >>> 21) | 0x80
    }
    while (rest >= 0x80) {
      this.bytes[this.length++] = rest | 0x80
      rest >>>= 7
    }
    this.bytes[this.length++] = rest
  }

  double(value: number): void {
    this.reserve(8)
    this.#view.setFloat64(this.length, value, true)
    this.length += 8
  }

  boolean(value: boolean): void {
    this.reserve(1)
    this.bytes[this.length++] = value ? 1 : 0
  }

  /** As they are. Short ones are the rule, for which a call of set() is dearer than a loop. */
  raw(bytes: Uint8Array): void {
    const { length } = bytes
    this.reserve(length)
    if (length > 64) this.bytes.set(bytes, this.length)
    else for (let at = 0; at < length; at++) this.bytes[this.length + at] = bytes[at]!
    this.length += length
  }

  string(value: string): void {
    const bytes = text.encode(value)
    this.long(bytes.length)
    this.raw(bytes)
  }

  /** A map of texts in the order given. */
  strings(entries: readonly (readonly [string, string])[]): void {
    if (entries.length > 0) {
      this.long(entries.length)
      for (const [name, value] of entries) {
        this.string(name)
        this.string(value)
      }
    }
    this.long(0)
  }

  /** A copy of what was written. */
  take(): Uint8Array<ArrayBuffer> {
    return this.bytes.slice(0, this.length)
  }
}
