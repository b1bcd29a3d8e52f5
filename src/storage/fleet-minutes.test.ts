/** Questions about fleets by the minute, and with ends that are no whole hours. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import fc from 'fast-check'
import { DAY_US, DEVICES, FleetRun, HOUR_US, MINUTE_US, START_US, TYPES } from './fleet-fixture.ts'
import type { GroupsQuestion } from '../query/query.ts'
import type { SaidReading } from './naive-stream-fixture.ts'

const FANS = [...TYPES.keys()].filter((series) => TYPES[series] === 'fan')
/** So often that an hour of all fans is worth its minutes. */
const INTERVAL_US = 10e6

/** What all fans say in a stretch of time, now and then: regular readings take hardly any room. */
function crowd(fromUs: number, toUs: number): SaidReading[] {
  const readings: SaidReading[] = []
  let startUs = Math.ceil(fromUs / INTERVAL_US) * INTERVAL_US
  for (; startUs + INTERVAL_US <= toUs; startUs += INTERVAL_US) {
    for (const series of FANS) {
      const chance = Math.abs(Math.sin(startUs / INTERVAL_US + series * 7.7))
      const timeUs = startUs + Math.floor(chance * INTERVAL_US)
      readings.push({ series, timeUs, value: Math.round(chance * 1e4) / 100 })
    }
  }
  return readings
}

const late = fc.record({
  series: fc.nat(DEVICES.length - 1),
  /** Seconds behind the clock: minutes, or hours. */
  behind: fc.oneof(fc.integer({ min: 0, max: 900 }), fc.integer({ min: 0, max: 40_000 })),
  value: fc.integer({ min: -50, max: 50 }),
})
const end = fc.record({
  minutes: fc.integer({ min: 0, max: 400 }),
  seconds: fc.constantFrom(0, 0, 0.0001, 29.5),
})
const look = fc.record({
  from: end,
  to: end,
  stepUs: fc.constantFrom(MINUTE_US, 5 * MINUTE_US, 15 * MINUTE_US, HOUR_US, DAY_US),
})
const step = fc.record({
  minutes: fc.integer({ min: 5, max: 70 }),
  isCrowd: fc.oneof({ weight: 5, arbitrary: fc.constant(true) }, fc.constant(false)),
  late: fc.array(late, { maxLength: 3 }),
  next: fc.constantFrom(
    ...['nothing', 'commit', 'commit', 'commit', 'commit', 'ask', 'crash', 'erase', 'repair'],
  ),
  look,
})
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never

async function take(run: FleetRun, { minutes, isCrowd, late, next, look }: Step): Promise<void> {
  const beganUs = run.nowUs
  run.pass(minutes * MINUTE_US)
  if (isCrowd) run.say(crowd(beganUs, run.nowUs))
  const said = late.map(({ behind, ...one }) => ({ ...one, timeUs: run.nowUs - behind * 1e6 }))
  if (said.length > 0) run.say(said)
  if (next === 'commit') await run.commit()
  if (next === 'ask') await ask(run, look)
  if (next === 'crash') await run.crash()
  if (next === 'repair') await run.repair()
  const [first] = late
  if (next !== 'erase' || first === undefined) return
  await run.erase(first.series, run.nowUs - first.behind * 1e6 + 1)
}

/** Hours of all fans. */
async function fill(run: FleetRun, hours: number): Promise<void> {
  for (let hour = 0; hour < hours; hour++) {
    const beganUs = run.nowUs
    run.pass(HOUR_US)
    run.say(crowd(beganUs, run.nowUs))
    await run.commit()
  }
}

function ask(run: FleetRun, { from, to, stepUs }: Step['look']): Promise<void> {
  return run.check({
    startUs: START_US + from.minutes * MINUTE_US + from.seconds * 1e6,
    // Up to now, too.
    endUs: run.nowUs - Math.max(0, to.minutes - 100) * MINUTE_US + to.seconds * 1e6 + 1,
    stepUs,
  })
}

