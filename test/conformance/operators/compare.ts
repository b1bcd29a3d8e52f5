/** How equal the results of two engines must be. */
import assert from 'node:assert/strict'
import * as words from '../../../src/stream/stream.ts'

/**
 * Rows of PARTIAL_STRIDE: count, min, max, first, last and times exactly, the others to 1e-9 of
 * what they are made of.
 */
export function assertRow(actual: number[], expected: number[], what: string): void {
  const [min, max] = [expected[words.PARTIAL_MIN]!, expected[words.PARTIAL_MAX]!]
  const scales: Record<number, number> = {
    [words.PARTIAL_SUM]: Math.max(-min, max),
    [words.PARTIAL_MEAN]: Math.max(-min, max),
    [words.PARTIAL_SQUARES]: 1e-6 * (max - min) ** 2,
  }
  for (const [place, value] of expected.entries()) {
    const scale = scales[place]
    const where = `${what}, place ${place}`
    if (scale === undefined) assert.equal(actual[place], value, where)
    else assertClose(actual[place]!, value, { scale, what: where })
  }
}

export function assertClose(
  actual: number,
  expected: number,
  { scale, what }: { scale: number; what: string },
): void {
  const isClose = Math.abs(actual - expected) <= 1e-9 * Math.max(Math.abs(expected), scale)
  assert.ok(isClose, `${what}: ${actual} is not ${expected}`)
}
