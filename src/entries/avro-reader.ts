/** Reads Avro's binary encoding, and never beyond its end. Errors: ENTRY_MALFORMED. */
import { WeirError } from '../errors/errors.ts'

/** Beyond it a number is not exact. */
const HIGH_MAX = 2 ** 25
const LOW_RANGE = 2 ** 28
/** Of the last of 10 bytes. */
const SCALE_MAX = 128 ** 5

/** Each number has one way to be written, since names are known again by their bytes. */
const NOT_SHORTEST = 'a number has more bytes than it needs'

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export const malformed = (detail: string): WeirError => new WeirError('ENTRY_MALFORMED', detail)

export class AvroReader {
  bytes: Uint8Array = new Uint8Array(0)
  at = 0
  end = 0
  #view: DataView = new DataView(new ArrayBuffer(0))

  reset(bytes: Uint8Array): void {
    // Entries of one read are views of one buffer.
    if (bytes.buffer !== this.#view.buffer) this.#view = new DataView(bytes.buffer)
    this.bytes = bytes
    this.at = 0
    this.end = bytes.length
  }

  long(): number {
    const { bytes } = this
    let byte = this.#byte(bytes)
    if (byte < 0x80) return (byte >>> 1) ^ -(byte & 1)
    let low = byte & 0x7f
    for (let shift = 7; byte >= 0x80 && shift < 28; shift += 7) {
      byte = this.#byte(bytes)
      low |= (byte & 0x7f) << shift
    }
    if (byte < 0x80) {
      if (byte === 0) throw malformed(NOT_SHORTEST)
      return (low >>> 1) ^ -(low & 1)
    }
    let high = 0
    for (let scale = 1; byte >= 0x80; scale *= 128) {
      byte = this.#byte(bytes)
      high += (byte & 0x7f) * scale
      if (high >= HIGH_MAX || scale > SCALE_MAX) throw malformed('a number is too large')
    }
    if (byte === 0) throw malformed(NOT_SHORTEST)
    const half = high * (LOW_RANGE / 2) + (low >>> 1)
    return (low & 1) === 0 ? half : -half - 1
  }

  double(): number {
    const at = this.#skip(8)
    return this.#view.getFloat64(this.bytes.byteOffset + at, true)
  }

  boolean(): boolean {
    const byte = this.#byte(this.bytes)
    if (byte > 1) throw malformed('a boolean is neither 0 nor 1')
    return byte === 1
  }

  /** Skips a string, and returns where its bytes begin; they end at `at`. */
  stringStart(): number {
    const length = this.long()
    if (length < 0) throw malformed('a length below zero')
    return this.#skip(length)
  }

  string(): string {
    const start = this.stringStart()
    return this.textOf(start, this.at)
  }

  /** How many entries the block of a map has that begins here; 0 at the map's end. */
  blockCount(): number {
    const count = this.long()
    if (count >= 0) return count
    // A block may say its size in bytes first.
    this.long()
    return -count
  }

  /** What our own encoder writes is one block; others may write several. */
  strings(): [string, string][] {
    const entries: [string, string][] = []
    for (let count = this.blockCount(); count > 0; count = this.blockCount()) {
      for (let entry = 0; entry < count; entry++) entries.push([this.string(), this.string()])
    }
    return entries
  }

  /** Skips a map of strings. */
  skipStrings(): void {
    for (let count = this.blockCount(); count > 0; count = this.blockCount()) {
      for (let entry = 0; entry < count * 2; entry++) this.stringStart()
    }
  }

  textOf(start: number, end: number): string {
    try {
      return utf8.decode(this.bytes.subarray(start, end))
    } catch {
      throw malformed('a text is not UTF-8')
    }
  }

  finish(): void {
    if (this.at !== this.end) throw malformed(`${this.end - this.at} bytes behind the end`)
  }

  #byte(bytes: Uint8Array): number {
    if (this.at >= this.end) throw malformed('it is cut short')
    return bytes[this.at++]!
  }

  #skip(count: number): number {
    const start = this.at
    if (count > this.end - start) throw malformed('it is cut short')
    this.at = start + count
    return start
  }
}
