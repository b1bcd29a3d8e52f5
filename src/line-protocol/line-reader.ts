/** One line after another: measurement, tags, fields, timestamp. */
import type { ErrorCode } from '../errors/errors.ts'
import { readValue } from './field-value.ts'
import {
  COMMA,
  EQUALS,
  KEY_STOPS,
  LINE_BYTES_MAX,
  LineCursor,
  MEASUREMENT_STOPS,
  NEWLINE,
  RETURN,
  SPACE,
  isLineEnd,
} from './line-cursor.ts'
import type { Line, Precision } from './line-protocol.ts'
import type { TextCache } from './text-cache.ts'
import { readTimestamp } from './timestamp.ts'

export const TAGS_MAX = 128
/** Above what a device may have in series (1,000). */
export const FIELDS_MAX = 1024
/** Up to here a key is looked for among the others one by one; beyond it by a map. */
const LINEAR_FIELDS_MAX = 16

const HASH_SIGN = 0x23

export class LineReader {
  readonly line: Line = {
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
  readonly #cursor: LineCursor
  readonly #precision: Precision
  readonly #fieldPlaces = new Map<string, number>()

  constructor(bytes: Uint8Array, precision: Precision, texts: TextCache) {
    this.#cursor = new LineCursor(bytes, texts)
    this.#precision = precision
  }

  /** What was wrong, after `readLine` returned false. */
  get failureCode(): ErrorCode {
    return this.#cursor.failureCode
  }

  get failureDetail(): string {
    return this.#cursor.failureDetail
  }

  /** Goes to the next line with content; false at the end of the input. */
  findLine(): boolean {
    const cursor = this.#cursor
    for (;;) {
      const byte = cursor.byteAt(cursor.position)
      if (byte === -1) return false
      if (byte === HASH_SIGN) cursor.skipToNextLine()
      else if (byte === SPACE || byte === NEWLINE || byte === RETURN) cursor.position++
      else break
    }
    cursor.startLine()
    this.line.index++
    this.line.start = cursor.lineStart
    return true
  }

  /** Reads the line that `findLine` found, and leaves the cursor behind it either way. */
  readLine(): boolean {
    const { line } = this
    line.tagCount = 0
    line.fieldCount = 0
    line.timeUs = undefined
    const isSound =
      this.#readMeasurement() && this.#readTags() && this.#readFields() && this.#readTime()
    line.end = this.#cursor.position
    if (!isSound) this.#refuseLine()
    return isSound
  }

  /**
   * A line is refused from its start to the next line end: what a text hid is no line of its own.
   */
  #refuseLine(): void {
    const { line } = this
    const cursor = this.#cursor
    cursor.skipToNextLine()
    line.end = cursor.position
    if (cursor.byteAt(line.end - 1) === NEWLINE) line.end--
    if (cursor.byteAt(line.end - 1) === RETURN) line.end--
    const length = line.end - line.start
    if (length <= LINE_BYTES_MAX) return
    cursor.failureCode = 'TELEMETRY_LIMIT_EXCEEDED'
    cursor.failureDetail = `the line has ${length} bytes, more than ${LINE_BYTES_MAX}`
  }

  #readMeasurement(): boolean {
    const cursor = this.#cursor
    const measurement = cursor.readName(MEASUREMENT_STOPS, 'measurement')
    if (measurement === undefined) return false
    this.line.measurement = measurement
    return measurement === '' ? cursor.fail('the measurement is empty') : true
  }

  #readTags(): boolean {
    const cursor = this.#cursor
    while (cursor.peek() === COMMA) {
      cursor.position++
      if (!this.#readTag()) return false
    }
    if (cursor.peek() !== SPACE) return cursor.failExpected('a comma or a space, then a field')
    cursor.skipSpaces()
    return true
  }

  #readTag(): boolean {
    const { line } = this
    const cursor = this.#cursor
    const key = cursor.readName(KEY_STOPS, 'tag key')
    if (key === undefined) return false
    if (key === '') return cursor.fail('a tag key is empty')
    if (cursor.peek() !== EQUALS) return cursor.failExpected(`"=" after the tag key "${key}"`)
    cursor.position++
    const value = cursor.readName(KEY_STOPS, 'tag value')
    if (value === undefined) return false
    if (cursor.peek() === EQUALS) return cursor.fail(`the tag "${key}" has an unescaped "="`)
    for (let index = 0; index < line.tagCount; index++) {
      if (line.tagKeys[index] === key) return cursor.fail(`the tag "${key}" occurs twice`)
    }
    if (value === '') return true
    if (line.tagCount === TAGS_MAX) {
      return cursor.fail(`more than ${TAGS_MAX} tags`, 'TELEMETRY_LIMIT_EXCEEDED')
    }
    line.tagKeys[line.tagCount] = key
    line.tagValues[line.tagCount++] = value
    return true
  }

  #readFields(): boolean {
    const cursor = this.#cursor
    for (;;) {
      const key = cursor.readName(KEY_STOPS, 'field key')
      if (key === undefined) return false
      if (key === '') return cursor.fail('a field key is empty')
      if (cursor.peek() !== EQUALS) return cursor.failExpected(`"=" after the field key "${key}"`)
      cursor.position++
      const value = readValue(cursor, key)
      if (value === undefined || !this.#addField(key, value)) return false
      if (cursor.peek() !== COMMA) return true
      cursor.position++
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
      return this.#cursor.fail(`more than ${FIELDS_MAX} fields`, 'TELEMETRY_LIMIT_EXCEEDED')
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
      for (let index = 0; index < LINEAR_FIELDS_MAX; index++) {
        places.set(line.fieldKeys[index]!, index)
      }
    }
    const place = places.get(key)
    if (place === undefined) places.set(key, line.fieldCount)
    return place ?? -1
  }

  /** Reads the timestamp, if there is one, up to the end of the line. */
  #readTime(): boolean {
    const cursor = this.#cursor
    if (cursor.peek() !== SPACE && !isLineEnd(cursor.peek())) {
      return cursor.failExpected('a comma, a space or the end of the line')
    }
    cursor.skipSpaces()
    if (!isLineEnd(cursor.peek())) {
      this.line.timeUs = readTimestamp(cursor, this.#precision)
      if (this.line.timeUs === undefined) return false
      cursor.skipSpaces()
    }
    // Looks behind the limit, too: a line of exactly LINE_BYTES_MAX ends there.
    const isCarriageReturn = cursor.byteAt(cursor.position) === RETURN
    const end = cursor.byteAt(cursor.position + (isCarriageReturn ? 1 : 0))
    return end === NEWLINE || end === -1 ? true : cursor.failExpected('the end of the line')
  }
}
