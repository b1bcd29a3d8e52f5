import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hottestPartition } from './hot-partition.ts'

const looks = (...counts: number[]): Float64Array => Float64Array.from(counts)

test('a partition with more than four times its share is named', () => {
  const before = looks(100, 100, 100, 100, 100, 100, 100, 100)
  const now = looks(1100, 1100, 1100, 1100, 9100, 1100, 1100, 1100)
  const hot = { partition: 4, messages: 9000, share: 0.563 }
  assert.deepEqual(hottestPartition(before, now), hot)
})

test('an even load, a small one and a single partition are not hot', () => {
  assert.equal(hottestPartition(looks(0, 0), looks(90_000, 10_000)), undefined)
  assert.equal(hottestPartition(new Float64Array(8), looks(9000, 0, 0, 0, 0, 0, 0, 0)), undefined)
  assert.equal(hottestPartition(looks(0), looks(1e6)), undefined)
})
