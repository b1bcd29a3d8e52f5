import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DEVICE_MODELS, type Metrics } from './device-models.ts'

const SECOND_US = 1_000_000
const START_US = 1_790_000_000 * SECOND_US

function measure(type: string, deviceId: string, timeUs: number): Metrics {
  const model = DEVICE_MODELS.find((candidate) => candidate.type === type)
  assert.ok(model !== undefined)
  return model.measure({ seed: 1, deviceId, timeUs, startUs: START_US })
}

const secondsOf = (count: number): number[] =>
  Array.from({ length: count }, (_, i) => START_US + i * SECOND_US)

test('what a device says depends on seed, device and time alone', () => {
  for (const { type } of DEVICE_MODELS) {
    const timeUs = START_US + 12_345 * SECOND_US
    assert.deepEqual(measure(type, 'x-2', timeUs), measure(type, 'x-2', timeUs))
    assert.notDeepEqual(measure(type, 'x-2', timeUs), measure(type, 'x-3', timeUs))
    assert.notDeepEqual(measure(type, 'x-2', timeUs), measure(type, 'x-2', timeUs + SECOND_US))
  }
})

test('the first pump is above 75 °C for longer than 10 s within the first minute, and cools again', () => {
  const hot = secondsOf(60).filter(
    (timeUs) => Number(measure('pump', 'pump-01', timeUs)['temperature']) > 75,
  )
  assert.ok(hot.length > 15, `${hot.length} s`)
  const later = measure('pump', 'pump-01', START_US + 200 * SECOND_US)
  assert.ok(Number(later['temperature']) < 70)
})

test('other pumps overheat now and then, not often', () => {
  const hours = 40
  const samples = secondsOf(hours * 360).map((_, i) => START_US + i * 10 * SECOND_US)
  const hot = samples.filter(
    (timeUs) => Number(measure('pump', 'pump-07', timeUs)['temperature']) > 75,
  )
  const share = hot.length / samples.length
  assert.ok(share > 0.0005 && share < 0.02, String(share))
})

test('an energy counter never falls', () => {
  let last = -Infinity
  for (let hour = 0; hour < 500; hour++) {
    const energy = Number(
      measure('meter', 'meter-03', START_US + hour * 1800 * SECOND_US)['energy'],
    )
    assert.ok(energy > last, `${energy} after ${last}`)
    last = energy
  }
})

test('a sensor that drops out is left out of about 1 message in 100, never sent as nothing', () => {
  const messages = secondsOf(5000).map((timeUs) => measure('pump', 'pump-02', timeUs))
  const without = messages.filter((metrics) => !('vibration' in metrics)).length
  assert.ok(without > 20 && without < 90, String(without))
  for (const metrics of messages)
    for (const value of Object.values(metrics))
      assert.ok(typeof value !== 'number' || Number.isFinite(value))
})

test('a day is warmer at 14 UTC than at 2 UTC', () => {
  const at = (hour: number): number => {
    const days = Array.from({ length: 30 }, (_, day) => (day * 24 + hour) * 3600 * SECOND_US)
    const midnightUs = Math.floor(START_US / 86_400_000_000) * 86_400_000_000
    const sum = days.reduce(
      (total, offset) =>
        total + Number(measure('weather-station', 'w-1', midnightUs + offset)['temperature']),
      0,
    )
    return sum / days.length
  }
  assert.ok(at(14) - at(2) > 8)
})
