import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LatePartials } from './late-partials.ts'
import { PartialRows } from './partial-rows.ts'
import { PARTIAL_COUNT, PARTIAL_MEAN, PARTIAL_STRIDE, PARTIAL_SUM } from './stream.ts'

const partials = (rowsMax: number) => {
  const rows = new PartialRows()
  return { rows, late: new LatePartials([60_000], rowsMax, rows) }
}

test('what was touched is emitted before it expires', () => {
  const { rows, late } = partials(10)
  late.add(0, 0, 1, 5e6, 2)
  late.add(0, 0, 1, 6e6, 4)
  late.expire(0, 0)
  late.flush()
  const emitted = rows.take()!
  assert.equal(emitted.length, PARTIAL_STRIDE)
  const [count, sum, mean] = [PARTIAL_COUNT, PARTIAL_SUM, PARTIAL_MEAN].map((at) => emitted[at])
  assert.deepEqual([count, sum, mean], [2, 6, 3])
  assert.equal(late.count, 0)
})

test('promise 5: the bound counts what is held, and expiry makes room', () => {
  const { late } = partials(2)
  assert.deepEqual(
    [1, 2, 3].map((series) => late.add(0, series < 2 ? 0 : 60_000, series, 1, 1)),
    [true, true, false],
  )
  late.flush()
  late.expire(0, 0)
  assert.equal(late.add(0, 60_000, 3, 1, 1), true)
  assert.equal(late.count, 2)
})
