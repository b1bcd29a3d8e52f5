import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Objects } from '../objects/objects.ts'
import type { Aggregate } from '../query/query.ts'
import { nodeWorld } from '../world/node-world.ts'
import type { EmbeddedStorage } from './embedded-storage.ts'
import { LATENESS_US, NaiveStream, statsOf } from './naive-stream-fixture.ts'
import { openStorage } from './open-storage.ts'
import { ask, copyFolder, defineSeries, makeFolder, makeOutput } from './storage-fixture.ts'

const MINUTE_US = 60e6
const HOUR_US = 3_600e6
const DAY_US = 24 * HOUR_US
const START_US = Date.UTC(2026, 3, 6) * 1000
/** Nothing is ever moved here. */
const NO_OBJECTS = new Proxy({} as Objects, { get: () => assert.fail('the store was asked') })
const SERIES = [defineSeries(0, 'temperature')]

const NAMES = ['count', 'sum', 'avg', 'min', 'max', 'first', 'last'] as const

async function check(
  store: EmbeddedStorage,
  stream: NaiveStream,
  span: { startUs: number; endUs: number; stepUs: number | undefined },
): Promise<Set<string>> {
  const { startUs, endUs, stepUs } = span
  const expected = [...stream.stored.get(0)!]
    .map(([timeUs, value]) => ({ timeUs, value }))
    .filter(({ timeUs }) => startUs <= timeUs && timeUs < endUs)
    .toSorted((a, b) => a.timeUs - b.timeUs)
  const steps = Map.groupBy(expected, ({ timeUs }) =>
    stepUs === undefined ? startUs : Math.floor(timeUs / stepUs) * stepUs,
  )
  const tiers = new Set<string>()
  for (const aggregate of NAMES) {
    const { points, meta } = await store.readings({ ...ask(span), aggregate, stepUs })
    for (const tier of meta.tiers) tiers.add(tier)
    assert.deepEqual(
      points.map(([ms]) => ms * 1000),
      [...steps.keys()],
      `${aggregate} ${meta.tiers.join()}`,
    )
    for (const [ms, value] of points) {
      const wanted = statsOf(steps.get(ms * 1000)!)[aggregate as Extract<Aggregate, 'sum'>]
      assert.ok(
        Math.abs(Number(value) - wanted) < 1e-6,
        `${aggregate} at ${ms}: ${value} ${wanted}`,
      )
    }
  }
  return tiers
}

const reading = fc.record({
  /** Minutes behind the clock: mostly now, sometimes hours or days. */
  behind: fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: 0, max: 240 }) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 6000 }) },
  ),
  value: fc.integer({ min: -50, max: 50 }),
  /** So many in a row, so that an hour of them is worth a row. */
  burst: fc.oneof(
    { weight: 4, arbitrary: fc.constant(1) },
    { weight: 1, arbitrary: fc.constant(170) },
  ),
})
const step = fc.record({
  hours: fc.integer({ min: 1, max: 9 }),
  readings: fc.array(reading, { minLength: 1, maxLength: 12 }),
  next: fc.constantFrom('nothing', 'commit', 'commit', 'overtaken', 'crash'),
})

