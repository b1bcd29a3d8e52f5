/**
 * What every store must answer. An adapter's test calls `testQuery` with how to open it: given
 * these readings, partials and events, these questions have these answers.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import { testEvents } from './events.conformance.ts'
import { testGroups } from './groups.conformance.ts'
import { testLatest } from './latest.conformance.ts'
import { testPages } from './pages.conformance.ts'
import {
  ask,
  BASE_MS,
  defineSeries,
  partialOf,
  type Given,
  type Promised,
  type QueryBench,
} from './query-fixture.ts'
import type { QueryLimits, ReadingsQuestion, Value, WindowRow } from './query.ts'

export interface QueryTraits {
  name: string
  open(limits: QueryLimits): Promise<QueryBench>
  skip?: string | undefined
  /** What `meta.tiers` calls stored readings. */
  tier: string
}

const LIMITS: QueryLimits = { rowsMax: 1_000_000, windowsMax: 100_000 }

export function testQuery(traits: QueryTraits): void {
  const promise: Promised = (name, run, limits = LIMITS) => {
    test(`${name} [${traits.name}]`, { skip: traits.skip ?? false }, async () => {
      const bench = await traits.open(limits)
      await run(bench).finally(() => bench.close())
    })
  }
  testReadings(promise)
  testLongAnswers(promise)
  testPages(promise)
  testPartials(promise, traits.tier)
  testWindows(promise)
  testLatest(promise)
  testGroups(promise)
  testEvents(promise)
}

/** ms after the base, in µs. */
const ms = (time: number): number => (BASE_MS + time) * 1000
const seconds = (time: number): number => ms(time * 1000)
/** Partials tell everything of the first so many ms. */
const covered = (lengthMs: number) => ({
  ...{ fromMs: BASE_MS, watermarkMs: BASE_MS + lengthMs - 1 },
})
/** Points by ms after the base. */
const points = (...rows: [number, Value][]): [number, Value][] =>
  rows.map(([time, value]) => [BASE_MS + time, value])
const ON_TIME = { windowMs: 60_000, isLate: false }
const LATE = { windowMs: 60_000, isLate: true }
const REFUSAL = { code: 'QUERY_LIMIT_EXCEEDED' }

const MIXED: Given = {
  series: [
    defineSeries(0, 'temperature', { dimensions: [['side', 'left']] }),
    defineSeries(1, 'temperature', { dimensions: [['side', 'right']] }),
    defineSeries(2, 'running', { kind: 'boolean' }),
    defineSeries(3, 'mode', { kind: 'text' }),
  ],
  readings: Array.from({ length: 100 }, (_, at) => [
    { series: at % 2, timeUs: ms(at), value: at === 57 ? 1000 : at % 10 },
    { series: 2, timeUs: ms(at), value: at % 2 === 1 },
    { series: 3, timeUs: ms(at), value: at < 50 ? 'eco' : 'boost' },
  ]).flat(),
}

