/**
 * The cursor behind `parseLines`. Each method reads one part at `#position` and returns whether it
 * was sound; what was wrong is left in `failureCode` and `failureDetail`. Nothing is thrown, since a
 * body of a million bad lines must not cost a million stack traces.
 */
import type { ErrorCode } from '../errors/errors.ts'
import type { Line, Precision } from './line-protocol.ts'
import { HASH_BASIS, HASH_PRIME } from './text-cache.ts'
import type { TextCache } from './text-cache.ts'

/** A dead letter keeps as much; the longest lines of Telegraf's plugins have a tenth of it. */
export const LINE_BYTES_MAX = 65_536
export const TAGS_MAX = 128
/** Above what a device may have in series (1,000). */
export const FIELDS_MAX = 1024
/** Up to here a key is looked for among the others one by one; beyond it by a map. */
const LINEAR_FIELDS_MAX = 16

/** Where InfluxDB's time ends: 2^63 − 1 ns, in µs. */
const TIME_US_MAX = 9_223_372_036_854_775

const FACTOR_US = { ns: 0.001, us: 1, ms: 1e3, s: 1e6, m: 60e6, h: 3600e6 } as const

const COMMA = 0x2c
const SPACE = 0x20
const EQUALS = 0x3d
const QUOTE = 0x22
const BACKSLASH = 0x5c
const NEWLINE = 0x0a
const RETURN = 0x0d
const HASH_SIGN = 0x23
const MINUS = 0x2d
const PLUS = 0x2b
const POINT = 0x2e

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
const MEASUREMENT_STOPS = IS_COMMA | IS_SPACE
const KEY_STOPS = IS_COMMA | IS_SPACE | IS_EQUALS

const POWERS_OF_TEN = Array.from({ length: 16 }, (_, exponent) => 10 ** exponent)
/** A mantissa of up to 15 digits and its power of ten are exact, so one division rounds once. */
const EXACT_DIGITS = 15

const TRUE = ['t', 'T', 'true', 'True', 'TRUE']
const FALSE = ['f', 'F', 'false', 'False', 'FALSE']
const NOT_FINITE = /^[+-]?(nan|inf|infinity)$/i

const isDigit = (byte: number): boolean => byte >= 0x30 && byte <= 0x39
const isLineEnd = (byte: number): boolean => byte === NEWLINE || byte === RETURN || byte === -1

export class LineReader {
  readonly line: Line
  failureCode: ErrorCode = 'LINE_SYNTAX_INVALID'
  failureDetail = ''
  readonly #bytes: Uint8Array
  readonly #precision: Precision
  readonly #texts: TextCache
  readonly #fieldPlaces = new Map<string, number>()
  #position = 0
  /** The end of what the line may use: of the input, or LINE_BYTES_MAX behind the line's start. */
  #limit = 0
  #unescaped: Uint8Array | undefined

  constructor(bytes: Uint8Array, precision: Precision, texts: TextCache) {
    this.#bytes = bytes
    this.#precision = precision
    this.#texts = texts
    this.line = {
      index: -1,
      measurement: '',
      tagCount: 0,
      tagKeys: [],
      tagValues: [],
      fieldCount: 0,
      fieldKeys: [],
      fieldValues: [],
      timeUs: undefined,
      start: 0,
      end: 0,
    }
  }

  /** Goes to the next line with content; false at the end of the input. */
  findLine(): boolean {
    const bytes = this.#bytes
    while (this.#position < bytes.length) {
      const byte = bytes[this.#position]!
      if (byte === HASH_SIGN) this.#skipToNextLine()
      else if (byte === SPACE || byte === NEWLINE || byte === RETURN) this.#position++
      else {
        this.line.index++
        this.line.start = this.#position
        this.#limit = Math.min(bytes.length, this.#position + LINE_BYTES_MAX)
        return true
      }
    }
    return false
  }

  /** Reads the line that `findLine` found, and leaves the cursor behind it either way. */
  readLine(): boolean {
    const { line } = this
    line.tagCount = 0
    line.fieldCount = 0
    line.timeUs = undefined
    const isSound =
      this.#readMeasurement() && this.#readTags() && this.#readFields() && this.#readTime()
    line.end = this.#position
    if (isSound) return true
    if (this.#position === this.#limit && this.#limit < this.#bytes.length) {
      this.#fail(`longer than ${LINE_BYTES_MAX} bytes`, 'TELEMETRY_LIMIT_EXCEEDED')
    }
    this.#skipToNextLine()
    const isCrLf = this.#byteAt(this.#position - 2) === RETURN
    line.end =
      this.#position - (this.#byteAt(this.#position - 1) === NEWLINE ? (isCrLf ? 2 : 1) : 0)
    return false
  }

  #readMeasurement(): boolean {
    const measurement = this.#readName(MEASUREMENT_STOPS, 'measurement')
    if (measurement === undefined) return false
    this.line.measurement = measurement
    return measurement === '' ? this.#fail('the measurement is empty') : true
  }

