import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import type { Query, ReadingsAnswer, ReadingsQuestion, WindowsQuestion } from '../query/query.ts'
import { SimulatedClock } from '../world/simulated-clock.ts'
import { CachedQuery } from './cache.ts'
import { MemoryCache } from './memory-cache.ts'

const LATENESS_US = 3_600_000_000

/** A store whose every look is another one, so that a kept answer shows. */
class CountingQuery {
  asked = 0
  completenessNow = 1
  waits: Promise<unknown> = Promise.resolve()
  points = 1

  async readings(question: ReadingsQuestion): Promise<ReadingsAnswer> {
    const ts = ++this.asked
    await this.waits
    const { metric, dimensions } = question
    const counts = { segments_read: 0, segments_skipped: 0, segments_damaged: 0, cached: false }
    const points = Array.from({ length: this.points }, (_, at): [number, number] => [ts, at / 3])
    return {
      points,
      meta: {
        series: [{ metric, dimensions }],
        tiers: ['memory'],
        resolution_ms: 0,
        completeness: this.completenessNow,
        ...counts,
      },
    }
  }

  async windows() {
    const window_start = ++this.asked
    const windows = [
      { window_start, count: 1, sum: 1, avg: 1, min: 1, max: 1, stddev: null, first: 1, last: 1 },
    ]
    const counts = { segments_read: 0, segments_skipped: 0, segments_damaged: 0, cached: false }
    return { windows, meta: { tiers: [], resolution_ms: 1, completeness: 1, ...counts } }
  }
}

function setUp(bytesMax = 8 * 1024 * 1024) {
  const clock = new SimulatedClock()
  const inner = new CountingQuery()
  const cache = new MemoryCache({ clock, bytesMax })
  const erasures = { count: 0 }
  const parts = {
    ...{ query: inner as unknown as Query, cache, clock, allowedLatenessUs: LATENESS_US },
    version: async () => String(erasures.count),
  }
  const [query, other] = [new CachedQuery(parts), new CachedQuery(parts)]
  return { clock, inner, cache, query, other, erasures }
}

const readings = (endUs: number, more: Partial<ReadingsQuestion> = {}): ReadingsQuestion => ({
  ...{ tenant: 'default', deviceId: 'pump-1', metric: 'flow', startUs: 0, endUs, dimensions: {} },
  ...{ aggregate: undefined, stepUs: undefined, pointsMax: 100 },
  ...more,
})

const windows = (endUs: number, windowMs: number): WindowsQuestion => ({
  ...{ tenant: 'default', deviceId: 'pump-1', metric: 'flow', startUs: 0, endUs, dimensions: {} },
  windowMs,
})

test('an answer is kept for a second when its span touches the present', async () => {
  const { clock, query, other } = setUp()
  const question = readings(clock.nowUs())
  const first = await query.readings(question)
  assert.equal(first.meta.cached, false)
  await clock.run(999)
  // Whoever shares the cache gets it, too.
  const second = await other.readings(question)
  assert.deepEqual(second, { ...first, meta: { ...first.meta, cached: true } })
  await clock.run(1)
  assert.equal((await query.readings(question)).meta.cached, false)
})

test('an answer is kept for minutes when its span is settled', async () => {
  const { clock, inner, query } = setUp()
  const settledUs = clock.nowUs() - LATENESS_US - 5 * 60_000_000
  for (const question of [readings(settledUs), readings(settledUs + 1)])
    await query.readings(question)
  for (const end of [settledUs - 60_000_000, settledUs]) await query.windows(windows(end, 60_000))
  assert.equal(inner.asked, 4)
  await clock.run(100_000)
  const late = [readings(settledUs), readings(settledUs + 1)].map((one) => query.readings(one))
  assert.deepEqual(
    (await Promise.all(late)).map(({ meta }) => meta.cached),
    [true, false],
  )
  const rows = [settledUs - 60_000_000, settledUs].map((end) => query.windows(windows(end, 60_000)))
  assert.deepEqual(
    (await Promise.all(rows)).map(({ meta }) => meta.cached),
    [true, false],
  )
  await clock.run(20_000)
  assert.equal((await query.readings(readings(settledUs))).meta.cached, false)
})

test('an answer that is not complete is not settled', async () => {
  const { clock, inner, query } = setUp()
  inner.completenessNow = 0.99
  await query.readings(readings(1))
  await clock.run(1000)
  assert.equal((await query.readings(readings(1))).meta.cached, false)
})

test('the time to live counts from the question, not from the answer', async () => {
  const { clock, inner, query } = setUp()
  const question = readings(clock.nowUs())
  inner.waits = new Promise<void>((resolve) => void clock.after(700, resolve))
  const slow = query.readings(question)
  await clock.run(700)
  await slow
  await clock.run(299)
  assert.equal((await query.readings(question)).meta.cached, true)
  await clock.run(1)
  assert.equal((await query.readings(question)).meta.cached, false)
})

