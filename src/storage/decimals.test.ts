import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { NO_SCALE, POWERS_OF_TEN, scaleOf } from './decimals.ts'

const scale = (...values: number[]): number => scaleOf(Float64Array.from(values), 0, values.length)

test('the least scale of which all are decimals', () => {
  assert.equal(scale(1, 2, 3e9), 0)
  assert.equal(scale(21.5, 20), 1)
  assert.equal(scale(21.5, 21.53, 1), 2)
  assert.equal(scale(0.1 + 0.2), NO_SCALE)
  assert.equal(scale(52.370216, -4.895168), 6)
  assert.equal(scale(1, 1 / 3), NO_SCALE)
  assert.equal(scale(0, -0), NO_SCALE)
  assert.equal(scale(NaN), NO_SCALE)
  assert.equal(scale(Infinity), NO_SCALE)
  assert.equal(scale(2 ** 51), NO_SCALE)
  // Either alone would do, both together leave no room.
  assert.equal(scale(1e14, 0.001), NO_SCALE)
})

test('what has a scale comes back bit by bit; what has few digits has one', () => {
  const short = fc
    .tuple(fc.integer({ min: -999_999_999, max: 999_999_999 }), fc.integer({ min: 0, max: 6 }))
    .map(([digits, places]) => Number(`${digits}e-${places}`))
  const isShort = fc.property(fc.array(short, { minLength: 1 }), (values) => {
    fc.pre(!values.some((value) => Object.is(value, -0)))
    assert.ok(scale(...values) >= 0)
  })
  fc.assert(isShort)
  const any = fc.oneof(short, fc.double())
  const comesBack = fc.property(fc.array(any, { minLength: 1, maxLength: 5 }), (values) => {
    const found = scale(...values)
    if (found === NO_SCALE) return
    const power = POWERS_OF_TEN[found]!
    for (const value of values) {
      const mantissa = Math.round(value * power)
      assert.ok(Math.abs(mantissa) <= 2 ** 50)
      assert.ok(Object.is(mantissa / power, value), `${value}`)
    }
  })
  fc.assert(comesBack, { numRuns: 2000 })
})
