import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Watermark } from './watermark.ts'

const TIME = { disorderUs: 10e6, idleTimeoutUs: 30e6 }

test('the watermark is the highest event time minus the disorder, and never goes back', () => {
  const watermark = new Watermark(TIME)
  assert.equal(watermark.watermarkUs, -Infinity)
  assert.equal(watermark.observe(100e6, 100e6), true)
  assert.equal(watermark.observe(90e6, 101e6), false)
  assert.equal(watermark.watermarkUs, 90e6)
})

test('an idle partition’s ticks move the watermark on; what comes behind does not move it back', () => {
  const watermark = new Watermark(TIME)
  assert.equal(watermark.tick(500e6), false, 'before the first reading nothing is late')
  watermark.observe(100e6, 100e6)
  assert.equal(watermark.tick(129.9e6), false)
  assert.equal(watermark.tick(200e6), true)
  assert.equal(watermark.watermarkUs, 160e6)
  assert.equal(watermark.observe(165e6, 201e6), false)
  assert.equal(watermark.watermarkUs, 160e6)
  assert.equal(watermark.tick(220e6), false, 'a reading came 19 s ago')
})
