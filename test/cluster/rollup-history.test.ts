/** Histories: readings of before the hours with which a store began to sum up. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import pg from 'pg'
import { monthOf } from '../../src/postgres/month-partitions.ts'
import { sayHistory } from '../../src/postgres/rollup-closing.ts'
import { readClosed } from '../../src/postgres/rollup-tables.ts'
import { addTombstones } from '../../src/postgres/tombstones.ts'
import { defineSeries, type GivenReading } from '../../src/query/query-fixture.ts'
import type { GroupsQuestion } from '../../src/query/query.ts'
import { DAY_US, LIMITS, movesAll, newPlace } from './cold-fixture.ts'
import { erasureOf } from './erasure-fixture.ts'
import { openTables, type BenchAging, type TablesBench } from './postgres-bench.ts'
import { skip } from './postgres-fixture.ts'
import { HOUR_US, Run, RUN_START_US, writeWhileSummedUp } from './rollup-model.ts'

const options = { skip: skip ?? false }
const MINUTE_US = 60e6
const HOUR_MS = 3_600_000
/** A morning, where the live ones begin. */
const LIVE_US = Date.UTC(2024, 2, 20, 9) * 1000
const DEVICES = 18
const SERIES = Array.from({ length: DEVICES }, (_, at) =>
  defineSeries(at, 'temperature', { deviceId: `pump-${at}` }),
)
/** Of an hour of minutes of all devices. */
const PER_HOUR = DEVICES * 1770 + 60 * ((DEVICES * (DEVICES - 1)) / 2)

/** Of each device a reading every minute of these hours. */
const minutely = (startUs: number, hours: number): GivenReading[] =>
  SERIES.flatMap(({ series }) =>
    Array.from({ length: hours * 60 }, (_, at) => ({
      ...{ series, timeUs: startUs + at * MINUTE_US, value: series + (at % 60) },
    })),
  )

const live = () => ({
  readings: minutely(LIVE_US, 4),
  coverage: { fromMs: LIVE_US / 1000, watermarkMs: LIVE_US / 1000 + 4 * HOUR_MS - 1 },
})

/** The morning of so many days before. */
const dayBefore = (days: number): number => LIVE_US - days * DAY_US

async function open(aging?: BenchAging): Promise<TablesBench> {
  const tables = await openTables(newPlace(), LIMITS, { aging })
  await tables.give({ series: SERIES })
  return tables
}

const ask = (span: { startUs: number; endUs: number }): GroupsQuestion => ({
  ...{ tenant: 'default', metric: 'temperature', dimensions: {}, pointsMax: 10_000 },
  ...{ ...span, stepUs: HOUR_US, aggregate: 'sum', groups: 'type' },
})

async function sumsOf(
  { query }: TablesBench,
  span: { startUs: number; endUs: number },
): Promise<{ sums: number[]; tiers: string[]; completeness: number }> {
  const { groups, meta } = await query.groups(ask(span))
  const sums = groups[0]?.points.map(([, value]) => Number(value)) ?? []
  return { sums, tiers: meta.tiers, completeness: meta.completeness }
}

async function countIn({ statement }: TablesBench, what: string): Promise<number> {
  const [row] = await statement(`SELECT count(*) AS rows FROM ${what}`)
  return Number(row!['rows'])
}

const connect = async (place: { url: string; schema: string }): Promise<pg.Client> => {
  const { url, schema } = place
  const client = new pg.Client({ connectionString: url, options: `-c search_path=${schema}` })
  await client.connect()
  return client
}

test('a history that comes behind the first live hours is summed up', options, async () => {
  const tables = await open()
  try {
    await tables.give(live())
    await tables.sumUp()
    // Three days of eight hours, and a day off.
    const days = [12, 10, 9]
    for (const day of days) await tables.give({ readings: minutely(dayBefore(day), 8) })
    const span = { startUs: dayBefore(12) - 9 * HOUR_US, endUs: dayBefore(8) - 9 * HOUR_US }
    const expected = Array(24).fill(PER_HOUR)
    const before = await sumsOf(tables, span)
    assert.deepEqual([before.sums, before.tiers], [expected, ['postgres']])
    await tables.sumUp()
    const after = await sumsOf(tables, span)
    assert.deepEqual([after.sums, after.tiers], [expected, ['fleet-1h']])
    assert.equal(await countIn(tables, 'late_hour'), 0)
    assert.equal(await countIn(tables, 'late_fleet_hour'), 0)
    // Nights and the day off are told; not all days since, of which nobody spoke.
    const [startMs, endMs] = [span.startUs / 1000, span.endUs / 1000]
    const told = `fleet_rollup WHERE start_ms >= ${startMs} AND start_ms < ${endMs}`
    assert.equal(await countIn(tables, told), 4 * 24)

    // What is late in it is as what is late elsewhere.
    await tables.give({ readings: [{ series: 3, timeUs: dayBefore(10) + 7, value: 1000 }] })
    const late = [...expected.slice(0, 8), PER_HOUR + 1000, ...expected.slice(9)]
    assert.deepEqual((await sumsOf(tables, span)).sums, late)
    assert.equal(await countIn(tables, 'late_hour'), 1)
    await tables.sumUp()
    const { sums, tiers } = await sumsOf(tables, span)
    assert.deepEqual([sums, tiers], [late, ['fleet-1h']])
  } finally {
    await tables.close()
  }
})

