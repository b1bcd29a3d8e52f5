/**
 * Comma-separated values as RFC 4180 has them: quoted fields may hold commas, line ends and doubled
 * quotes; lines end with LF or CRLF. Text arrives in pieces of any size. A quote inside an unquoted
 * field is taken as it is, since so do the spreadsheets that write it.
 */
import { WeirError } from '../errors/errors.ts'

/** One record longer than this is a missing closing quote, not data. */
const RECORD_CHARACTERS_MAX = 1_048_576

const QUOTE = '"'

export class CsvParser {
  readonly #separator: string
  #rest = ''
  #isFirst = true

  constructor(separator = ',') {
    this.#separator = separator
  }

  /** The records that are complete now; an empty line is none. Throws TELEMETRY_SHAPE_INVALID. */
  push(text: string): string[][] {
    // A byte order mark is not part of the first column's name.
    const piece = this.#isFirst && text !== '' ? text.replace(/^\uFEFF/, '') : text
    if (text !== '') this.#isFirst = false
    return this.#take(this.#rest + piece, false)
  }

  /** The last record, when the text does not end with a line end. */
  end(): string[][] {
    return this.#take(this.#rest, true)
  }

  #take(text: string, isEnd: boolean): string[][] {
    const records: string[][] = []
    let at = 0
    while (at < text.length) {
      const record = this.#record(text, at, isEnd)
      if (record === undefined) break
      if (record.fields.length > 1 || record.fields[0] !== '') records.push(record.fields)
      at = record.next
    }
    this.#rest = text.slice(at)
    if (isEnd ? this.#rest !== '' : this.#rest.length > RECORD_CHARACTERS_MAX)
      throw new WeirError('TELEMETRY_SHAPE_INVALID', 'a quoted field of the CSV never ends')
    return records
  }

  /**
   * The record that starts at `from` and where the next one does; undefined when it is incomplete.
   */
  #record(
    text: string,
    from: number,
    isEnd: boolean,
  ): { fields: string[]; next: number } | undefined {
    const fields: string[] = []
    let at = from
    for (;;) {
      const field = text[at] === QUOTE ? this.#quotedField(text, at) : this.#plainField(text, at)
      if (field === undefined) return undefined
      const after = text[field.next]
      if (after === undefined && !isEnd) return undefined
      fields.push(field.value)
      if (after === undefined) return { fields, next: field.next }
      if (after === '\n') return { fields, next: field.next + 1 }
      if (after === '\r') {
        // Only the next piece knows whether a line feed follows.
        if (text[field.next + 1] === undefined && !isEnd) return undefined
        return { fields, next: field.next + (text[field.next + 1] === '\n' ? 2 : 1) }
      }
      at = field.next + 1
    }
  }

  /** What follows a closing quote belongs to the field: `"a"b` is `ab`, as in spreadsheets. */
  #quotedField(text: string, from: number): { value: string; next: number } | undefined {
    const quoted = quotedField(text, from)
    if (quoted === undefined) return undefined
    const rest = this.#plainField(text, quoted.next)
    return { value: quoted.value + rest.value, next: rest.next }
  }

  #plainField(text: string, from: number): { value: string; next: number } {
    let next = from
    for (; next < text.length; next++) {
      const character = text[next]
      if (character === this.#separator || character === '\n' || character === '\r') break
    }
    return { value: text.slice(from, next), next }
  }
}

/** `"a ""b"""` → `a "b"`; undefined when the closing quote has not come yet. */
function quotedField(text: string, from: number): { value: string; next: number } | undefined {
  let at = from + 1
  for (;;) {
    const close = text.indexOf(QUOTE, at)
    if (close < 0) return undefined
    if (text[close + 1] !== QUOTE) {
      const value = text.slice(from + 1, close).replaceAll('""', QUOTE)
      return { value, next: close + 1 }
    }
    at = close + 2
  }
}
