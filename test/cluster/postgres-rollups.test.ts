/** Hours and days on PostgreSQL: whatever becomes of them, answers are those of the readings. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import pg from 'pg'
import { readClosed } from '../../src/postgres/rollup-tables.ts'
import { openStoresQuery } from '../../src/postgres/stores-query.ts'
import { defineSeries, type Given, type GivenReading } from '../../src/query/query-fixture.ts'
import type { GroupsQuestion } from '../../src/query/query.ts'
import { DAY_US, LIMITS, movesAll, newPlace } from './cold-fixture.ts'
import { hashDevice, openTables, type TablesBench } from './postgres-bench.ts'
import { skip } from './postgres-fixture.ts'
import { HOUR_US, Run, RUN_START_US, stepOfRun, writeWhileSummedUp } from './rollup-model.ts'

const options = { skip: skip ?? false }

test(
  'random fleets: histories, late readings, moved months, erasures, ends at any statement',
  options,
  async () => {
    const seen = new Set<string>()
    // With a lake by turns, as what is asserted in the end needs both.
    let runs = 0
    const property = fc.asyncProperty(
      fc.array(stepOfRun, { minLength: 6, maxLength: 16 }),
      fc.integer({ min: 0, max: 60 }),
      fc.constantFrom([60_000], [3_600_000], [60_000, 3_600_000]),
      async (steps, offsetHours, windowsMs) => {
        const aging = runs++ % 2 === 0 ? await movesAll() : undefined
        const run = new Run(newPlace(), { windowsMs, aging, seen })
        await run.open()
        try {
          for (const one of steps) await run.step(one)
          await run.checkAll(offsetHours)
          await run.sumUp()
          await run.checkAll(offsetHours)
        } finally {
          await run.close()
        }
      },
    )
    await fc.assert(property, { numRuns: 6, endOnFailure: true })
    for (const one of [
      'fleet-1h',
      'rollup-1h',
      'rollup-1d',
      'cold',
      'erased',
      'p50 within 0.005',
      'history: hours',
      'history: days',
      'history: fleets',
      'history: silence',
      'lake: fleets',
    ]) {
      assert.ok(seen.has(one), [...seen].join())
    }
  },
)

/** 2024-03-01, in the middle of a run of months. */
const START_US = Date.UTC(2024, 2, 1) * 1000
const MINUTE_US = 60e6

const fleetOf = (devices: number) =>
  Array.from({ length: devices }, (_, at) =>
    defineSeries(at, 'temperature', { deviceId: `pump-${at}` }),
  )

/** Of each device a reading every minute of these hours. */
const minutely = (devices: number, [from, to]: [number, number], add = 0): GivenReading[] =>
  Array.from({ length: devices }, (_, series) =>
    Array.from({ length: (to - from) * 60 }, (_, at) => ({
      ...{ series, timeUs: START_US + from * HOUR_US + at * MINUTE_US },
      value: series + (at % 60) + add,
    })),
  ).flat()

/** The watermark is at the end of so many hours. */
const toldUpTo = (hours: number): NonNullable<Given['coverage']> => ({
  ...{ fromMs: START_US / 1000, watermarkMs: (START_US + hours * HOUR_US) / 1000 - 1 },
})

const askFleet = (hours: number, more: Partial<GroupsQuestion> = {}): GroupsQuestion => ({
  ...{ tenant: 'default', metric: 'temperature', dimensions: {}, pointsMax: 10_000 },
  ...{ startUs: START_US, endUs: START_US + hours * HOUR_US, stepUs: HOUR_US },
  ...{ aggregate: 'sum', groups: 'type' },
  ...more,
})

async function sumsOf(
  { query }: Pick<TablesBench, 'query'>,
  question: GroupsQuestion,
): Promise<{ sums: number[]; tiers: string[] }> {
  const { groups, meta } = await query.groups(question)
  return { sums: groups[0]?.points.map(([, value]) => Number(value)) ?? [], tiers: meta.tiers }
}

const rowsIn = async (
  { statement }: TablesBench,
  table: string,
  where = 'TRUE',
): Promise<number> => {
  const [row] = await statement(`SELECT count(*) AS rows FROM ${table} WHERE ${where}`)
  return Number(row!['rows'])
}