test('minutes of fleets have the answers of their readings, whatever is late, erased or lost', async () => {
  const root = await mkdtemp(join(tmpdir(), 'weir-minutes-'))
  const seen = new Set<string>()
  const property = fc.asyncProperty(
    fc.array(step, { minLength: 6, maxLength: 12 }),
    fc.array(look, { minLength: 3, maxLength: 3 }),
    fc.constantFrom([60_000, 300_000], [3_600_000]),
    async (steps, looks, windowsMs) => {
      const run = new FleetRun(root, windowsMs, seen)
      await run.open()
      try {
        await fill(run, 4)
        await run.check({ startUs: START_US + MINUTE_US, endUs: run.nowUs, stepUs: 5 * MINUTE_US })
        for (const one of steps) await take(run, one)
        for (const one of looks) await ask(run, one)
      } finally {
        await run.close()
      }
    },
  )
  await fc
    .assert(property, { numRuns: 2, endOnFailure: true })
    .finally(() => rm(root, { recursive: true, force: true }))
  for (const one of ['fleet-1h', 'fleet-1m', 'fleet-memory']) {
    assert.ok(seen.has(one), [...seen].join())
  }
})

const FAN_MINUTES: Omit<GroupsQuestion, 'startUs' | 'endUs'> = {
  ...{ tenant: 'default', metric: 'temperature', dimensions: {}, deviceTypes: ['fan'] },
  ...{ groups: 'type', stepUs: 5 * MINUTE_US, pointsMax: 10_000 },
  aggregate: 'avg',
}

async function openRun(t: TestContext): Promise<FleetRun> {
  const root = await mkdtemp(join(tmpdir(), 'weir-minutes-'))
  const run = new FleetRun(root, [60_000, 300_000], new Set())
  await run.open()
  t.after(() => run.close().finally(() => rm(root, { recursive: true, force: true })))
  return run
}

/** Where the answer came from. */
async function tiers(run: FleetRun, startUs: number): Promise<string[]> {
  // Another end each time: an answer that is kept says where it once came from.
  run.pass(1)
  const answer = await run.store.groups({ ...FAN_MINUTES, startUs, endUs: run.nowUs })
  await run.check({ startUs, endUs: run.nowUs, stepUs: 5 * MINUTE_US })
  const { meta } = answer
  const own = meta.segments_read > 0 ? [...meta.tiers, `${meta.segments_read} read`] : meta.tiers
  return own.toSorted()
}

test('a question of whole minutes up to now asks no series, and after a restart a few hours of them', async (t) => {
  const run = await openRun(t)
  await fill(run, 6)
  const startUs = START_US + HOUR_US + 17 * MINUTE_US
  assert.deepEqual(await tiers(run, startUs), ['fleet-1m', 'fleet-memory'])
  await run.crash()
  const again = await tiers(run, startUs)
  assert.ok(again.includes('fleet-1m') && !again.includes('fleet-memory'), again.join())
  await fill(run, 4)
  assert.deepEqual(await tiers(run, startUs), ['fleet-1m', 'fleet-memory'])
})

test('a minute that something came late for is made again, and so is one that something is erased of', async (t) => {
  const run = await openRun(t)
  await fill(run, 6)
  const startUs = START_US + HOUR_US
  run.say([{ series: FANS[0]!, timeUs: startUs + 90e6 + 1, value: 1e3 }])
  const unsure = await tiers(run, startUs)
  assert.ok(unsure.includes('fleet-1m') && unsure.length > 2, unsure.join())
  run.pass(31e6)
  await run.commit()
  assert.deepEqual(await tiers(run, startUs), ['fleet-1m', 'fleet-memory'])
  await run.erase(FANS[1]!, startUs + 30 * MINUTE_US)
  assert.deepEqual(await tiers(run, startUs), ['fleet-1m', 'fleet-memory'])
})

test('minutes go with the windows of their age, and hours stay', async (t) => {
  const run = await openRun(t)
  await fill(run, 5)
  const startUs = START_US + HOUR_US
  assert.ok((await tiers(run, startUs)).includes('fleet-1m'))
  const files = (): number => run.store.statistics().segmentCount
  const before = files()
  run.pass(2 * DAY_US)
  run.say(crowd(run.nowUs - MINUTE_US, run.nowUs))
  await run.commit()
  assert.ok(files() < before + 3)
  const old = { ...FAN_MINUTES, startUs, endUs: startUs + 2 * HOUR_US }
  const byMinutes = await run.store.groups(old)
  assert.ok(!byMinutes.meta.tiers.includes('fleet-1m'), byMinutes.meta.tiers.join())
  const byHours = await run.store.groups({ ...old, stepUs: HOUR_US })
  assert.deepEqual(byHours.meta.tiers, ['fleet-1h'])
  await run.check({ startUs, endUs: startUs + 2 * HOUR_US, stepUs: MINUTE_US })
})
