import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { observeTime } from './deduplication.ts'
import { SeriesState } from './series-state.ts'
import { FATE_DUPLICATE, FATE_FRESH, FATE_UNVERIFIED } from './stream.ts'

/** The memory of the last series of a chunk, so that a wrong place is out of bounds. */
function memory(): (time: number) => number {
  const state = new SeriesState(1024, { slots: 2, sizes: 2 })
  const hot = state.wake(0)
  const [base, coldBase] = [1023 * state.hotStride, 1023 * state.coldStride]
  return (time) => observeTime(hot, base, state.cold[0]!, coldBase, time)
}

test('G3 a repeat is a duplicate, whichever of the last 64 it repeats', () => {
  const observe = memory()
  for (let time = 1; time <= 100; time++) assert.equal(observe(time), FATE_FRESH)
  for (let time = 37; time <= 100; time++) assert.equal(observe(time), FATE_DUPLICATE, `${time}`)
})

test('G3 what is at or below the floor is unverified, one above it is decided', () => {
  const observe = memory()
  for (let time = 1; time <= 65; time++) observe(time * 10)
  assert.equal(observe(10), FATE_UNVERIFIED)
  assert.equal(observe(11), FATE_FRESH, 'above the floor and not in memory')
  assert.equal(observe(11), FATE_UNVERIFIED, 'it was itself dropped, and is now the floor')
  assert.equal(observe(20), FATE_DUPLICATE)
})

test('G3 an older time takes its place in the order, so the oldest is dropped first', () => {
  const observe = memory()
  for (let time = 1; time <= 64; time++) observe(time * 10)
  assert.equal(observe(325), FATE_FRESH)
  assert.equal(observe(10), FATE_UNVERIFIED)
  assert.equal(observe(20), FATE_DUPLICATE)
  assert.equal(observe(325), FATE_DUPLICATE)
})

test('G3 any order of times gets the fates of a sorted list of 64', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(150), { maxLength: 300 }), (times) => {
      const observe = memory()
      let seen: number[] = []
      let floor = -Infinity
      for (const time of times) {
        let expected = FATE_FRESH
        if (time <= floor) expected = FATE_UNVERIFIED
        else if (seen.includes(time)) expected = FATE_DUPLICATE
        else seen = [...seen, time].sort((a, b) => a - b)
        if (seen.length > 64) floor = seen.shift()!
        assert.equal(observe(time), expected)
      }
    }),
  )
})
