/**
 * Strings by their UTF-8 bytes. The same few keys come in line after line; making a string of them
 * each time costs more than all the rest of parsing. Direct-mapped: a text has one slot, and the
 * last one wins it, so the size is fixed whatever is sent.
 */
const SLOTS = 4096
/** Longer texts are rare and not kept. */
const TEXT_BYTES_MAX = 64

/** FNV-1a, 32 bits: start with the basis, then for each byte `imul(hash ^ byte, prime)`. */
export const HASH_BASIS = 0x811c9dc5 | 0
export const HASH_PRIME = 0x01000193

export class TextCache {
  readonly #texts: string[] = Array.from({ length: SLOTS }, () => '')
  readonly #lengths = new Uint8Array(SLOTS)
  readonly #bytes = new Uint8Array(SLOTS * TEXT_BYTES_MAX)
  // A text that is not UTF-8 is refused: replacement characters would make one name of two.
  readonly #decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

  /** The text of `bytes[start, end)`, or undefined when it is not UTF-8. `hash` is FNV-1a of it. */
  text(bytes: Uint8Array, start: number, end: number, hash: number): string | undefined {
    const length = end - start
    if (length === 0) return ''
    if (length > TEXT_BYTES_MAX) return this.#decode(bytes, start, end)
    const slot = (hash ^ (hash >>> 16)) & (SLOTS - 1)
    const at = slot * TEXT_BYTES_MAX
    if (this.#lengths[slot] === length && this.#isSame(bytes, start, at, length)) {
      return this.#texts[slot]
    }
    const text = this.#decode(bytes, start, end)
    if (text === undefined) return undefined
    this.#texts[slot] = text
    this.#lengths[slot] = length
    this.#bytes.set(bytes.subarray(start, end), at)
    return text
  }

  #isSame(bytes: Uint8Array, start: number, at: number, length: number): boolean {
    const kept = this.#bytes
    for (let index = 0; index < length; index++) {
      if (bytes[start + index] !== kept[at + index]) return false
    }
    return true
  }

  #decode(bytes: Uint8Array, start: number, end: number): string | undefined {
    try {
      return this.#decoder.decode(bytes.subarray(start, end))
    } catch {
      return undefined
    }
  }
}
