/**
 * Bytes that grow, and a reader over bytes: little endian, with the varints of Thrift and Parquet.
 */

/** Safe integers only: 2^53 and more are refused where they are computed. */
export class ByteWriter {
  #bytes: Uint8Array
  #view: DataView
  length = 0

  constructor(capacity: number) {
    this.#bytes = new Uint8Array(capacity)
    this.#view = new DataView(this.#bytes.buffer)
  }

  /** Makes room and returns the whole array; positions below `length` are written already. */
  reserve(count: number): Uint8Array {
    if (this.length + count > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(2 * this.#bytes.length, this.length + count))
      grown.set(this.#bytes.subarray(0, this.length))
      this.#bytes = grown
      this.#view = new DataView(grown.buffer)
    }
    return this.#bytes
  }

  byte(value: number): void {
    this.reserve(1)[this.length++] = value
  }

  /** Unsigned, 7 bits a byte, the lowest first. */
  varint(value: number): void {
    const bytes = this.reserve(8)
    let rest = value
    while (rest >= 128) {
      bytes[this.length++] = (rest % 128) | 128
      rest = Math.floor(rest / 128)
    }
    bytes[this.length++] = rest
  }

  /** Signed: 0, -1, 1, -2, … become 0, 1, 2, 3, …; up to 2^52 either way. */
  zigzag(value: number): void {
    this.varint(value < 0 ? -2 * value - 1 : 2 * value)
  }

  u32(value: number): void {
    this.reserve(4)
    this.#view.setUint32(this.length, value, true)
    this.length += 4
  }

  i64(value: number): void {
    this.reserve(8)
    this.#view.setBigInt64(this.length, BigInt(value), true)
    this.length += 8
  }

  f64(value: number): void {
    this.reserve(8)
    this.#view.setFloat64(this.length, value, true)
    this.length += 8
  }

  bytes(bytes: Uint8Array): void {
    this.reserve(bytes.length).set(bytes, this.length)
    this.length += bytes.length
  }

  /** Zeroes. */
  zeroes(count: number): void {
    this.reserve(count).fill(0, this.length, this.length + count)
    this.length += count
  }

  /** What was written, without a copy: valid until the next write. */
  written(): Uint8Array {
    return this.#bytes.subarray(0, this.length)
  }

  clear(): void {
    this.length = 0
  }
}

export class ByteReader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  at: number

  constructor(bytes: Uint8Array, at = 0) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    this.at = at
  }

  get left(): number {
    return this.#bytes.length - this.at
  }

  /** NaN behind the end, so that what is computed from it is seen to be wrong. */
  byte(): number {
    return this.#bytes[this.at++] ?? NaN
  }

  varint(): number {
    let value = 0
    for (let scale = 1; ; scale *= 128) {
      const byte = this.byte()
      value += (byte & 127) * scale
      if (!(byte >= 128)) return Number.isNaN(byte) ? NaN : value
    }
  }

  zigzag(): number {
    const value = this.varint()
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2
  }

  u32(): number {
    const value = this.#view.getUint32(this.at, true)
    this.at += 4
    return value
  }

  f64(): number {
    const value = this.#view.getFloat64(this.at, true)
    this.at += 8
    return value
  }

  bytes(count: number): Uint8Array {
    const bytes = this.#bytes.subarray(this.at, this.at + count)
    this.at += count
    return bytes
  }
}
