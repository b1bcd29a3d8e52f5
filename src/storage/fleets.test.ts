import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { DAY_US, DEVICES, FleetRun, HOUR_US, MINUTE_US, START_US } from './fleet-fixture.ts'

const reading = fc.record({
  series: fc.nat(DEVICES.length - 1),
  /** Minutes behind the clock: mostly now, sometimes hours or days. */
  behind: fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: 0, max: 200 }) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 5000 }) },
  ),
  value: fc.integer({ min: -50, max: 50 }),
  /** So many in a row, so that an hour of them is worth a row. */
  burst: fc.oneof(
    { weight: 4, arbitrary: fc.constant(1) },
    { weight: 1, arbitrary: fc.constant(170) },
  ),
})
const step = fc.record({
  hours: fc.integer({ min: 1, max: 12 }),
  readings: fc.array(reading, { minLength: 1, maxLength: 15 }),
  next: fc.constantFrom('nothing', 'commit', 'commit', 'commit', 'crash', 'erase', 'ask', 'repair'),
})

type Step = typeof step extends fc.Arbitrary<infer S> ? S : never

async function take(run: FleetRun, { hours, readings, next }: Step): Promise<void> {
  run.pass(hours * HOUR_US)
  const said = readings.flatMap(({ series, behind, value, burst }) =>
    Array.from({ length: burst }, (_, at) => ({
      series,
      timeUs: run.nowUs - behind * MINUTE_US - at * 17e6,
      value: value + (at % 11) / 4,
    })),
  )
  run.say(said)
  if (next === 'commit') await run.commit()
  if (next === 'ask') await run.check({ startUs: 0, endUs: 4e15, stepUs: HOUR_US })
  if (next === 'erase') await run.erase(readings[0]!.series, run.nowUs - 3 * HOUR_US)
  if (next === 'crash') await run.crash()
  if (next === 'repair') await run.repair()
}

async function checkAll(run: FleetRun, offsetHours: number): Promise<void> {
  const all = { startUs: START_US - 10 * DAY_US, endUs: run.nowUs + DAY_US }
  const part = { startUs: START_US + offsetHours * HOUR_US + 1234, endUs: run.nowUs - 777 }
  for (const stepUs of [HOUR_US, 2 * HOUR_US, DAY_US, 7 * DAY_US]) {
    await run.check({ ...all, stepUs })
    await run.check({ ...part, stepUs })
  }
}

test('questions about many devices have the answers of their readings, whatever is late or erased', async () => {
  const root = await mkdtemp(join(tmpdir(), 'weir-fleets-'))
  const seen = new Set<string>()
  const property = fc.asyncProperty(
    fc.array(step, { minLength: 6, maxLength: 20 }),
    fc.integer({ min: 0, max: 60 }),
    fc.constantFrom([60_000], [3_600_000], [60_000, 3_600_000]),
    async (steps, offsetHours, windowsMs) => {
      const run = new FleetRun(root, windowsMs, seen)
      await run.open()
      try {
        for (const one of steps) await take(run, one)
        await checkAll(run, offsetHours)
      } finally {
        await run.close()
      }
    },
  )
  await fc
    .assert(property, { numRuns: 4, endOnFailure: true })
    .finally(() => rm(root, { recursive: true, force: true }))
  for (const one of ['fleet-1h', 'p50 within 0.005', 'p50 within 0']) {
    assert.ok(seen.has(one), [...seen].join())
  }
})