test('whoever ends at any statement leaves nothing half done', options, async () => {
  const run = new Run(newPlace(), { windowsMs: [60_000], aging: undefined, seen: new Set() })
  await run.open()
  try {
    const look = { startUs: 0, endUs: 4e15, stepUs: HOUR_US }
    const sayAll = (day: number, offsetUs: number) =>
      run.say(
        [0, 5, 9].flatMap((series) =>
          Array.from({ length: 30 }, (_, at) => ({
            ...{
              series,
              timeUs: RUN_START_US + day * DAY_US + at * HOUR_US + offsetUs,
              value: at + offsetUs / 1000,
            },
          })).flatMap((one) =>
            Array.from({ length: 12 }, (_, at) => ({ ...one, timeUs: one.timeUs + at * 1e6 })),
          ),
        ),
      )
    await sayAll(0, 0)
    await sayAll(2, 0)
    // What is late, too, once there is something.
    await run.tables.sumUp()
    await sayAll(0, 1e6 / 2)
    await sayAll(4, 0)
    let ends = 0
    for (let statement = 1; await run.cut(statement); statement++) {
      ends++
      await run.check(look)
    }
    assert.ok(ends > 20, `it ended ${ends} times`)
    await run.check(look)
    for (const table of ['late_hour', 'late_fleet_hour']) {
      assert.equal(await rowsIn(run.tables, table), 0)
    }
    assert.ok((await rowsIn(run.tables, 'fleet_rollup', 'count > 0')) > 50)
  } finally {
    await run.close()
  }
})

test('a batch that is written while its hour is closed is not missed', options, async () => {
  const place = newPlace()
  const tables = await openTables(place, LIMITS)
  const client = new pg.Client({
    ...{ connectionString: place.url, options: `-c search_path=${place.schema}` },
  })
  await client.connect()
  try {
    const readings = minutely(1, [0, 3])
    await tables.give({ series: fleetOf(1), readings, coverage: toldUpTo(3) })
    // As a writer does it, held up at its end: no hour was closed when it looked.
    await client.query('BEGIN')
    assert.deepEqual(await readClosed(client), { fromMs: 0, toMs: 0 })
    await writeWhileSummedUp(tables, client, START_US + 1)
    const { sums, tiers } = await sumsOf(tables, askFleet(2))
    assert.deepEqual(sums, [1770 + 1000, 1770])
    assert.deepEqual(tiers, ['fleet-1h'])
  } finally {
    await client.end()
    await tables.close()
  }
})

test('a fleet whose months are in the lake is answered without it', options, async () => {
  const aging = await movesAll()
  const tables = await openTables(newPlace(), LIMITS, { aging })
  const hours = 90 * 24
  try {
    const readings = Array.from({ length: 4 }, (_, series) =>
      Array.from({ length: hours * 20 }, (_, at) => ({
        ...{ series, timeUs: START_US + at * 3 * MINUTE_US, value: series + (at % 20) },
      })),
    ).flat()
    await tables.give({ series: fleetOf(4), readings, coverage: toldUpTo(hours) })
    await tables.sumUp()
    await tables.age()
    assert.equal(await rowsIn(tables, 'reading'), 0)
    const question = askFleet(hours - 1)
    const answer = await tables.query.groups(question)
    assert.equal(answer.groups[0]!.points.length, hours - 1)
    const perHour = 4 * 190 + (0 + 1 + 2 + 3) * 20
    assert.ok(answer.groups[0]!.points.every(([, sum]) => sum === perHour))
    const { tiers, segments_read, relative_error, resolution_ms, completeness } = answer.meta
    assert.deepEqual(
      [tiers, segments_read, relative_error, resolution_ms, completeness],
      [['fleet-1h'], 0, undefined, 3_600_000, 1],
    )
    const p95 = await tables.query.groups({ ...question, aggregate: 'p95' })
    assert.deepEqual([p95.meta.tiers, p95.meta.relative_error], [['fleet-1h'], 0.005])
    // One that came late into a month that has gone: its hour is asked of the lake until it is
    // made again, of what is there and here.
    const late = { series: 0, timeUs: START_US + 5 * HOUR_US + 7, value: 100 }
    await tables.give({ readings: [late] })
    for (const expected of [['fleet-1h', 'cold', 'postgres', 'rollup-1h'], ['fleet-1h']]) {
      const { sums, tiers: from } = await sumsOf(tables, question)
      assert.equal(sums[5], perHour + 100)
      assert.ok(
        from.every((tier) => expected.includes(tier)),
        from.join(),
      )
      await tables.sumUp()
    }
  } finally {
    await tables.close()
  }
})

