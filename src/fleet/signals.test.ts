import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { daily, drift, episode, gaussian, keyOf, uniform } from './signals.ts'

const MINUTE_US = 60_000_000

test('a key depends on the seed, on each name and on where a name ends', () => {
  const keys = [
    keyOf(1, 'a', 'b'),
    keyOf(2, 'a', 'b'),
    keyOf(1, 'ab'),
    keyOf(1, 'b', 'a'),
    keyOf(1),
  ]
  assert.equal(new Set(keys).size, keys.length)
})

test('uniform stays in [0, 1) for every index up to 2^53 and gives the same again', () => {
  fc.assert(
    fc.property(fc.integer(), fc.maxSafeNat(), (key, index) => {
      const value = uniform(key, index)
      assert.ok(value >= 0 && value < 1)
      assert.equal(uniform(key, index), value)
    }),
  )
})

test('uniform fills ten bins evenly, also over indexes that are milliseconds of today', () => {
  const bins = Array.from({ length: 10 }, () => 0)
  for (let i = 0; i < 20_000; i++) {
    const bin = Math.floor(uniform(keyOf(3, 'x'), 1_790_000_000_000 + i * 1000) * 10)
    bins[bin] = (bins[bin] ?? 0) + 1
  }
  // Five deviations of a binomial count around 2,000.
  for (const count of bins) assert.ok(Math.abs(count - 2000) < 5 * Math.sqrt(1800), String(bins))
})

test('gaussian has mean 0 and deviation 1', () => {
  const values = Array.from({ length: 20_000 }, (_, i) => gaussian(keyOf(5, 'noise'), i))
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  const square = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length
  assert.ok(Math.abs(mean) < 0.04, String(mean))
  assert.ok(Math.abs(Math.sqrt(square) - 1) < 0.04, String(square))
})

test('drift stays in [-1, 1] and is continuous, also where one step ends and the next begins', () => {
  fc.assert(
    fc.property(fc.integer(), fc.nat(1_000_000), (key, step) => {
      const border = step * MINUTE_US
      const before = drift(key, border - 1, MINUTE_US)
      const after = drift(key, border, MINUTE_US)
      assert.ok(Math.abs(after) <= 1 && Math.abs(before - after) < 1e-3)
    }),
  )
})

test('a daily cycle is highest at its hour and lowest twelve hours later', () => {
  const hour = (h: number): number => h * 3_600_000_000
  assert.ok(Math.abs(daily(hour(24 * 20_000 + 14), 14) - 1) < 1e-9)
  assert.ok(Math.abs(daily(hour(24 * 20_000 + 2), 14) + 1) < 1e-9)
})

test('each span holds at most one episode of the given length, as often as its probability says', () => {
  const policy = { periodUs: 10 * MINUTE_US, lengthUs: MINUTE_US, probability: 0.5 }
  let seconds = 0
  let begins = 0
  const spans = 400
  for (let t = 0; t < spans * 600; t++) {
    const now = episode(77, t * 1_000_000, policy)
    const next = episode(77, (t + 1) * 1_000_000, policy)
    if (now !== undefined) {
      seconds++
      assert.ok(now >= 0 && now < 1)
    }
    if (now === undefined && next !== undefined) begins++
  }
  assert.ok(Math.abs(begins / spans - 0.5) < 0.1, String(begins))
  assert.ok(Math.abs(seconds / begins - 60) <= 1, `${seconds} s in ${begins} episodes`)
})
