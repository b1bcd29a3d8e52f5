/**
 * Doubles as decimals: sensors send numbers of a few digits, and 21.53 is short as 2153 with a
 * scale of 2, but seven bytes of noise as a double. A value is a decimal of a scale when dividing
 * its mantissa by that power of ten gives the same double again, bit by bit; both are exact in a
 * double and division rounds correctly, so every text of up to 15 digits is one.
 */

/** What is no short decimal: it is kept as the double that it is. */
export const NO_SCALE = -1

const SCALE_MAX = 15
/** Differences of two stay exact, and two bits are left for their zigzag form. */
const MANTISSA_MAX = 2 ** 50

export const POWERS_OF_TEN = Float64Array.from({ length: SCALE_MAX + 1 }, (_, scale) => 10 ** scale)

/** The least scale of which all values [from, to) are decimals, or NO_SCALE. */
export function scaleOf(values: Float64Array, from: number, to: number): number {
  let scale = 0
  let power = 1
  let greatest = 0
  for (let at = from; at < to; at++) {
    const value = values[at]!
    const size = Math.abs(value)
    if (size > greatest) greatest = size
    while (Math.round(value * power) / power !== value) {
      if (scale === SCALE_MAX || !(size * power <= MANTISSA_MAX)) return NO_SCALE
      power = POWERS_OF_TEN[++scale]!
    }
    // An integer has no negative zero.
    if (value === 0 && 1 / value < 0) return NO_SCALE
  }
  return greatest * power <= MANTISSA_MAX ? scale : NO_SCALE
}