function testReadings(promise: Promised): void {
  promise(
    'several series are merged in time order and listed; a dimension picks one',
    async ({ query, give }) => {
      await give(MIXED)
      const both = await query.readings(ask({ startUs: ms(3), endUs: ms(6) }))
      assert.deepEqual(both.points, points([3, 3], [4, 4], [5, 5]))
      assert.deepEqual(both.meta.series, [
        { metric: 'temperature', dimensions: { side: 'left' } },
        { metric: 'temperature', dimensions: { side: 'right' } },
      ])
      const right = ask({ startUs: ms(3), endUs: ms(6), dimensions: { side: 'right' } })
      assert.deepEqual((await query.readings(right)).points, points([3, 3], [5, 5]))
    },
  )

  promise(
    'changes, quantiles, steps of the calendar, and steps without readings',
    async ({ query, give }) => {
      const at = (second: number, value: number) => ({ series: 0, timeUs: seconds(second), value })
      const readings = [at(0, 10), at(10, 20), at(20, 40), at(130, 5)]
      await give({ series: [defineSeries(0, 'temperature')], readings })
      const question = ask({ startUs: seconds(0), endUs: seconds(180), stepUs: 60e6 })
      const values = async (more: Partial<ReadingsQuestion>) =>
        (await query.readings({ ...question, ...more })).points.map(([, value]) => value)
      assert.deepEqual(await values({ aggregate: 'delta' }), [30, 0])
      assert.deepEqual(await values({ aggregate: 'rate' }), [1.5, null])
      assert.deepEqual(await values({ aggregate: 'p50' }), [20, 5])
      assert.deepEqual(await values({ aggregate: 'p25' }), [15, 5])
      assert.deepEqual(await values({ aggregate: 'max', fill: 'null' }), [40, null, 5])
      assert.deepEqual(await values({ aggregate: 'max', fill: 'linear' }), [40, 22.5, 5])
      const calendar = { unit: 'day', count: 1, timeZone: 'Asia/Kolkata' } as const
      const day = { ...question, aggregate: 'count', stepUs: undefined, calendar } as const
      const [[startMs, count]] = (await query.readings(day)).points as [[number, number]]
      assert.equal(count, 4)
      assert.ok(startMs * 1000 <= seconds(0) && seconds(0) < startMs * 1000 + 86_400e6)
      assert.equal(startMs % 86_400_000, 18.5 * 3_600_000, 'midnight in India')
    },
  )

  promise('what nobody sent is no points, of any question', async ({ query, give }) => {
    await give(MIXED)
    for (const unknown of [{ metric: 'none' }, { deviceId: 'none' }, { tenant: 'none' }]) {
      assert.deepEqual((await query.readings(ask(unknown))).points, [])
      const steps = await query.readings(ask({ ...unknown, aggregate: 'avg', stepUs: 60e6 }))
      assert.deepEqual(steps.points, [])
      assert.deepEqual((await query.windows({ ...ask(unknown), windowMs: 60_000 })).windows, [])
    }
    assert.deepEqual((await query.readings(ask({ dimensions: { side: 'top' } }))).points, [])
    assert.deepEqual(await query.latest('default', 'none'), {})
    assert.equal(await query.completeness(), 1)
  })

  promise('booleans and texts come back as what was sent', async ({ query, give }) => {
    await give(MIXED)
    const answer = async (metric: string, aggregate: 'last' | 'count' | 'min' | undefined) =>
      (await query.readings(ask({ metric, aggregate, startUs: ms(48), endUs: ms(51) }))).points
    assert.deepEqual(
      await answer('running', undefined),
      points([48, false], [49, true], [50, false]),
    )
    assert.deepEqual(await answer('running', 'min'), points([48, false]))
    assert.deepEqual(
      await answer('mode', undefined),
      points([48, 'eco'], [49, 'eco'], [50, 'boost']),
    )
    assert.deepEqual(await answer('mode', 'last'), points([48, 'boost']))
    assert.deepEqual(await answer('mode', 'count'), points([48, 3]))
    const wrong = query.readings(ask({ metric: 'mode', aggregate: 'avg' }))
    await assert.rejects(wrong, { code: 'API_PARAMETER_INVALID', message: /^agg: avg/ })
  })

  promise('what does not fit is downsampled and keeps its peak', async ({ query, give }) => {
    await give(MIXED)
    const few = await query.readings(ask({ pointsMax: 10 }))
    assert.ok(few.points.length <= 10)
    assert.ok(few.points.some(([time, value]) => time === BASE_MS + 57 && value === 1000))
    assert.ok(few.meta.resolution_ms > 0)
    const modes = await query.readings(ask({ metric: 'mode', pointsMax: 4 }))
    assert.deepEqual([modes.points.at(0), modes.points.at(-1)], points([0, 'eco'], [99, 'boost']))
  })

  promise(
    'limits refuse aloud: stored rows and steps',
    async ({ query, give }) => {
      await give(MIXED)
      await assert.rejects(query.readings(ask()), REFUSAL)
      await assert.rejects(query.readings(ask({ metric: 'mode' })), REFUSAL)
      const narrow = { endUs: ms(20), aggregate: 'avg', stepUs: 1000 } as const
      await assert.rejects(query.readings(ask({ ...narrow, pointsMax: 5 })), REFUSAL)
      assert.equal((await query.readings(ask({ ...narrow, pointsMax: 20 }))).points.length, 20)
      // The refusals have left nothing behind.
      assert.equal((await query.readings(ask({ endUs: ms(50) }))).points.length, 50)
    },
    { rowsMax: 50, windowsMax: 10 },
  )
}