test('hours and days are summed up when they are over, and whatever comes late is in every answer', async () => {
  const root = await mkdtemp(join(tmpdir(), 'weir-summaries-'))
  const seen = new Set<string>()
  let runs = 0
  const property = fc.asyncProperty(
    fc.array(step, { minLength: 8, maxLength: 24 }),
    fc.integer({ min: 0, max: 100 }),
    fc.constantFrom([60_000], [3_600_000], [60_000, 3_600_000], [300_000, 86_400_000]),
    async (steps, offsetHours, windowsMs) => {
      let folder = join(root, String(runs++))
      let nowUs = START_US
      const clock = { ...nodeWorld.clock, nowUs: () => nowUs }
      const open = (): Promise<EmbeddedStorage> =>
        openStorage({
          folder,
          world: { ...nodeWorld, clock },
          options: {
            ...{ mergeFanIn: 3, allowedLatenessMs: LATENESS_US / 1000 },
            aging: {
              agesOf: () => ({ hotUs: DAY_US, warmUs: Infinity, coldUs: Infinity }),
              ...{ isExportedFirst: false, intervalMs: 0, objects: NO_OBJECTS },
            },
          },
        })
      let store = await open()
      const stream = new NaiveStream(SERIES, windowsMs)
      try {
        for (const { hours, readings, next } of steps) {
          nowUs += hours * HOUR_US
          const own = readings.flatMap(({ behind, value, burst }) =>
            Array.from({ length: burst }, (_, at) => ({
              ...{ series: 0, timeUs: nowUs - behind * MINUTE_US - at * 17e6 },
              value: value + (at % 11) / 4,
            })),
          )
          store.output(makeOutput(stream.output(own)))
          if (next === 'commit' || next === 'overtaken') {
            const committed = store.commit({ offset: stream.outputs.length - 1, parts: [] })
            if (next === 'overtaken') {
              // Two days go by in memory while it is written.
              for (const hoursLater of [5, 29, 58]) {
                const timeUs = nowUs + hoursLater * HOUR_US
                store.output(makeOutput(stream.output([{ series: 0, timeUs, value: hoursLater }])))
              }
              nowUs += 58 * HOUR_US
            }
            await committed
            await store.settle()
          }
          if (next !== 'crash') continue
          const copy = join(root, String(runs++))
          copyFolder(folder, copy)
          await store.close()
          folder = copy
          store = await open()
          const { nextOffset } = await store.recover()
          for (const output of stream.outputs.slice(Math.max(0, nextOffset - 1))) {
            store.output(makeOutput(output))
          }
        }
        const all = { startUs: START_US - 10 * DAY_US, endUs: nowUs + DAY_US }
        const part = { startUs: START_US + offsetHours * HOUR_US + 1234, endUs: nowUs - 777 }
        for (const stepUs of [HOUR_US, DAY_US, 7 * DAY_US, undefined]) {
          for (const tier of await check(store, stream, { ...all, stepUs })) seen.add(tier)
          for (const tier of await check(store, stream, { ...part, stepUs })) seen.add(tier)
        }
      } finally {
        await store.close()
      }
    },
  )
  await fc
    .assert(property, { numRuns: 4, endOnFailure: true })
    .finally(() => rm(root, { recursive: true, force: true }))
  assert.ok(seen.has('rollup-1h') && seen.has('rollup-1d'), [...seen].join())
})

test('what came late is summed up again within a minute, and until then readings tell', async (t) => {
  const folder = await makeFolder(t)
  const clockMs = { now: START_US / 1000 }
  const clock = { ...nodeWorld.clock, nowUs: () => clockMs.now * 1000 }
  const store = await openStorage({
    folder,
    world: { ...nodeWorld, clock: { ...clock, monotonicMs: () => clockMs.now } },
    // What is kept says where it once came from.
    options: { allowedLatenessMs: LATENESS_US / 1000, answersBytesMax: 0 },
  })
  const stream = new NaiveStream(SERIES, [7 * 60_000])
  const say = async (timesUs: number[]): Promise<void> => {
    clockMs.now = Math.max(clockMs.now, ...timesUs.map((us) => us / 1000))
    const own = timesUs.map((timeUs, at) => ({ series: 0, timeUs, value: Math.sin(at) }))
    store.output(makeOutput(stream.output(own)))
    await store.commit({ offset: stream.outputs.length - 1, parts: [] })
    await store.settle()
  }
  await say(Array.from({ length: 30 * 120 }, (_, at) => START_US + at * 30e6))
  const endUs = START_US + 24 * HOUR_US
  const span = { startUs: START_US + HOUR_US, endUs, stepUs: HOUR_US }
  const tiers = async (): Promise<string[]> => [...(await check(store, stream, span))]
  assert.deepEqual(await tiers(), ['rollup-1h'])
  await say([START_US + 5 * HOUR_US + 1])
  assert.deepEqual(await tiers(), ['rollup-1h', 'hot'])
  clockMs.now += 31_000
  await say([clockMs.now * 1000])
  assert.deepEqual(await tiers(), ['rollup-1h'])
  await store.close()
})

