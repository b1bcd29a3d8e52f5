/** Field values: numbers, booleans and quoted texts. */
import { COMMA, MINUS, SPACE, isDigit, isLineEnd } from './line-cursor.ts'
import type { LineCursor } from './line-cursor.ts'

const QUOTE = 0x22
const PLUS = 0x2b
const POINT = 0x2e
const SUFFIX_SIGNED = 0x69
const SUFFIX_UNSIGNED = 0x75

const POWERS_OF_TEN = Array.from({ length: 16 }, (_, exponent) => 10 ** exponent)
/** A mantissa of up to 15 digits and its power of ten are exact, so one division rounds once. */
const EXACT_DIGITS = 15

const TRUE = ['t', 'T', 'true', 'True', 'TRUE']
const FALSE = ['f', 'F', 'false', 'False', 'FALSE']
const NOT_FINITE = /^[+-]?(nan|inf|infinity)$/i

const isValueEnd = (byte: number): boolean => byte === COMMA || byte === SPACE || isLineEnd(byte)

/** Undefined after a failure; `key` names the field in it. */
export function readValue(cursor: LineCursor, key: string): number | boolean | string | undefined {
  const first = cursor.peek()
  if (first === QUOTE) return cursor.readQuoted(key)
  if (isDigit(first) || first === MINUS || first === POINT || first === PLUS) {
    return readNumber(cursor, key)
  }
  const word = cursor.peekWord()
  const isTrue = TRUE.includes(word)
  if (isTrue || FALSE.includes(word)) {
    cursor.position += word.length
    return isTrue
  }
  failValue(cursor, key, word)
  return undefined
}

function readNumber(cursor: LineCursor, key: string): number | undefined {
  const bytes = cursor.bytes
  const limit = cursor.limit
  const start = cursor.position
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
  if (digits > 0 && isValueEnd(next)) {
    cursor.position = position
    if (digits > EXACT_DIGITS) {
      return finite(cursor, key, Number(cursor.textBetween(start, position)))
    }
    const value = decimals > 0 ? mantissa / POWERS_OF_TEN[decimals]! : mantissa
    return first === MINUS ? -value : value
  }
  const isInteger =
    digits > 0 && decimals < 0 && (next === SUFFIX_SIGNED || next === SUFFIX_UNSIGNED)
  return isInteger ? readInteger(cursor, key, mantissa, position) : readExponent(cursor, key)
}

/** `position` is that of the suffix. */
function readInteger(
  cursor: LineCursor,
  key: string,
  magnitude: number,
  position: number,
): number | undefined {
  const isSigned = cursor.bytes[position] === SUFFIX_SIGNED
  const isNegative = cursor.peek() === MINUS
  const next = position + 1 < cursor.limit ? cursor.bytes[position + 1]! : -1
  if (!isValueEnd(next) || (!isSigned && isNegative)) {
    failValue(cursor, key, cursor.peekWord())
    return undefined
  }
  // Sums of digits round monotonically, so a value beyond the limit never comes out within it.
  if (magnitude > Number.MAX_SAFE_INTEGER) {
    cursor.fail(`the field "${key}" is ${cursor.peekWord()}`, 'TELEMETRY_INTEGER_TOO_LARGE')
    return undefined
  }
  cursor.position = position + 1
  return isNegative && magnitude > 0 ? -magnitude : magnitude
}

function readExponent(cursor: LineCursor, key: string): number | undefined {
  const word = cursor.peekWord()
  if (!/^[+-]?(\d+\.?\d*|\.\d+)[eE][+-]?\d+$/.test(word)) {
    failValue(cursor, key, word)
    return undefined
  }
  cursor.position += word.length
  return finite(cursor, key, Number(word))
}

function finite(cursor: LineCursor, key: string, value: number): number | undefined {
  if (Number.isFinite(value)) return value
  cursor.fail(`the field "${key}" is beyond 1.8e308`, 'TELEMETRY_VALUE_NOT_FINITE')
  return undefined
}

function failValue(cursor: LineCursor, key: string, word: string): false {
  if (word === '') return cursor.fail(`the field "${key}" has no value`)
  if (NOT_FINITE.test(word)) {
    return cursor.fail(`the field "${key}" is ${word}`, 'TELEMETRY_VALUE_NOT_FINITE')
  }
  const shown = word.length > 40 ? `${word.slice(0, 40)}…` : word
  return cursor.fail(`the field "${key}" is neither number, boolean nor quoted text: ${shown}`)
}
