import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { DueQueue } from './due-queue.ts'

test('what is due comes by time, then by rank, whatever the order of pushing', () => {
  const due = fc.record({ atUs: fc.nat(5), rank: fc.nat(50) })
  fc.assert(
    fc.property(fc.uniqueArray(due, { selector: ({ rank }) => rank }), (items) => {
      const queue = new DueQueue()
      for (const one of items) queue.push({ ...one, item: one.rank })
      const sorted = items.toSorted((a, b) => a.atUs - b.atUs || a.rank - b.rank)
      for (const { atUs, rank } of sorted) {
        assert.equal(queue.nextUs, atUs)
        assert.equal(queue.pop().item, rank)
      }
      assert.equal(queue.nextUs, Infinity)
    }),
  )
})
