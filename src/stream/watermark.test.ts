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
  assert.equal(watermark.tick(500e6, 1e6), false, 'before the first reading nothing is late')
  watermark.observe(100e6, 100e6)
  assert.equal(watermark.tick(129.9e6, 29.9e6), false)
  assert.equal(watermark.tick(200e6, 70.1e6), true)
  assert.equal(watermark.watermarkUs, 160e6)
  assert.equal(watermark.observe(165e6, 201e6), false)
  assert.equal(watermark.watermarkUs, 160e6)
  assert.equal(watermark.tick(220e6, 1e6), false, 'a reading came 19 s ago')
})

test('a clock that was set back behind the devices’ own holds no window open', () => {
  const watermark = new Watermark(TIME)
  watermark.observe(1000e6, 1000e6)
  // The gateway's clock is set to 10 s; what waits for a duration is moved along with it.
  watermark.lastIngestUs = 10e6
  for (let second = 11; second <= 40; second++) watermark.tick(second * 1e6, 1e6)
  assert.equal(watermark.watermarkUs, 990e6, 'not idle yet')
  for (let second = 41; second <= 60; second++) watermark.tick(second * 1e6, 1e6)
  assert.equal(watermark.watermarkUs, 1010e6)
})
