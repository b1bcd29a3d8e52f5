import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mergeDebt, planMerge } from './merge-plan.ts'
import { segmentFile, type Segment } from './segment-set.ts'

const POLICY = { targetRows: 4096, fanIn: 4 }

const segment = (firstOffset: number, lastOffset: number, rows: number): Segment => ({
  kind: 'readings',
  file: segmentFile('readings', firstOffset, lastOffset),
  ...{ firstOffset, lastOffset, rows, bytes: rows },
  ...{
    minSeries: 0,
    maxSeries: 0,
    minTimeUs: 0,
    maxTimeUs: 0,
    hasUnverified: false,
    tail: undefined,
  },
})

test('many small commits leave few segments, each reading rewritten about once per tier', () => {
  let segments: Segment[] = []
  let rewritten = 0
  const commits = 2000
  for (let offset = 0; offset < commits; offset++) {
    segments.push(segment(offset, offset, 10))
    for (;;) {
      const run = planMerge(segments, POLICY)
      if (run.length === 0) break
      const at = segments.indexOf(run[0]!)
      // Neighbours only: what lies between in offset order is in the run.
      assert.deepEqual(segments.slice(at, at + run.length), run)
      const rows = run.reduce((sum, one) => sum + one.rows, 0)
      rewritten += rows
      segments.splice(at, run.length, segment(run[0]!.firstOffset, run.at(-1)!.lastOffset, rows))
    }
    assert.equal(mergeDebt(segments, POLICY), 0)
  }
  assert.ok(segments.length <= 5 + 5 * POLICY.fanIn, `${segments.length} segments`)
  assert.ok(rewritten <= commits * 10 * 6, `${rewritten} rows rewritten`)
})
