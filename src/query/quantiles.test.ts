import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createSeededRandom } from '../world/memory-disk.ts'
import { Quantiles } from './quantiles.ts'

test('few values are told exactly, between ranks by the line', () => {
  const quantiles = new Quantiles()
  for (const value of [4, 1, 3, 2]) quantiles.add(value)
  assert.deepEqual(
    [0, 0.5, 0.25, 1].map((at) => quantiles.at(at)),
    [1, 2.5, 1.75, 4],
  )
})

test('of many values the answer is within half a percent of one of that rank', () => {
  const random = createSeededRandom(3)
  const quantiles = new Quantiles()
  const values = Array.from({ length: 50_000 }, () => (random.unit() ** 3 - 0.2) * 1000)
  for (const value of values) quantiles.add(value)
  const sorted = values.toSorted((a, b) => a - b)
  for (const at of [0.01, 0.1, 0.5, 0.9, 0.95, 0.99]) {
    const exact = sorted[Math.round(at * (sorted.length - 1))]!
    const found = quantiles.at(at)
    assert.ok(Math.abs(found - exact) <= Math.abs(exact) * 0.011, `${at}: ${found} ${exact}`)
  }
})
