/** The order in which lists name devices: that of the bytes of UTF-8, as both databases have it. */

const SURROGATES_FROM = 0xd800
const SURROGATES_TO = 0xe000

/**
 * `<` of two texts compares halves of surrogate pairs, which stand for what is beyond U+FFFF, and
 * has those before U+E000: a page would begin again, or leave devices out, where it does so.
 */
export function compareDeviceIds(one: string, other: string): number {
  const length = Math.min(one.length, other.length)
  for (let at = 0; at < length; at++) {
    const unit = one.charCodeAt(at)
    const otherUnit = other.charCodeAt(at)
    if (unit !== otherUnit) return rankOf(unit) - rankOf(otherUnit)
  }
  return one.length - other.length
}

const rankOf = (unit: number): number =>
  unit >= SURROGATES_FROM && unit < SURROGATES_TO ? unit + 0x10000 : unit
