import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { sortByTime } from './time-order.ts'

const check = (times: number[]): void => {
  const timeUs = Float64Array.from(times)
  const value = Float64Array.from(times.keys())
  sortByTime(timeUs, value, { from: 1, to: times.length })
  const inside = times.map((time, at) => ({ time, at })).slice(1)
  const expected = [{ time: times[0], at: 0 }, ...inside.toSorted((a, b) => a.time - b.time)]
  assert.deepEqual(
    [...timeUs].map((time, at) => ({ time, at: value[at] })),
    expected,
  )
}

test('T4 rows are sorted by time and equal times keep their order, however far from sorted', () => {
  const times = fc.array(fc.integer({ min: 0, max: 300 }), { minLength: 1, maxLength: 400 })
  fc.assert(fc.property(times, check))
  check(Array.from({ length: 5000 }, (_, at) => -Math.floor(at / 3)))
})