  #readTags(): boolean {
    while (this.#peek() === COMMA) {
      this.#position++
      if (!this.#readTag()) return false
    }
    if (this.#peek() !== SPACE) return this.#failExpected('a comma or a space, then a field')
    this.#skipSpaces()
    return true
  }

  #readTag(): boolean {
    const { line } = this
    const key = this.#readName(KEY_STOPS, 'tag key')
    if (key === undefined) return false
    if (key === '') return this.#fail('a tag key is empty')
    if (this.#peek() !== EQUALS) return this.#failExpected(`"=" after the tag key "${key}"`)
    this.#position++
    const value = this.#readName(KEY_STOPS, 'tag value')
    if (value === undefined) return false
    if (this.#peek() === EQUALS) return this.#fail(`the tag "${key}" has an unescaped "="`)
    for (let index = 0; index < line.tagCount; index++) {
      if (line.tagKeys[index] === key) return this.#fail(`the tag "${key}" occurs twice`)
    }
    if (value === '') return true
    if (line.tagCount === TAGS_MAX) {
      return this.#fail(`more than ${TAGS_MAX} tags`, 'TELEMETRY_LIMIT_EXCEEDED')
    }
    line.tagKeys[line.tagCount] = key
    line.tagValues[line.tagCount++] = value
    return true
  }

  #readFields(): boolean {
    for (;;) {
      const key = this.#readName(KEY_STOPS, 'field key')
      if (key === undefined) return false
      if (key === '') return this.#fail('a field key is empty')
      if (this.#peek() !== EQUALS) return this.#failExpected(`"=" after the field key "${key}"`)
      this.#position++
      const value = this.#readValue(key)
      if (value === undefined || !this.#addField(key, value)) return false
      if (this.#peek() !== COMMA) return true
      this.#position++
    }
  }

  /** Of a field written twice the last counts. */
  #addField(key: string, value: number | boolean | string): boolean {
    const { line } = this
    const place = this.#findField(key)
    if (place >= 0) {
      line.fieldValues[place] = value
      return true
    }
    if (line.fieldCount === FIELDS_MAX) {
      return this.#fail(`more than ${FIELDS_MAX} fields`, 'TELEMETRY_LIMIT_EXCEEDED')
    }
    line.fieldKeys[line.fieldCount] = key
    line.fieldValues[line.fieldCount++] = value
    return true
  }

  #findField(key: string): number {
    const { line } = this
    if (line.fieldCount < LINEAR_FIELDS_MAX) {
      for (let index = 0; index < line.fieldCount; index++) {
        if (line.fieldKeys[index] === key) return index
      }
      return -1
    }
    const places = this.#fieldPlaces
    // At the turn to the map it still holds an earlier line.
    if (line.fieldCount === LINEAR_FIELDS_MAX) {
      places.clear()
      for (let index = 0; index < LINEAR_FIELDS_MAX; index++)
        places.set(line.fieldKeys[index]!, index)
    }
    const place = places.get(key)
    if (place === undefined) places.set(key, line.fieldCount)
    return place ?? -1
  }

  #readValue(key: string): number | boolean | string | undefined {
    const first = this.#peek()
    if (first === QUOTE) return this.#readQuoted(key)
    if (isDigit(first) || first === MINUS || first === POINT || first === PLUS) {
      return this.#readNumber(key)
    }
    const word = this.#peekWord()
    const isTrue = TRUE.includes(word)
    if (isTrue || FALSE.includes(word)) {
      this.#position += word.length
      return isTrue
    }
    this.#failValue(key, word)
    return undefined
  }

  #readNumber(key: string): number | undefined {
    const bytes = this.#bytes
    const limit = this.#limit
    const start = this.#position
    const first = bytes[start]!
    let position = first === MINUS || first === PLUS ? start + 1 : start
    let mantissa = 0
    let digits = 0
    let decimals = -1
    for (; position < limit; position++) {
      const byte = bytes[position]!
      if (isDigit(byte)) {
        mantissa = mantissa * 10 + (byte - 0x30)
        digits++
        if (decimals >= 0) decimals++
      } else if (byte === POINT && decimals < 0) decimals = 0
      else break
    }
    const next = position < limit ? bytes[position]! : -1
    if (digits > 0 && (next === COMMA || next === SPACE || isLineEnd(next))) {
      this.#position = position
      if (digits > EXACT_DIGITS)
        return this.#finite(key, Number(this.#textBetween(start, position)))
      const value = decimals > 0 ? mantissa / POWERS_OF_TEN[decimals]! : mantissa
      return first === MINUS ? -value : value
    }
    const isInteger = digits > 0 && decimals < 0 && (next === 0x69 || next === 0x75)
    return isInteger ? this.#readInteger(key, mantissa, position) : this.#readExponent(key)
  }

