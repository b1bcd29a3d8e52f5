/**
 * Numbers from bytes, by JSON's grammar. A mantissa up to 2^53 over a power of ten up to 10^22 is
 * exact in one division (W. D. Clinger, "How to read floating point numbers accurately", 1990); all
 * others go through Number(). `end` is where the last scan stopped.
 */
const POWERS_OF_TEN = Float64Array.from({ length: 23 }, (_, exponent) => 10 ** exponent)
/** 15 digits always fit into 53 bits. */
const DIGITS_EXACT = 15

export const scanner = { end: 0 }

/** The number at bytes[at…], or NaN when there is none; `scanner.end` is the byte after it. */
export function scanNumber(bytes: Uint8Array, start: number): number {
  let at = start
  let byte = bytes[at]!
  const isNegative = byte === 0x2d
  if (isNegative) byte = bytes[++at]!
  let mantissa = byte - 0x30
  if (mantissa < 0 || mantissa > 9) return NaN
  let digits = 1
  let digit = bytes[++at]! - 0x30
  if (mantissa === 0) {
    if (digit >= 0 && digit <= 9) return NaN // A leading zero is no JSON.
  } else {
    while (digit >= 0 && digit <= 9) {
      mantissa = mantissa * 10 + digit
      digits++
      digit = bytes[++at]! - 0x30
    }
  }
  let fraction = 0
  if (digit === -2) {
    digit = bytes[++at]! - 0x30
    if (!(digit >= 0 && digit <= 9)) return NaN
    do {
      mantissa = mantissa * 10 + digit
      fraction++
      digit = bytes[++at]! - 0x30
    } while (digit >= 0 && digit <= 9)
  }
  // 'e' or 'E', or too many digits for one exact division.
  if (digit === 0x35 || digit === 0x15 || digits + fraction > DIGITS_EXACT) {
    return scanSlowly(bytes, start, at)
  }
  scanner.end = at
  const value = fraction === 0 ? mantissa : mantissa / POWERS_OF_TEN[fraction]!
  return isNegative ? -value : value
}

function scanSlowly(bytes: Uint8Array, start: number, from: number): number {
  let at = from
  if (bytes[at] === 0x65 || bytes[at] === 0x45) {
    at++
    if (bytes[at] === 0x2b || bytes[at] === 0x2d) at++
    const exponentStart = at
    while (at < bytes.length && bytes[at]! >= 0x30 && bytes[at]! <= 0x39) at++
    if (at === exponentStart) return NaN
  }
  const text = Buffer.from(bytes.buffer, bytes.byteOffset + start, at - start).toString('latin1')
  const value = Number(text)
  // An integer beyond 2^53 and an overflow are for the slow way, which names them.
  if (!Number.isFinite(value) || Math.abs(value) > Number.MAX_SAFE_INTEGER) return NaN
  scanner.end = at
  return value
}
