import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { addSpan, alignOutwards, clipSpans, contains, subtractSpans } from './spans.ts'

const span = fc
  .tuple(fc.integer({ min: 0, max: 60 }), fc.integer({ min: 1, max: 20 }))
  .map(([startUs, length]) => ({ startUs, endUs: startUs + length }))

test('a list of spans covers what was added, stays in order and apart, and within its limit', () => {
  fc.assert(
    fc.property(fc.array(span), fc.integer({ min: 1, max: 5 }), (added, limit) => {
      const bounded = added.reduce<(typeof added)[number][]>(
        (all, one) => addSpan(all, one, limit),
        [],
      )
      const exact = alignOutwards(added, 1)
      assert.ok(bounded.length <= limit)
      for (let at = 0; at < 90; at++) {
        assert.equal(contains(exact, at), contains(added, at))
        if (contains(added, at)) assert.ok(contains(bounded, at))
      }
      for (const [at, one] of bounded.entries()) {
        assert.ok(at === 0 || bounded[at - 1]!.endUs < one.startUs)
      }
    }),
  )
})

test('clipping and subtracting cut a span in two parts that make it whole', () => {
  fc.assert(
    fc.property(fc.array(span), span, (added, within) => {
      const spans = alignOutwards(added, 1)
      const inside = clipSpans(within, spans)
      const outside = subtractSpans(within, spans)
      for (let at = 0; at < 90; at++) {
        const isWithin = contains([within], at)
        assert.equal(contains(inside, at), isWithin && contains(spans, at))
        assert.equal(contains(outside, at), isWithin && !contains(spans, at))
      }
    }),
  )
})
