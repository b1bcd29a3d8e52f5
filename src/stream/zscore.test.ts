import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { twoPass } from './oracle.ts'
import { ZScore } from './zscore.ts'

const detectorOf = (n: number, threshold = 0): ZScore => {
  const zscore = new ZScore(
    { id: 'z', type: undefined, metric: 'a', kind: 'zscore', n, threshold },
    1024,
  )
  zscore.attach(0)
  return zscore
}

function assertAsNaive(values: number[], n: number): void {
  const zscore = detectorOf(n)
  for (const [i, value] of values.entries()) {
    const score = zscore.observe(0, value)
    const before = values.slice(Math.max(0, i - n), i)
    const { mean, squares } = twoPass(before.length === n ? before : [0])
    if (before.length < n || squares === 0) {
      assert.ok(Number.isNaN(score), `value ${i} has nothing to be compared with`)
      continue
    }
    const expected = (value - mean) / Math.sqrt(squares / (n - 1))
    const isClose = Math.abs(score - expected) <= 1e-9 * Math.max(1, Math.abs(expected))
    assert.ok(isClose, `value ${i}: ${score} is not ${expected}`)
  }
}

test('a score is within 1e-9 of two passes, also behind outliers and steps', () => {
  const noise = fc.integer({ min: -1000, max: 1000 }).map((k) => k / 1000)
  const value = fc.oneof(
    { weight: 20, arbitrary: noise },
    { weight: 1, arbitrary: fc.constantFrom(1e6, -1e9, 1e4) },
  )
  fc.assert(
    fc.property(
      fc.array(value, { minLength: 20, maxLength: 200 }),
      fc.integer({ min: 2, max: 40 }),
      assertAsNaive,
    ),
    { numRuns: 300 },
  )
})

test('a score is within 1e-9 of two passes for a large mean with a small spread', () => {
  const values = Array.from({ length: 5000 }, (_, i) => 1e9 + ((i * 7919) % 1024) / 1024)
  assertAsNaive(values, 32)
})

test('a score never is for fewer than n readings before, nor for a deviation of 0', () => {
  const zscore = detectorOf(4)
  const scores = [5, 5, 5, 5, 5, 9, 5].map((value) => zscore.observe(0, value))
  assert.deepEqual(scores.slice(0, 6), Array(6).fill(NaN))
  assert.equal(scores[6], -0.5)
})

test('a score reaches the threshold when it equals it', () => {
  const values = [0, 2, 0, 2]
  const { squares } = twoPass(values)
  const threshold = 3 / Math.sqrt(squares / 3)
  for (const [last, isFound] of [
    [4, true],
    [3.999_999, false],
  ] as const) {
    const zscore = detectorOf(4, threshold)
    for (const value of values) zscore.observe(0, value)
    assert.equal(!Number.isNaN(zscore.observe(0, last)), isFound)
  }
})