type Point = [number, Value | null]
const byTimeAndValue = (a: Point, b: Point): number => a[0] - b[0] || Number(a[1]) - Number(b[1])
/** For what is too long to be shown when it differs. */
const assertSame = (actual: unknown, expected: unknown): void =>
  assert.ok(isDeepStrictEqual(actual, expected))

/** More than a store may want to hold of an answer at once. */
function testLongAnswers(promise: Promised): void {
  promise('a long series is read to its end, every reading once', async ({ query, give }) => {
    const count = 50_001
    const readings = Array.from({ length: count }, (_, at) => ({
      ...{ series: 0, timeUs: ms(at) + (at % 7), value: at },
    }))
    await give({ series: [defineSeries(0, 'temperature')], readings })
    const total = await query.readings(ask({ aggregate: 'sum' }))
    assert.deepEqual(total.points, [[0, (count * (count - 1)) / 2]])
    const raw = await query.readings(ask({ pointsMax: 100_000 }))
    assertSame(
      raw.points,
      readings.map(({ timeUs, value }) => [timeUs / 1000, value]),
    )
  })

  promise('many series of one metric are one answer', async ({ query, give }) => {
    const series = Array.from({ length: 150 }, (_, id) =>
      defineSeries(id, 'temperature', { dimensions: [['cell', String(id)]] }),
    )
    const readings = series.flatMap(({ series }) =>
      Array.from({ length: series * 10 }, (_, at) => ({ series, timeUs: ms(at), value: series })),
    )
    await give({ series, readings })
    const counted = await query.readings(ask({ aggregate: 'count' }))
    assert.deepEqual(counted.points, [[0, readings.length]])
    assert.equal(counted.meta.series.length, 150)
    const raw = await query.readings(ask({ pointsMax: 200_000 }))
    // Which of two series comes first at one time is the store's business.
    const inOrder = readings
      .map(({ timeUs, value }): Point => [timeUs / 1000, value])
      .toSorted(byTimeAndValue)
    assertSame(raw.points.toSorted(byTimeAndValue), inOrder)
    assertSame(
      raw.points.map(([time]) => time),
      inOrder.map(([time]) => time),
    )
  })

  promise('texts of any length and script are read to the end', async ({ query, give }) => {
    const readings = Array.from({ length: 2500 }, (_, at) => ({
      ...{ series: 0, timeUs: ms(at), value: `"${at % 3}" ü \\ 🚰 ${'x'.repeat(at % 100)}` },
    }))
    await give({ series: [defineSeries(0, 'mode', { kind: 'text' })], readings })
    const answer = await query.readings(ask({ metric: 'mode' }))
    assertSame(
      answer.points,
      readings.map(({ timeUs, value }) => [timeUs / 1000, value]),
    )
  })

  promise('partials are read to the last, on-time and late', async ({ query, give }) => {
    // The first minute has no late one, so a page of an even number ends between two of a window.
    const partials = Array.from({ length: 6001 }, (_, minute) => {
      const one = { series: 0, timeUs: seconds(minute * 60), value: minute }
      const late = partialOf([{ ...one, timeUs: one.timeUs + 1000 }], LATE)
      return minute === 0 ? [partialOf([one], ON_TIME)] : [partialOf([one], ON_TIME), late]
    }).flat()
    const coverage = covered(6001 * 60_000)
    await give({ series: [defineSeries(0, 'temperature')], partials, coverage })
    const { windows } = await query.windows({ ...ask(), windowMs: 60_000 })
    assertSame(
      windows.map(({ window_start, count, avg }) => [window_start, count, avg]),
      Array.from({ length: 6001 }, (_, minute) => [
        BASE_MS + minute * 60_000,
        minute === 0 ? 1 : 2,
        minute,
      ]),
    )
  })
}

