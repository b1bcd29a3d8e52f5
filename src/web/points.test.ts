import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Points } from './points.ts'
import type { Value } from '../query/query.ts'

const pointsOf = (...points: [number, Value | null][]): Points => {
  const made = new Points()
  made.add(points)
  return made
}

test('whatever came live and whatever is answered again: each point once, in order of time', () => {
  const point = fc.tuple(fc.integer({ min: 0, max: 50 }), fc.integer({ min: 0, max: 3 }))
  fc.assert(
    fc.property(fc.array(point), fc.array(point), (live, answered) => {
      const points = pointsOf(...live)
      points.add(answered)
      points.add(live)
      const wanted = new Set([...live, ...answered].map(([ms, value]) => `${ms}:${value}`))
      const [times, values] = points.columns()
      const drawn = times.map((ms, index) => `${ms}:${values[index]}`)
      const found = drawn.filter((_, index) => values[index] !== null)
      assert.deepEqual(new Set(found), wanted)
      assert.equal(found.length, wanted.size)
      assert.deepEqual(
        times,
        times.toSorted((a, b) => a - b),
      )
    }),
  )
})

test('a silence breaks the line, a usual pause does not', () => {
  const steady = Array.from({ length: 20 }, (_, i): [number, number] => [i * 1000, i])
  assert.equal(pointsOf(...steady).columns()[0].length, 20)
  const [times, values] = pointsOf(...steady, [100_000, 1], [101_000, 2]).columns()
  assert.equal(times.length, 23)
  assert.equal(values.indexOf(null), 20)
})

test('a state holds through a silence', () => {
  const states: [number, Value][] = [1, 2, 3, 4, 5, 500].map((s) => [s * 1000, s % 2 === 0])
  const points = pointsOf(...states)
  assert.equal(points.kind, 'boolean')
  assert.deepEqual(points.columns()[1], [0, 1, 0, 1, 0, 1])
})

test('texts are numbered as they are first seen', () => {
  const points = pointsOf([1, 'idle'], [2, 'heating'], [3, 'idle'])
  assert.equal(points.kind, 'text')
  assert.deepEqual(points.texts, ['idle', 'heating'])
  assert.deepEqual(points.columns()[1], [0, 1, 0])
})

test('what left the window is forgotten', () => {
  const points = pointsOf([1, 1], [2, 2], [3, 3])
  points.trimBefore(2)
  assert.deepEqual(points.columns()[0], [2, 3])
})

test('the extremes leave out steps without a value', () => {
  assert.deepEqual(pointsOf([1, 2], [2, null], [3, 4]).extremes(), { min: 2, max: 4 })
  assert.equal(pointsOf([1, null]).extremes(), undefined)
})
