import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LateRanges } from './late-ranges.ts'

const span = (startUs: number, endUs: number) => ({ startUs, endUs })

test('what is committed while summaries are made again stays late, here and in the catalogue', () => {
  const late = new LateRanges(new Map([[1, [span(0, 100)]]]))
  const before = late.look()
  late.renew([1], [span(0, 60)])
  assert.deepEqual(late.look().of(1), [span(0, 100)], 'hidden until they count')
  late.add(1, span(10, 20))
  const { late: stored, lateSealed } = late.seal()
  assert.deepEqual(stored.get(1), [span(0, 100)])
  late.add(1, span(200, 210))
  late.commit(lateSealed[0]!)
  const left = [span(10, 20), span(60, 100)]
  assert.deepEqual(late.afterRenewal().get(1), left)
  late.renewed()
  late.keep()
  assert.deepEqual(late.committed.get(1), left)
  assert.deepEqual(late.look().of(1), [...left, span(200, 210)])
  late.renew([1], [span(0, 300)])
  late.renewed()
  const { endUs } = before.of(1).at(0)!
  assert.equal(endUs, 100, 'whoever looked before has the old summaries, and knows what is late')
})

test('what could not be made again is late as before', () => {
  const late = new LateRanges(new Map([[1, [span(0, 100)]]]))
  late.renew([1], [span(20, 60)])
  assert.deepEqual(late.committed.get(1), [span(0, 20), span(60, 100)])
  late.keep()
  assert.deepEqual(late.committed.get(1), [span(0, 100)])
})