function testPartials(promise: Promised, tier: string): void {
  promise(
    'an aggregate comes from partials where they tell everything, and from readings elsewhere',
    async ({ query, give }) => {
      const temperature = defineSeries(0, 'temperature')
      const readings = [0, 1, 2, 3].map((minute) => ({
        ...{ series: 0, timeUs: seconds(minute * 60), value: minute },
      }))
      // The partials differ from the readings, so that the answer shows where it is from.
      const partials = readings
        .slice(0, 3)
        .map((one) => partialOf([{ ...one, value: one.value + 100 }], ON_TIME))
      const coverage = covered(180_000)
      await give({ series: [temperature], readings, partials, coverage })
      const question = ask({ endUs: seconds(240), aggregate: 'max', stepUs: 60e6 })
      const values = async (): Promise<unknown[]> =>
        (await query.readings(question)).points.map(([, value]) => value)
      assert.deepEqual(await values(), [100, 101, 102, 3])
      assert.deepEqual((await query.readings(question)).meta.tiers, ['rollup-1m', tier])
      await give({ dirty: [{ series: 0, fromMs: BASE_MS + 60_000, toMs: BASE_MS + 120_000 }] })
      assert.deepEqual(await values(), [100, 1, 102, 3])
      const finer = await query.readings({ ...question, stepUs: 30e6 })
      assert.deepEqual(finer.meta.tiers, [tier])
    },
  )

  promise('the widest window that fits the step answers', async ({ query, give }) => {
    const one = { series: 0, timeUs: seconds(0) }
    const partials = [60_000, 300_000].map((windowMs) =>
      partialOf([{ ...one, value: windowMs }], { windowMs, isLate: false }),
    )
    const closing = partialOf([{ ...one, timeUs: seconds(240), value: 1 }], {
      ...{ windowMs: 60_000, isLate: false },
    })
    const coverage = covered(300_000)
    const series = [defineSeries(0, 'temperature')]
    await give({ series, partials: [...partials, closing], coverage })
    const tierOf = async (stepUs: number): Promise<string[]> => {
      const question = ask({ aggregate: 'sum', endUs: seconds(300), stepUs })
      return (await query.readings(question)).meta.tiers
    }
    assert.deepEqual(await tierOf(300e6), ['rollup-5m'])
    assert.deepEqual(await tierOf(60e6), ['rollup-1m'])
  })
}

const WINDOW = { ...ask(), windowMs: 60_000 }
const RESULT: WindowRow = {
  ...{ window_start: BASE_MS, count: 4, sum: 10, avg: 2.5, min: 1, max: 4 },
  ...{ stddev: Math.sqrt(5 / 3), first: 1, last: 4 },
}
/** One second apart. */
const valuesFrom = (from: number, values: number[]) =>
  values.map((value, at) => ({ series: 0, timeUs: seconds(from + at), value }))

function testWindows(promise: Promised): void {
  promise('a later late partial replaces the earlier one', async ({ query, give }) => {
    const coverage = covered(60_000)
    const partials = [partialOf(valuesFrom(0, [1, 2]), ON_TIME)]
    await give({ series: [defineSeries(0, 'temperature')], partials, coverage })
    await give({ partials: [partialOf(valuesFrom(30, [3]), LATE)] })
    await give({ partials: [partialOf(valuesFrom(30, [3, 4]), LATE)] })
    assert.deepEqual((await query.windows(WINDOW)).windows, [RESULT])
  })

  promise('dirty windows are computed from readings, each identity once', async (bench) => {
    const { query, give } = bench
    const readings = valuesFrom(0, [1, 2, 3, 4])
    const coverage = covered(60_000)
    const partials = [partialOf(readings.slice(0, 2), ON_TIME)]
    await give({ series: [defineSeries(0, 'temperature')], readings, partials, coverage })
    const again = [{ series: 0, timeUs: seconds(0), value: 99 }]
    await give({ readings: again, dirty: [{ series: 0, fromMs: BASE_MS, toMs: BASE_MS + 60_000 }] })
    assert.deepEqual((await query.windows(WINDOW)).windows, [RESULT])
  })

  promise(
    'booleans have windows as 0 and 1, texts have none, one reading has no deviation',
    async ({ query, give }) => {
      const partials = [0, 1, 2].map((series) =>
        partialOf([{ series, timeUs: seconds(5), value: 1 }], ON_TIME),
      )
      const kinds = ['number', 'boolean', 'text'] as const
      const series = kinds.map((kind, at) => defineSeries(at, kind, { kind }))
      await give({ series, partials, coverage: covered(60_000) })
      const of = async (metric: string) => (await query.windows({ ...WINDOW, metric })).windows
      assert.equal((await of('number'))[0]?.stddev, null)
      assert.equal((await of('boolean'))[0]?.avg, 1)
      assert.deepEqual(await of('text'), [])
    },
  )
}