test('the last hours before a silence are summed up, whatever of them was late', async (t) => {
  const folder = await makeFolder(t)
  const options = { allowedLatenessMs: LATENESS_US / 1000, answersBytesMax: 0 }
  const store = await openStorage({ folder, world: nodeWorld, options })
  const stream = new NaiveStream(SERIES, [60_000, 7 * 60_000])
  const hours = (from: number, to: number) =>
    Array.from({ length: (to - from) * 240 }, (_, at) => {
      return { series: 0, timeUs: START_US + from * HOUR_US + at * 15e6, value: Math.sin(at) }
    })
  stream.output(hours(0, 1))
  // The clock goes on, and all that comes behind it is late.
  stream.silence(START_US + 2 * DAY_US)
  stream.output(hours(1, 24))
  for (const output of stream.outputs) store.output(makeOutput(output))
  await store.commit({ offset: stream.outputs.length - 1, parts: [] })
  await store.settle()
  const span = { startUs: START_US, endUs: START_US + DAY_US }
  assert.deepEqual([...(await check(store, stream, { ...span, stepUs: DAY_US }))], ['rollup-1d'])
  await store.close()
})

test('hours and days of a month that is not over are in few files', async (t) => {
  const folder = await makeFolder(t)
  let nowUs = START_US
  const clock = { ...nodeWorld.clock, nowUs: () => nowUs }
  const store = await openStorage({
    folder,
    world: { ...nodeWorld, clock },
    options: { mergeFanIn: 3, allowedLatenessMs: LATENESS_US / 1000 },
  })
  const stream = new NaiveStream(SERIES, [3_600_000])
  const days = 14
  for (let hour = 0; hour < days * 24; hour += 8) {
    const own = Array.from({ length: 8 * 120 }, (_, at) => {
      const timeUs = START_US + hour * HOUR_US + at * 30e6
      return { series: 0, timeUs, value: at % 50 }
    })
    nowUs = own.at(-1)!.timeUs
    store.output(makeOutput(stream.output(own)))
    await store.commit({ offset: stream.outputs.length - 1, parts: [] })
    await store.settle()
  }
  const files = await nodeWorld.disk.list(join(folder, 'segments'))
  const summaries = files.filter((file) => file.startsWith('summary-'))
  const span = { startUs: START_US, endUs: nowUs, stepUs: HOUR_US }
  const tiers = await check(store, stream, span)
  await store.close()
  assert.ok(tiers.has('rollup-1h'), [...tiers].join())
  assert.ok(summaries.length > 0 && summaries.length <= 8, summaries.join())
})

test('a history that comes behind the first live hours is summed up back to its beginning', async (t) => {
  const folder = await makeFolder(t)
  const options = { allowedLatenessMs: LATENESS_US / 1000, answersBytesMax: 0 }
  const stream = new NaiveStream(SERIES, [7 * 60_000])
  const say = async (store: EmbeddedStorage, fromUs: number, hours: number): Promise<void> => {
    const own = Array.from({ length: hours * 120 }, (_, at) => {
      return { series: 0, timeUs: fromUs + at * 30e6, value: Math.sin(at) }
    })
    store.output(makeOutput(stream.output(own)))
    await store.commit({ offset: stream.outputs.length - 1, parts: [] })
    await store.settle()
  }
  let store = await openStorage({ folder, world: nodeWorld, options })
  await say(store, START_US + 7.3 * HOUR_US, 30)
  // The days before that one, and behind a hole of weeks what is a month older.
  await say(store, START_US - 2 * DAY_US, 2 * 24)
  await say(store, START_US - 40 * DAY_US, 20 * 24)
  const isSummedUp = async (fromHour: number, toHour: number): Promise<void> => {
    const span = { startUs: START_US + fromHour * HOUR_US, endUs: START_US + toHour * HOUR_US }
    const hours = await check(store, stream, { ...span, stepUs: HOUR_US })
    assert.deepEqual([...hours], ['rollup-1h'], `from hour ${fromHour}`)
    const days = {
      startUs: Math.ceil(span.startUs / DAY_US) * DAY_US,
      endUs: Math.floor(span.endUs / DAY_US) * DAY_US,
    }
    assert.deepEqual([...(await check(store, stream, { ...days, stepUs: DAY_US }))], ['rollup-1d'])
  }
  await isSummedUp(-40 * 24, -20 * 24)
  await isSummedUp(-2 * 24, 0)
  await store.close()
  store = await openStorage({ folder, world: nodeWorld, options })
  await store.recover()
  await isSummedUp(-40 * 24, -20 * 24)
  // What comes for it again is late, as anywhere.
  await say(store, START_US - 30 * DAY_US + 10e6, 1)
  const touched = {
    startUs: START_US - 30 * DAY_US,
    endUs: START_US - 29 * DAY_US,
    stepUs: HOUR_US,
  }
  assert.ok((await check(store, stream, touched)).has('rollup-1h'))
  await store.close()
})