  /** `position` is that of the suffix. */
  #readInteger(key: string, magnitude: number, position: number): number | undefined {
    const isSigned = this.#bytes[position] === 0x69
    const isNegative = this.#peek() === MINUS
    const word = this.#peekWord()
    if (this.#position + word.length !== position + 1 || (!isSigned && isNegative)) {
      this.#failValue(key, word)
      return undefined
    }
    // Sums of digits round monotonically, so a value beyond the limit never comes out within it.
    if (magnitude > Number.MAX_SAFE_INTEGER) {
      this.#fail(`the field "${key}" is ${word}`, 'TELEMETRY_INTEGER_TOO_LARGE')
      return undefined
    }
    this.#position = position + 1
    return isNegative && magnitude > 0 ? -magnitude : magnitude
  }

  #readExponent(key: string): number | undefined {
    const word = this.#peekWord()
    if (!/^[+-]?(\d+\.?\d*|\.\d+)[eE][+-]?\d+$/.test(word)) {
      this.#failValue(key, word)
      return undefined
    }
    this.#position += word.length
    return this.#finite(key, Number(word))
  }

  #finite(key: string, value: number): number | undefined {
    if (Number.isFinite(value)) return value
    this.#fail(`the field "${key}" is beyond 1.8e308`, 'TELEMETRY_VALUE_NOT_FINITE')
    return undefined
  }

  #readQuoted(key: string): string | undefined {
    const bytes = this.#bytes
    const start = this.#position + 1
    let position = start
    let hash = HASH_BASIS
    let hasEscape = false
    while (position < this.#limit && bytes[position] !== QUOTE) {
      if (bytes[position] === BACKSLASH) {
        hasEscape = true
        position++
      }
      hash = Math.imul(hash ^ bytes[position]!, HASH_PRIME)
      position++
    }
    // The cursor stays at the quote: lines behind a forgotten one are read as lines.
    if (position >= this.#limit) {
      this.#fail(`the text of "${key}" has no closing quote`)
      return undefined
    }
    this.#position = position + 1
    const text = hasEscape
      ? this.#unescape(start, position, (byte) => byte === QUOTE || byte === BACKSLASH)
      : this.#texts.text(bytes, start, position, hash)
    if (text === undefined) this.#fail(`the text of "${key}" is not UTF-8`)
    return text
  }

  /** Reads up to an unescaped stop. */
  #readName(stops: number, part: string): string | undefined {
    const bytes = this.#bytes
    const limit = this.#limit
    const start = this.#position
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
    this.#position = position
    const text = hasEscape
      ? this.#unescape(start, position, (byte) => (CLASSES[byte]! & stops) !== 0)
      : this.#texts.text(bytes, start, position, hash)
    if (text === undefined) this.#fail(`a ${part} is not UTF-8`)
    return text
  }

  /** Drops each backslash that stands before an escapable byte. */
  #unescape(
    start: number,
    end: number,
    isEscapable: (byte: number) => boolean,
  ): string | undefined {
    const bytes = this.#bytes
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

  /** Reads the timestamp, if there is one, and the end of the line. */
  #readTime(): boolean {
    const before = this.#peek()
    if (before !== SPACE && !isLineEnd(before)) {
      return this.#failExpected('a comma, a space or the end of the line')
    }
    this.#skipSpaces()
    if (!isLineEnd(this.#peek()) && !this.#readTimestamp()) return false
    this.#skipSpaces()
    const end = this.#position
    if (this.#peek() === RETURN) this.#position++
    if (this.#position < this.#bytes.length && this.#peek() !== NEWLINE) {
      return this.#failExpected('the end of the line')
    }
    this.#position = end
    return true
  }

  #readTimestamp(): boolean {
    const bytes = this.#bytes
    const isNegative = this.#peek() === MINUS
    const start = this.#position + (isNegative ? 1 : 0)
    let end = start
    while (end < this.#limit && isDigit(bytes[end]!)) end++
    this.#position = end
    if (end === start) return this.#failExpected('a timestamp of digits')
    const isNs = this.#precision === 'ns'
    // Digits below the µs are cut off before they can cost precision.
    const whole = isNs ? Math.max(start, end - 3) : end
    let value = 0
    for (let position = start; position < whole; position++) {
      value = value * 10 + (bytes[position]! - 0x30)
    }
    if (!isNs) value *= FACTOR_US[this.#precision]
    if (value > TIME_US_MAX) {
      return this.#fail('the timestamp is out of range', 'TIME_FORMAT_INVALID')
    }
    let hasRest = false
    for (let position = whole; position < end; position++) hasRest ||= bytes[position] !== 0x30
    // Rounded down on both sides of 1970, so that order is kept.
    if (isNegative) value = 0 - value - (hasRest ? 1 : 0)
    this.line.timeUs = value
    return true
  }

  /** The next byte, or -1 at the end. */
  #peek(): number {
    return this.#position < this.#limit ? this.#bytes[this.#position]! : -1
  }

  #byteAt(position: number): number {
    return this.#bytes[position] ?? -1
  }

  /** What stands at the cursor up to the next comma, space or line end. */
  #peekWord(): string {
    let end = this.#position
    while (end < this.#limit) {
      const byte = this.#bytes[end]!
      if (byte === COMMA || byte === SPACE || isLineEnd(byte)) break
      end++
    }
    return this.#textBetween(this.#position, end)
  }

  /** Bytes as Latin-1: numbers and words are ASCII or wrong. */
  #textBetween(start: number, end: number): string {
    let text = ''
    for (let position = start; position < end; position++) {
      text += String.fromCharCode(this.#bytes[position]!)
    }
    return text
  }

  #skipSpaces(): void {
    while (this.#peek() === SPACE) this.#position++
  }

  #skipToNextLine(): void {
    const newline = this.#bytes.indexOf(NEWLINE, this.#position)
    this.#position = newline < 0 ? this.#bytes.length : newline + 1
  }

  #failValue(key: string, word: string): false {
    if (word === '') return this.#fail(`the field "${key}" has no value`)
    if (NOT_FINITE.test(word)) {
      return this.#fail(`the field "${key}" is ${word}`, 'TELEMETRY_VALUE_NOT_FINITE')
    }
    const shown = word.length > 40 ? `${word.slice(0, 40)}…` : word
    return this.#fail(`the field "${key}" is neither number, boolean nor quoted text: ${shown}`)
  }

  #failExpected(what: string): false {
    const byte = this.#peek()
    const found = isLineEnd(byte) ? 'the line ends' : `found "${String.fromCharCode(byte)}"`
    return this.#fail(`expected ${what}, but ${found}`)
  }

  #fail(detail: string, code: ErrorCode = 'LINE_SYNTAX_INVALID'): false {
    this.failureCode = code
    this.failureDetail = `column ${this.#position - this.line.start + 1}: ${detail}`
    return false
  }
}
