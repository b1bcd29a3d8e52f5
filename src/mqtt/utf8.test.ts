import assert from 'node:assert/strict'
import { isUtf8 } from 'node:buffer'
import { test } from 'node:test'
import fc from 'fast-check'
import { decodeText, findTextFault } from './utf8.ts'

/** Bytes that are nearly UTF-8: leads, continuations and the edges of the forbidden ranges. */
const nearlyText = fc.array(
  fc.constantFrom(...Buffer.from('417f808f909fa0bfc0c1c2dfe0e1ecedeeeff0f1f3f4f5ff', 'hex')),
  { maxLength: 8 },
)

test('[MQTT-1.5.4-1] [MQTT-1.5.4-2] text is sound when it is UTF-8 without U+0000', () => {
  const bytes = fc.oneof(
    nearlyText.map((list) => Uint8Array.from(list)),
    fc.uint8Array({ maxLength: 12 }),
    fc.string({ unit: 'binary' }).map((text) => new TextEncoder().encode(text)),
  )
  fc.assert(
    fc.property(bytes, (candidate) => {
      const isSound = isUtf8(candidate) && !candidate.includes(0)
      assert.equal(findTextFault(candidate, 0, candidate.length) === -1, isSound)
    }),
    { numRuns: 5000 },
  )
})

test('M1 a sequence that goes on behind the end is cut short, not completed from there', () => {
  const bytes = new TextEncoder().encode('aé€😀')
  for (let end = 0; end <= bytes.length; end++) {
    const isSound = isUtf8(bytes.subarray(0, end))
    assert.equal(findTextFault(bytes, 0, end) === -1, isSound)
  }
})

test('M3 sound text is decoded as it is', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const bytes = new TextEncoder().encode(`«${text}»`)
      assert.equal(decodeText(bytes, 2, bytes.length - 2), text.toWellFormed())
    }),
  )
})
