import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeFrame } from '../batch/batch.ts'
import { Generation } from './generation.ts'
import { ChunkPool, sortReadings, SortRoom, type SortedReadings } from './recent-readings.ts'
import { makeOutput, type Reading } from './storage-fixture.ts'

const ROWS = 100_000

function fill(pool: ChunkPool, value: number): Generation {
  const generation = new Generation(0, pool)
  const readings = Array.from({ length: ROWS }, (_, row): Reading => {
    return { series: row % 3, timeUs: row, value }
  })
  generation.readings.append(decodeFrame(makeOutput({ offset: 0, readings }).frame), undefined)
  return generation
}

function valuesOf({ readings }: Generation): Set<number> {
  const values = new Set<number>()
  for (const series of [0, 1, 2]) readings.walk(series, ROWS, (_, value) => values.add(value))
  return values
}

test('T3 memory of a generation is used again after its last reader, never before', () => {
  const pool = new ChunkPool()
  const first = fill(pool, 1)
  const unpin = [first.pin(), first.pin()]
  first.retire()
  const second = fill(pool, 2)
  assert.deepEqual([...valuesOf(first)], [1])
  unpin[0]!()
  assert.deepEqual([...valuesOf(first)], [1])
  unpin[1]!()
  assert.equal(first.readings.count, 0)
  assert.deepEqual([...valuesOf(first)], [])
  // What it gave back holds the third; what the second holds is untouched.
  const third = fill(pool, 3)
  assert.deepEqual([...valuesOf(second)], [2])
  assert.deepEqual([...valuesOf(third)], [3])
})

function sort(generation: Generation, room: SortRoom): SortedReadings {
  const work = sortReadings([generation.readings], room)
  for (;;) {
    const step = work.next()
    if (step.done === true) return step.value
  }
}

test('a sort in used room equals one in fresh room, and a far smaller one gives room back', () => {
  const pool = new ChunkPool()
  const room = new SortRoom()
  const large = sort(fill(pool, 1), room)
  const same = sort(fill(pool, 2), room)
  assert.equal(same.series, large.series)
  const { count, ...columns } = same
  const fresh = sort(fill(pool, 2), new SortRoom())
  assert.equal(count, fresh.count)
  assert.deepEqual(columns, { series: fresh.series, timeUs: fresh.timeUs, value: fresh.value })
  const small = new Generation(0, pool)
  const one = makeOutput({ offset: 0, readings: [{ series: 9, timeUs: 5, value: 6 }] })
  small.readings.append(decodeFrame(one.frame), undefined)
  const sorted = sort(small, room)
  assert.deepEqual([sorted.count, sorted.series[0], sorted.timeUs[0]], [1, 9, 5])
  assert.ok(sorted.series.length < ROWS)
})
