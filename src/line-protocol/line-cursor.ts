/**
 * A place in the input, what is said about it, and the names that are read there. Nothing is
 * thrown, since a body of a million bad lines must not cost a million stack traces: methods that
 * find a fault call `fail` and return undefined or false.
 */
import type { ErrorCode } from '../errors/errors.ts'
import { HASH_BASIS, HASH_PRIME } from './text-cache.ts'
import type { TextCache } from './text-cache.ts'

/** A dead letter keeps as much; the longest lines of Telegraf's plugins have a tenth of it. */
export const LINE_BYTES_MAX = 65_536

/** A detail names keys, and a key may be as long as a line. */
const DETAIL_LENGTH_MAX = 200

export const COMMA = 0x2c
export const SPACE = 0x20
export const EQUALS = 0x3d
export const NEWLINE = 0x0a
export const RETURN = 0x0d
export const MINUS = 0x2d
const QUOTE = 0x22
const BACKSLASH = 0x5c

const IS_COMMA = 1
const IS_SPACE = 2
const IS_EQUALS = 4
const IS_BACKSLASH = 8
const IS_CONTROL = 16
const CLASSES = new Uint8Array(256)
CLASSES.fill(IS_CONTROL, 0, 0x20)
CLASSES[0x7f] = IS_CONTROL
CLASSES[COMMA] = IS_COMMA
CLASSES[SPACE] = IS_SPACE
CLASSES[EQUALS] = IS_EQUALS
CLASSES[BACKSLASH] = IS_BACKSLASH

/** What ends a name unless a backslash stands before it; control characters always do. */
export const MEASUREMENT_STOPS = IS_COMMA | IS_SPACE
export const KEY_STOPS = IS_COMMA | IS_SPACE | IS_EQUALS

export const isDigit = (byte: number): boolean => byte >= 0x30 && byte <= 0x39
export const isLineEnd = (byte: number): boolean =>
  byte === NEWLINE || byte === RETURN || byte === -1

export class LineCursor {
  readonly bytes: Uint8Array
  position = 0
  lineStart = 0
  /** The end of what the line may use: of the input, or LINE_BYTES_MAX behind the line's start. */
  limit = 0
  failureCode: ErrorCode = 'LINE_SYNTAX_INVALID'
  failureDetail = ''
  readonly #texts: TextCache
  #unescaped: Uint8Array | undefined

  constructor(bytes: Uint8Array, texts: TextCache) {
    this.bytes = bytes
    this.#texts = texts
  }

  startLine(): void {
    this.lineStart = this.position
    this.limit = Math.min(this.bytes.length, this.position + LINE_BYTES_MAX)
  }

  /** The next byte, or -1 at the end. */
  peek(): number {
    return this.position < this.limit ? this.bytes[this.position]! : -1
  }

  byteAt(position: number): number {
    return this.bytes[position] ?? -1
  }

  /** What stands at the cursor up to the next comma, space or line end. */
  peekWord(): string {
    let end = this.position
    while (end < this.limit) {
      const byte = this.bytes[end]!
      if (byte === COMMA || byte === SPACE || isLineEnd(byte)) break
      end++
    }
    return this.textBetween(this.position, end)
  }

  /** Bytes as Latin-1: numbers and words are ASCII or wrong. */
  textBetween(start: number, end: number): string {
    let text = ''
    for (let position = start; position < end; position++) {
      text += String.fromCharCode(this.bytes[position]!)
    }
    return text
  }

  skipSpaces(): void {
    while (this.peek() === SPACE) this.position++
  }

  skipToNextLine(): void {
    const newline = this.bytes.indexOf(NEWLINE, this.position)
    this.position = newline < 0 ? this.bytes.length : newline + 1
  }

  /** Reads up to an unescaped stop. */
  readName(stops: number, part: string): string | undefined {
    const bytes = this.bytes
    const limit = this.limit
    const start = this.position
    const ends = stops | IS_CONTROL
    let position = start
    let hash = HASH_BASIS
    let hasEscape = false
    while (position < limit) {
      const byte = bytes[position]!
      const kind = CLASSES[byte]!
      if ((kind & ends) !== 0) break
      hash = Math.imul(hash ^ byte, HASH_PRIME)
      position++
      if (kind !== IS_BACKSLASH) continue
      hasEscape = true
      if (position < limit && (CLASSES[bytes[position]!]! & stops) !== 0) position++
    }
    this.position = position
    const text = hasEscape
      ? this.#unescape(start, position, (byte) => (CLASSES[byte]! & stops) !== 0)
      : this.#texts.text(bytes, start, position, hash)
    if (text === undefined) this.fail(`a ${part} is not UTF-8`)
    return text
  }

  /** Drops each backslash that stands before an escapable byte. */
  #unescape(
    start: number,
    end: number,
    isEscapable: (byte: number) => boolean,
  ): string | undefined {
    const bytes = this.bytes
    this.#unescaped ??= new Uint8Array(LINE_BYTES_MAX)
    let length = 0
    let hash = HASH_BASIS
    for (let position = start; position < end; position++) {
      if (
        bytes[position] === BACKSLASH &&
        position + 1 < end &&
        isEscapable(bytes[position + 1]!)
      ) {
        position++
      }
      hash = Math.imul(hash ^ bytes[position]!, HASH_PRIME)
      this.#unescaped[length++] = bytes[position]!
    }
    return this.#texts.text(this.#unescaped, 0, length, hash)
  }

  /** Reads a quoted text whose opening quote is at the cursor. */
  readQuoted(key: string): string | undefined {
    const bytes = this.bytes
    const start = this.position + 1
    let position = start
    let hash = HASH_BASIS
    let hasEscape = false
    while (position < this.limit && bytes[position] !== QUOTE) {
      if (bytes[position] === BACKSLASH) {
        hasEscape = true
        position++
      }
      hash = Math.imul(hash ^ bytes[position]!, HASH_PRIME)
      position++
    }
    // The cursor stays at the quote: lines behind a forgotten one are read as lines.
    if (position >= this.limit) {
      this.fail(`the text of "${key}" has no closing quote`)
      return undefined
    }
    this.position = position + 1
    const text = hasEscape
      ? this.#unescape(start, position, (byte) => byte === QUOTE || byte === BACKSLASH)
      : this.#texts.text(bytes, start, position, hash)
    if (text === undefined) this.fail(`the text of "${key}" is not UTF-8`)
    return text
  }

  failExpected(what: string): false {
    const byte = this.peek()
    const found = isLineEnd(byte)
      ? 'the line ends'
      : `found ${JSON.stringify(String.fromCharCode(byte))}`
    return this.fail(`expected ${what}, but ${found}`)
  }

  /** Always false, so that a reading method can return it. */
  fail(detail: string, code: ErrorCode = 'LINE_SYNTAX_INVALID'): false {
    this.failureCode = code
    const shown =
      detail.length > DETAIL_LENGTH_MAX ? `${detail.slice(0, DETAIL_LENGTH_MAX)}…` : detail
    this.failureDetail = `column ${this.position - this.lineStart + 1}: ${shown}`
    return false
  }
}