test('fleets of several stores are one, of all devices', options, async () => {
  const schema = newPlace()
  const series = fleetOf(6)
  const hashes = series.map(({ deviceId }) => hashDevice('default', deviceId) >>> 0)
  const middle = hashes.toSorted((a, b) => a - b)[2]!
  const ranges = [
    { from: 0, to: middle },
    { from: middle + 1, to: 0xffff_ffff },
  ]
  const stores = await Promise.all(
    ranges.map((range, at) =>
      openTables({ ...schema, schema: `${schema.schema}_${at}` }, LIMITS, { range }),
    ),
  )
  const query = openStoresQuery({
    stores: ranges.map((range, at) => ({ range, query: stores[at]!.query })),
    hashDevice,
  })
  try {
    const sizes = await Promise.all(
      stores.map(async (store) => {
        await store.give({ series, readings: minutely(6, [0, 4]), coverage: toldUpTo(4) })
        await store.sumUp()
        return rowsIn(store, 'series')
      }),
    )
    assert.ok(Math.min(...sizes) > 0 && Math.max(...sizes) < 6, sizes.join())
    const { sums, tiers } = await sumsOf({ query }, askFleet(3))
    assert.deepEqual(sums, Array(3).fill(6 * 1770 + 15 * 60))
    assert.deepEqual(tiers, ['fleet-1h'])
  } finally {
    await Promise.all(stores.map((store) => store.close()))
  }
})

test('rows stay when months go without a lake, and go for their own age', options, async () => {
  let coldUs = Infinity
  const aging = { ...(await movesAll()), agesOf: () => ({ warmUs: Infinity, coldUs }) }
  const tables = await openTables(newPlace(), LIMITS, { aging })
  try {
    const hours = 40 * 24
    const readings = minutely(1, [0, hours])
    await tables.give({ series: fleetOf(1), readings, coverage: toldUpTo(hours) })
    await tables.sumUp()
    const april = START_US + 31 * DAY_US
    assert.equal(await tables.dropBefore(april / 1000), 1)
    // Nothing is made again of the single reading that there is now.
    await tables.give({ readings: [{ series: 0, timeUs: START_US + 1, value: 7 }] })
    await tables.sumUp()
    const question = askFleet(hours - 1)
    const { sums, tiers } = await sumsOf(tables, question)
    assert.deepEqual([sums, tiers], [Array(hours - 1).fill(1770), ['fleet-1h']])
    // In April what is late counts.
    await tables.give({ readings: [{ series: 0, timeUs: april + 1, value: 7 }] })
    await tables.sumUp()
    assert.equal((await sumsOf(tables, question)).sums[31 * 24], 1777)

    coldUs = Date.now() * 1000 - april
    await tables.sumUp()
    const isOld = `start_ms < ${april / 1000} - 3600000`
    for (const table of ['hour_rollup', 'fleet_rollup']) {
      assert.equal(await rowsIn(tables, table, isOld), 0)
      assert.ok((await rowsIn(tables, table)) >= 9 * 24 - 1)
    }
  } finally {
    await tables.close()
  }
})

test('what is small only beside PostgreSQL goes when its readings are cold', options, async () => {
  const aging = await movesAll()
  const tables = await openTables(newPlace(), LIMITS, { aging })
  try {
    const from = Math.floor((Date.now() * 1000 - 5 * DAY_US) / DAY_US) * DAY_US
    const readings = minutely(1, [0, 96]).map((one) => ({
      ...{ series: 0, timeUs: one.timeUs - START_US + from, value: one.value },
    }))
    const coverage = { fromMs: from / 1000, watermarkMs: (from + 96 * HOUR_US) / 1000 - 1 }
    await tables.give({ series: fleetOf(1), readings, coverage })
    await tables.sumUp()
    const kept = async () => [
      await rowsIn(tables, 'hour_rollup', 'window_ms = 3600000'),
      await rowsIn(tables, 'hour_rollup', 'window_ms = 86400000'),
    ]
    assert.deepEqual(await kept(), [95, 3])
    await tables.sumUp()
    assert.deepEqual(await kept(), [0, 3])
    const span = { startUs: from, endUs: from + 95 * HOUR_US }
    assert.deepEqual((await sumsOf(tables, askFleet(0, span))).sums, Array(95).fill(1770))
  } finally {
    await tables.close()
  }
})

test('a question about more devices than one look each would do', options, async () => {
  const tables = await openTables(newPlace(), LIMITS)
  try {
    const devices = 2500
    const readings = fleetOf(devices).map(({ series }) => ({
      ...{ series, timeUs: START_US + series, value: 1 },
    }))
    await tables.give({ series: fleetOf(devices), readings, coverage: toldUpTo(1) })
    const { sums, tiers } = await sumsOf(tables, askFleet(1))
    assert.deepEqual([sums, tiers], [[devices], ['postgres']])
  } finally {
    await tables.close()
  }
})
