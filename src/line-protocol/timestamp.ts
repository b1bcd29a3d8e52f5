/** Timestamps: digits of a unit become integer µs. */
import { MINUS, isDigit } from './line-cursor.ts'
import type { LineCursor } from './line-cursor.ts'
import type { Precision } from './line-protocol.ts'

/** Where InfluxDB's time ends: 64 bits of nanoseconds with a sign. */
const TIME_US_MAX = 2 ** 63 / 1000

const FACTOR_US = { us: 1, ms: 1e3, s: 1e6, m: 60e6, h: 3600e6 } as const

/** Returns µs since 1970, or undefined after a failure. */
export function readTimestamp(cursor: LineCursor, precision: Precision): number | undefined {
  const bytes = cursor.bytes
  const isNegative = cursor.peek() === MINUS
  const start = cursor.position + (isNegative ? 1 : 0)
  let end = start
  while (end < cursor.limit && isDigit(bytes[end]!)) end++
  cursor.position = end
  if (end === start) {
    cursor.failExpected('a timestamp of digits')
    return undefined
  }
  // Digits below the µs are cut off before they can cost precision.
  const whole = precision === 'ns' ? Math.max(start, end - 3) : end
  let value = 0
  for (let position = start; position < whole; position++) {
    value = value * 10 + (bytes[position]! - 0x30)
  }
  if (precision !== 'ns') value *= FACTOR_US[precision]
  if (value > TIME_US_MAX) {
    cursor.fail('the timestamp is out of range', 'TIME_FORMAT_INVALID')
    return undefined
  }
  let hasRest = false
  for (let position = whole; position < end; position++) hasRest ||= bytes[position] !== 0x30
  // Rounded down on both sides of 1970, so that order is kept.
  if (isNegative) value = 0 - value - (hasRest ? 1 : 0)
  return value
}