test('equal questions at once ask once; one that is older than a second is not joined', async () => {
  const { clock, inner, query } = setUp()
  const question = readings(clock.nowUs())
  inner.waits = new Promise<void>((resolve) => void clock.after(3000, resolve))
  const first = Array.from({ length: 10 }, () => query.readings(question))
  await clock.run(999)
  first.push(query.readings(question))
  assert.equal(inner.asked, 1)
  await clock.run(1)
  const joinedLate = query.readings(question)
  await clock.run(2000)
  assert.equal(inner.asked, 2)
  for (const answer of await Promise.all(first)) assert.equal(answer.points[0]![0], 1)
  assert.equal((await joinedLate).points[0]![0], 2)
  // And it is not kept, since it is old already; the next asks anew.
  await query.readings(question)
  assert.equal(inner.asked, 3)
})

test('a failure is told to all who asked at once, and is not kept', async () => {
  const { inner, query } = setUp()
  inner.waits = Promise.reject(new Error('gone'))
  const answers = await Promise.allSettled([1, 2].map(() => query.readings(readings(1))))
  assert.deepEqual(
    answers.map(({ status }) => status),
    ['rejected', 'rejected'],
  )
  assert.equal(inner.asked, 1)
  inner.waits = Promise.resolve()
  assert.equal((await query.readings(readings(1))).meta.cached, false)
})

test('what was kept before something was erased is not given again, to anybody', async () => {
  const { query, other, inner, erasures } = setUp()
  inner.waits = new Promise<void>((resolve) => void setImmediate(resolve))
  // It is under way when the data go.
  const before = query.readings(readings(1))
  await query.windows(windows(1, 100))
  erasures.count++
  const after = query.readings(readings(1))
  assert.notEqual((await before).points[0]![0], (await after).points[0]![0])
  assert.equal((await other.readings(readings(1))).points[0]![0], (await after).points[0]![0])
  assert.equal((await other.windows(windows(1, 100))).meta.cached, false)
})

test('an answer that is too large is not kept', async () => {
  const { inner, query, cache } = setUp()
  inner.points = 100_000
  for (let time = 0; time < 2; time++)
    assert.equal((await query.readings(readings(1))).meta.cached, false)
  assert.equal(cache.counts().refused, 2)
})

test('what is kept and cannot be read is a miss', async () => {
  const { query, inner, cache } = setUp()
  cache.get = async () => Buffer.from('{"points":')
  assert.equal((await query.readings(readings(1))).points[0]![0], 1)
  assert.equal(inner.asked, 1)
})

/** Equal ones are to be equal here, too: as objects of requests they all are plain. */
const PLAIN = { noNullPrototype: true } as const

test('two questions that differ in anything have answers of their own', async () => {
  const text = fc.constantFrom('a', 'b', 'a","b', '"', 'null', '1', '')
  const number = fc.constantFrom(1, 2, 60_000_000)
  const aggregates = fc.constantFrom(undefined, 'avg' as const, 'max' as const)
  const calendar = fc.record(
    {
      unit: fc.constantFrom('day' as const, 'month' as const),
      count: fc.constantFrom(1, 2),
      timeZone: fc.constantFrom('UTC', 'Europe/Berlin'),
    },
    PLAIN,
  )
  const place = fc.record({ timeUs: number, series: number, widthUs: number }, PLAIN)
  const page = fc.record({ limit: number, after: fc.option(place, { nil: undefined }) }, PLAIN)
  // All that there is to ask: what is new of a question and missing here does not compile.
  const question = fc.record<{
    [Name in keyof Required<ReadingsQuestion>]: ReadingsQuestion[Name]
  }>({
    ...{ tenant: text, deviceId: text, metric: text, startUs: number, endUs: number },
    dimensions: fc.dictionary(text, text, { maxKeys: 2 }),
    ...{ aggregate: aggregates, stepUs: fc.option(number, { nil: undefined }), pointsMax: number },
    fill: fc.constantFrom(undefined, 'null' as const, 'linear' as const),
    calendar: fc.option(calendar, { nil: undefined }),
    page: fc.option(page, { nil: undefined }),
  })
  const change = fc.record({ field: fc.nat(11), with: question })
  await fc.assert(
    fc.asyncProperty(question, change, async (one, { field, with: another }) => {
      const name = Object.keys(one)[field]!
      const two = { ...one, [name]: another[name as keyof typeof another] }
      const { query } = setUp()
      await query.readings(one)
      const isEqual = isDeepStrictEqual({ ...one.dimensions }, { ...two.dimensions })
      const isSame =
        isEqual && isDeepStrictEqual({ ...one, dimensions: 0 }, { ...two, dimensions: 0 })
      assert.equal((await query.readings(two)).meta.cached, isSame)
    }),
  )
})

test('the order of dimensions makes no difference, and readings are no windows', async () => {
  const { query } = setUp()
  await query.readings(readings(1, { dimensions: { a: '1', b: '2' } }))
  const turned = await query.readings(readings(1, { dimensions: { b: '2', a: '1' } }))
  assert.equal(turned.meta.cached, true)
  await query.readings(readings(1, { aggregate: 'avg' }))
  assert.equal((await query.windows(windows(1, 100))).meta.cached, false)
  assert.equal((await query.windows(windows(1, 200))).meta.cached, false)
})
