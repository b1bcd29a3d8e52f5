import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { RELATIVE_ERROR, Sketch } from './sketch.ts'

const value = fc.oneof(
  fc.double({ min: -1000, max: 1000, noNaN: true }).map((one) => (Math.abs(one) < 1e-9 ? 0 : one)),
  fc.integer({ min: -3, max: 3 }),
  fc.constantFrom(0, -0, 1e-9, -1e9, 5e-324),
)
const parts = fc.array(fc.array(value, { maxLength: 60 }), { minLength: 1, maxLength: 8 })

function bytesOf(values: readonly number[]): Uint8Array {
  const sketch = new Sketch()
  for (const one of values) sketch.add(one)
  return sketch.toBytes()!
}

test('sketches that are merged tell what one of all values would: within half a percent of the rank', () => {
  fc.assert(
    fc.property(parts, fc.double({ min: 0, max: 1, noNaN: true }), (all, quantile) => {
      const sorted = all.flat().toSorted((a, b) => a - b)
      if (sorted.length === 0) return
      const merged = new Sketch()
      for (const one of all) merged.addBytes(bytesOf(one))
      const again = new Sketch()
      again.addBytes(merged.toBytes()!)
      assert.equal(again.at(quantile), merged.at(quantile))
      assert.deepEqual(merged.toBytes(), bytesOf(all.flat()))
      const rank = quantile * (sorted.length - 1)
      const [low, high] = [sorted[Math.floor(rank)]!, sorted[Math.ceil(rank)]!]
      const slack = 1 + 1e-9
      const least = low - Math.abs(low) * RELATIVE_ERROR * slack - 1e-300
      const most = high + Math.abs(high) * RELATIVE_ERROR * slack + 1e-300
      const found = merged.at(quantile)
      assert.ok(least <= found && found <= most, `${found}, not ${least} to ${most}`)
    }),
    { numRuns: 300 },
  )
})

test('values that are too far apart make no sketch to keep', () => {
  const sketch = new Sketch()
  sketch.add(1e-30)
  sketch.add(1e30)
  assert.equal(sketch.toBytes(), undefined)
})

test('whatever bytes are no sketch are refused, or read as one', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 20 }), (bytes) => {
      try {
        new Sketch().addBytes(bytes)
      } catch (error) {
        assert.equal((error as { code?: string }).code, 'DATA_FILE_DAMAGED')
      }
    }),
    { numRuns: 3000 },
  )
})