test('what was stored before the first closing, and has left, is summed up', options, async () => {
  const tables = await open(await movesAll())
  try {
    const hours = 50
    await tables.give({ readings: minutely(dayBefore(40), hours) })
    await tables.age()
    assert.equal(await countIn(tables, 'reading'), 0)
    // And in the month in which the live ones begin.
    await tables.give({ readings: minutely(dayBefore(3), 24) })
    await tables.give(live())
    await tables.sumUp()
    const spans = [
      { startUs: dayBefore(40), endUs: dayBefore(40) + hours * HOUR_US },
      { startUs: dayBefore(3), endUs: dayBefore(2) },
    ]
    for (const span of spans) {
      const { sums, tiers } = await sumsOf(tables, span)
      const expected = Array((span.endUs - span.startUs) / HOUR_US).fill(PER_HOUR)
      assert.deepEqual([sums, tiers], [expected, ['fleet-1h']])
    }
    // Beside the lake's readings hours of one device are not small.
    assert.equal(
      await countIn(
        tables,
        `hour_rollup WHERE start_ms < ${dayBefore(5) / 1000}
      AND window_ms = ${HOUR_MS}`,
      ),
      0,
    )
  } finally {
    await tables.close()
  }
})

test(
  'a store that began within a day makes that day whole, and what was before',
  options,
  async () => {
    const tables = await open()
    try {
      await tables.give({ readings: minutely(dayBefore(2), 24) })
      await tables.give(live())
      await tables.sumUp()
      // As it was left by those who knew no histories.
      const fromMs = LIVE_US / 1000 + HOUR_MS
      await tables.statement(`
      UPDATE rollup_progress SET from_ms = ${fromMs}, has_said_stored = FALSE;
      TRUNCATE history_day;
      DELETE FROM hour_rollup WHERE start_ms < ${fromMs};
      DELETE FROM fleet_rollup WHERE start_ms < ${fromMs}`)
      const span = { startUs: dayBefore(2), endUs: LIVE_US + 3 * HOUR_US }
      const expected = Array(24 + 3).fill(PER_HOUR)
      assert.deepEqual((await sumsOf(tables, span)).sums, expected)
      await tables.sumUp()
      const { sums, tiers } = await sumsOf(tables, span)
      assert.deepEqual([sums, tiers], [expected, ['fleet-1h']])
    } finally {
      await tables.close()
    }
  },
)

test('a clock that says 2000 costs a day; one that says 1970 nothing', options, async () => {
  const place = newPlace()
  const tables = await openTables(place, LIMITS)
  try {
    await tables.give({ series: SERIES })
    // The first windows are of it, too.
    const { readings, coverage } = live()
    await tables.give({ readings, coverage: { ...coverage, fromMs: Date.UTC(2000, 0, 1) } })
    await tables.sumUp()
    const [began] = await tables.statement('SELECT from_ms FROM rollup_progress')
    assert.ok(Number(began!['from_ms']) > LIVE_US / 1000 - 101 * 24 * HOUR_MS)
    const days = await countIn(tables, 'history_day')
    const at = (year: number) => ({ series: 5, timeUs: Date.UTC(year, 0, 1) * 1000 + 5, value: 1 })
    await tables.give({ readings: [at(1970), at(2000)] })
    assert.equal(await countIn(tables, 'history_day'), days + 1)
    await tables.sumUp()
    assert.equal(await countIn(tables, 'history_day'), days + 1)
    const since = Date.UTC(2001, 0, 1)
    assert.equal(await countIn(tables, `hour_rollup WHERE start_ms < ${since}`), 0)
    assert.equal(await countIn(tables, `fleet_rollup WHERE start_ms < ${since}`), 0)
    const span = { startUs: 0, endUs: LIVE_US + 3 * HOUR_US }
    assert.deepEqual((await sumsOf(tables, span)).sums, [1, ...Array(3).fill(PER_HOUR)])

    // Years in which nobody spoke are not late, whoever is erased.
    const client = await connect(place)
    await addTombstones(client, erasureOf(['pump-5'])).finally(() => client.end())
    for (const table of ['late_hour', 'late_fleet_hour']) {
      const [row] = await tables.statement(
        `SELECT count(*) AS rows, min(from_ms) AS from_ms FROM ${table}`,
      )
      assert.deepEqual([Number(row!['rows']), Number(row!['from_ms']) > since], [1, true])
    }
    await tables.sumUp()
    const { sums, tiers } = await sumsOf(tables, { ...span, startUs: LIVE_US })
    assert.deepEqual([sums, tiers], [Array(3).fill(PER_HOUR - 1770 - 5 * 60), ['fleet-1h']])
  } finally {
    await tables.close()
  }
})

