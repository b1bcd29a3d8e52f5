import assert from 'node:assert/strict'
import { test } from 'node:test'
import { notificationOf } from '../notify/notification-fixture.ts'
import { SimulatedClock } from '../world/simulated-clock.ts'
import { withChart, type AskReadings } from './charts.ts'

async function chartOf(readings: AskReadings) {
  const clock = new SimulatedClock()
  const asked = withChart(notificationOf(), { tenant: 'default', readings, clock })
  await clock.run(1000)
  return (await asked).chart
}

test('A message has the readings from before the breach up to now', async () => {
  const asked: unknown[] = []
  const chart = await chartOf(async (...given) => {
    asked.push(...given)
    return { timesUs: [1, 2], values: [3, 4] }
  })
  assert.deepEqual(chart, { timesUs: [1, 2], values: [3, 4] })
  const { alert, createdAtUs } = notificationOf()
  const fromUs = alert.sinceUs - 1_800_000_000
  assert.deepEqual(asked, ['default', 'pump-01', 'temperature', fromUs, createdAtUs])
})

test('Readings that come late, fail or are too many leave the message without a chart', async () => {
  const many = Array.from({ length: 5001 }, (_, at) => at)
  const answers: AskReadings[] = [
    () => new Promise(() => undefined),
    () => Promise.reject(new Error('away')),
    async () => ({ timesUs: many, values: many }),
    async () => undefined,
  ]
  for (const readings of answers) assert.equal(await chartOf(readings), undefined)
})