test('a batch that is written while its day is closed is not missed', options, async () => {
  const place = newPlace()
  const tables = await openTables(place, LIMITS)
  const client = await connect(place)
  try {
    await tables.give({ series: SERIES })
    await tables.give(live())
    await tables.sumUp()
    const startUs = dayBefore(10)
    await tables.give({ readings: minutely(startUs, 2) })
    // As a writer does it, held up at its end: the day was not closed when it looked.
    await client.query('BEGIN')
    const closed = await readClosed(client)
    const days = new Set([(startUs - 9 * HOUR_US) / 1000])
    assert.equal((await sayHistory(client, { days, beforeMs: closed.fromMs })).size, 0)
    await writeWhileSummedUp(tables, client, startUs + 1)
    const { sums, tiers } = await sumsOf(tables, { startUs, endUs: startUs + 2 * HOUR_US })
    assert.deepEqual([sums, tiers], [[PER_HOUR + 1000, PER_HOUR], ['fleet-1h']])
  } finally {
    await client.end()
    await tables.close()
  }
})

test(
  'a file that is damaged keeps its day with the readings, and others go on',
  options,
  async () => {
    const aging = await movesAll()
    const tables = await open(aging)
    try {
      for (const day of [80, 40]) await tables.give({ readings: minutely(dayBefore(day), 9) })
      await tables.age()
      // Of the same hours, in a file of its own.
      const more = minutely(dayBefore(80), 9).map((one) => ({ ...one, timeUs: one.timeUs + 1e6 }))
      await tables.give({ readings: more })
      await tables.age()
      const files = await tables.statement(
        `SELECT key FROM cold_file WHERE month = ${monthOf(dayBefore(80) / 1000)} ORDER BY number`,
      )
      assert.equal(files.length, 2)
      const key = String(files[1]!['key'])
      const bytes = await aging.objects.get(key)
      await aging.objects.delete(key)
      await aging.objects.put(key, bytes.fill(7, 4, bytes.length - 1000))
      await tables.give(live())
      await tables.sumUp()
      const spanOf = (day: number) => ({ startUs: dayBefore(day), endUs: dayBefore(day) + HOUR_US })
      const whole = await sumsOf(tables, spanOf(40))
      assert.deepEqual([whole.sums, whole.tiers, whole.completeness], [[PER_HOUR], ['fleet-1h'], 1])
      const half = await sumsOf(tables, spanOf(80))
      assert.deepEqual([half.sums, half.tiers], [[PER_HOUR], ['cold']])
      assert.ok(half.completeness < 1)
      assert.equal(await countIn(tables, 'history_day WHERE summed_ms < day_ms + 86400000'), 0)
    } finally {
      await tables.close()
    }
  },
)

test('whoever ends at any statement of a history leaves nothing half done', options, async () => {
  const run = new Run(newPlace(), { windowsMs: [60_000], aging: undefined, seen: new Set() })
  await run.open()
  try {
    const look = { startUs: 0, endUs: 4e15, stepUs: HOUR_US }
    const say = (daysBack: number, offsetUs: number) =>
      run.say(
        [0, 5, 9].flatMap((series) =>
          Array.from({ length: 40 }, (_, at) => ({
            ...{ series, value: at + series },
            timeUs: RUN_START_US - daysBack * DAY_US + at * MINUTE_US + offsetUs,
          })),
        ),
      )
    // At its first hours, and when it says what was stored.
    await say(30, 0)
    await say(0, 0)
    let statement = 1
    for (; statement < 25; statement++) await run.cut(statement)
    await run.check(look)
    await run.sumUp()
    await run.check(look)
    // And at what comes now.
    await say(15, 0)
    await say(17, 0)
    await say(30, 1e6)
    let ends = 0
    for (statement = 1; await run.cut(statement); statement++) {
      ends++
      if (statement % 4 === 0) await run.check(look)
    }
    assert.ok(ends > 20, `it ended ${ends} times`)
    await run.check(look)
    for (const table of ['late_hour', 'late_fleet_hour']) {
      assert.equal(await countIn(run.tables, table), 0)
    }
    assert.equal(await countIn(run.tables, 'history_day WHERE summed_ms IS NULL'), 0)
    const told = `hour_rollup WHERE window_ms = ${HOUR_MS} AND count >= 40`
    assert.equal(await countIn(run.tables, told), 9)
  } finally {
    await run.close()
  }
})
