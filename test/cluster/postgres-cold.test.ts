import assert from 'node:assert/strict'
import { test } from 'node:test'
import { askLake } from '../../src/lake/lake-fixture.ts'
import { eachObject, type Objects } from '../../src/objects/objects.ts'
import { QueryDatabase } from '../../src/postgres/query-database.ts'
import { confirmExported } from '../../src/postgres/store-list.ts'
import { ask, BASE_MS } from '../../src/query/query-fixture.ts'
import { testQuery } from '../../src/query/query.conformance.ts'
import { testScan } from '../../src/query/scan.conformance.ts'
import { createSeededRandom } from '../../src/world/memory-disk.ts'
import {
  DAY_US,
  HOUR_MS,
  hourly,
  HOURS,
  KEPT,
  LIMITS,
  movesAll,
  newPlace,
  openLake,
  SERIES,
} from './cold-fixture.ts'
import { openTables, type BenchAging } from './postgres-bench.ts'
import { askOf, skip, url } from './postgres-fixture.ts'
import { testRandomQuestions } from './random-questions.ts'

testQuery({
  name: 'PostgreSQL, moved to the lake',
  tier: 'cold',
  skip,
  async open(limits) {
    const tables = await openTables(newPlace(), limits, { aging: await movesAll() })
    return {
      ...tables,
      async give(given) {
        await tables.give(given)
        await tables.age()
      },
    }
  },
})

testScan({
  ...{ name: 'PostgreSQL, moved to the lake', skip, runs: 6 },
  async open(limits) {
    const tables = await openTables(newPlace(), limits, { aging: await movesAll() })
    return {
      ...tables,
      scan: tables.query,
      async give(given) {
        await tables.give(given)
        await tables.age()
      },
    }
  },
})

testRandomQuestions({
  ...{ name: 'PostgreSQL and the lake', skip, newPlace, runs: 40 },
  aging: movesAll,
})

test('a last value of -0 is -0 behind a move, too', { skip }, async () => {
  const { query, give, age, close } = await openTables(newPlace(), LIMITS, {
    aging: await movesAll(),
  })
  try {
    await give({ series: SERIES, readings: [{ series: 0, timeUs: BASE_MS * 1000, value: -0 }] })
    const before = await query.latest('default', 'pump-1')
    assert.deepEqual(before, { temperature: { ts: BASE_MS, value: -0 } })
    assert.equal((await age()).length, 1)
    assert.deepEqual(await query.latest('default', 'pump-1'), before)
  } finally {
    await close()
  }
})

test('months go to the lake, any tool reads them there, and meta says so', { skip }, async () => {
  const aging = await movesAll()
  const place = newPlace()
  const { query, give, age, close } = await openTables(place, LIMITS, { aging })
  try {
    await give(hourly(0, HOURS))
    const before = await query.readings(ask())
    const modes = await query.readings(ask({ metric: 'mode' }))
    const latest = await query.latest('default', 'pump-1')
    const aged = await age()
    assert.deepEqual(
      aged.map(({ moved, deleted }) => [moved, deleted]),
      [
        [31 * 24 * 3, 0],
        [29 * 24 * 3, 0],
        [30 * 24 * 3, 0],
      ],
    )
    const [left] = await askOf(url, `SELECT count(*)::integer AS rows FROM ${place.schema}.reading`)
    assert.equal(left!['rows'], 0)
    const answer = await query.readings(ask())
    assert.deepEqual(answer.points, before.points)
    const { tiers, segments_read, segments_skipped, completeness } = answer.meta
    assert.deepEqual([tiers, segments_read, segments_skipped, completeness], [['cold'], 3, 0, 1])
    assert.deepEqual((await query.readings(ask({ metric: 'mode' }))).points, modes.points)
    assert.deepEqual(await query.latest('default', 'pump-1'), latest)
    const february = ask({
      ...{ startUs: Date.UTC(2024, 1, 10) * 1000, endUs: Date.UTC(2024, 1, 11) * 1000 },
    })
    const { points, meta } = await query.readings(february)
    assert.deepEqual([points.length, meta.segments_read, meta.segments_skipped], [24, 1, 2])
    const [row] = await askLake(
      aging.objects,
      `SELECT count(*)::integer, sum(value) FILTER (metric = 'temperature'), min(year), max(month)
       FROM lake`,
    )
    assert.deepEqual(row, [HOURS * 3, (HOURS * (HOURS - 1)) / 2, 2024, 3])
    assert.deepEqual(await age(), [], 'a second time nothing is due')
  } finally {
    await close()
  }
})

test('of a long month only the pages are read that a question needs', { skip }, async () => {
  const objects = await openLake()
  let bytes = 0
  const counted: Objects = {
    put: (...how) => objects.put(...how),
    head: (key) => objects.head(key),
    list: (...how) => objects.list(...how),
    delete: (key) => objects.delete(key),
    close: () => objects.close(),
    async get(key, range) {
      const read = await objects.get(key, range)
      bytes += read.length
      return read
    },
  }
  const { query, give, age, close } = await openTables(newPlace(), LIMITS, {
    aging: { objects: counted, agesOf: () => KEPT },
  })
  try {
    const timesMs = Array.from({ length: 130_000 }, (_, at) => BASE_MS + at * 20_000)
    const readings = timesMs.map((ms, at) => ({
      ...{ series: 0, timeUs: ms * 1000, value: Math.sin(at) },
    }))
    await give({ series: SERIES, readings })
    await age()
    const random = createSeededRandom(8)
    const whole = (await query.readings(ask({ pointsMax: 130_000 }))).points
    assert.equal(whole.length, 130_000)
    // Around the borders of pages, and anywhere.
    const froms = [32_766, 32_767, 32_768, 32_769, 65_535, 65_536, 98_303, 98_304]
    while (froms.length < 24) froms.push(Math.floor(random.unit() * 130_000))
    for (const from of froms) {
      const length = random.unit() < 0.5 ? 1 : Math.floor(random.unit() ** 4 * 70_000)
      const to = Math.min(130_000, from + length)
      const span = { startUs: timesMs[from]! * 1000, endUs: (timesMs[to] ?? 4e12) * 1000 }
      const { points } = await query.readings(ask({ ...span, pointsMax: 130_000 }))
      assert.deepEqual(points, whole.slice(from, to))
    }
    bytes = 0
    const [startUs, endUs] = [timesMs[70_000]! * 1000, timesMs[70_100]! * 1000]
    assert.equal((await query.readings(ask({ startUs, endUs }))).points.length, 100)
    const { bytes: all } = (await objects.list('', { limit: 1 }))[0]!
    assert.ok(bytes < all / 3, `${bytes} of ${all} bytes`)
  } finally {
    await close()
  }
})

test('late readings: what is new is answered, what was there before stays', { skip }, async () => {
  const { query, give, age, close } = await openTables(newPlace(), LIMITS, {
    aging: await movesAll(),
  })
  try {
    await give(hourly(0, 48))
    await age()
    // The same times with other values, and a day more.
    await give(hourly(24, 72, 1000))
    const expected = Array.from({ length: 72 }, (_, hour) => [
      BASE_MS + hour * HOUR_MS,
      hour < 48 ? hour : hour + 1000,
    ])
    const mixed = await query.readings(ask())
    assert.deepEqual(mixed.points, expected)
    assert.deepEqual(mixed.meta.tiers.toSorted(), ['cold', 'postgres'])
    assert.deepEqual(await age(), [{ month: 2024 * 12, moved: 24 * 3, deleted: 0 }])
    const moved = await query.readings(ask())
    assert.deepEqual(moved.points, expected)
    assert.deepEqual([moved.meta.tiers, moved.meta.segments_read], [['cold'], 2])
    const { temperature } = await query.latest('default', 'pump-1')
    assert.deepEqual(temperature, { ts: BASE_MS + 71 * HOUR_MS, value: 1071 })
  } finally {
    await close()
  }
})

test('ages by type and metric: each series goes when it is due', { skip }, async () => {
  const objects = await openLake()
  const agesOf: BenchAging['agesOf'] = ({ metric }) =>
    metric === 'mode'
      ? { warmUs: DAY_US, coldUs: DAY_US }
      : metric === 'running'
        ? { warmUs: 36_500 * DAY_US, coldUs: 36_500 * DAY_US }
        : KEPT
  const place = newPlace()
  const { query, give, age, close } = await openTables(place, LIMITS, {
    aging: { objects, agesOf },
  })
  try {
    await give(hourly(0, 48))
    assert.deepEqual(await age(), [{ month: 2024 * 12, moved: 48, deleted: 48 }])
    const pointsOf = async (metric: string) => (await query.readings(ask({ metric }))).points.length
    assert.deepEqual(
      [await pointsOf('temperature'), await pointsOf('mode'), await pointsOf('running')],
      [48, 0, 48],
    )
    const left = await askOf(url, `SELECT DISTINCT series FROM ${place.schema}.reading`)
    assert.equal(left.length, 1)
  } finally {
    await close()
  }
})

test('files expire after the cold age, and not before they are exported', { skip }, async () => {
  const objects = await openLake()
  const ages = { ...KEPT }
  const place = newPlace()
  const aging = { objects, agesOf: () => ages, isExportedFirst: true }
  const { query, give, age, close } = await openTables(place, LIMITS, { aging })
  const files = async () => {
    const keys: string[] = []
    for await (const { key } of eachObject(objects, '')) keys.push(key)
    return keys
  }
  const points = async () => (await query.readings(ask())).points.length
  try {
    await give(hourly(0, HOURS))
    await age()
    ages.coldUs = 2 * DAY_US
    assert.deepEqual(await age(), [])
    assert.deepEqual([await points(), (await files()).length], [HOURS, 3])
    const beforeUs = Date.UTC(2024, 2, 1) * 1000
    await confirmExported(place, beforeUs)
    // It never goes back.
    await confirmExported(place, 0)
    assert.deepEqual(
      (await age()).map(({ deleted }) => deleted),
      [31 * 24 * 3, 29 * 24 * 3],
    )
    assert.equal(await points(), 30 * 24)
    // Questions that were under way may still read them; the next run deletes them.
    assert.equal((await files()).length, 3)
    await age()
    assert.equal((await files()).length, 1)
  } finally {
    await close()
  }
})

test('a damaged file is left out of answers, which say how much they hold', { skip }, async () => {
  const aging = await movesAll()
  const { query, give, age, close } = await openTables(newPlace(), LIMITS, { aging })
  try {
    await give(hourly(0, 60 * 24))
    await age()
    const { key } = (await aging.objects.list('', { limit: 1 }))[0]!
    const bytes = Buffer.from(await aging.objects.get(key))
    bytes.fill(0, 4, Math.floor(bytes.length / 4))
    await aging.objects.put(key, bytes)
    const { points, meta } = await query.readings(ask())
    assert.equal(points.length, 29 * 24)
    assert.deepEqual([meta.segments_read, meta.segments_damaged], [1, 1])
    assert.equal(meta.completeness, 29 / 60)
  } finally {
    await close()
  }
})

test('who asked before a month left still sees its rows', { skip }, async () => {
  const place = newPlace()
  const { give, age, close } = await openTables(place, LIMITS, { aging: await movesAll() })
  const database = new QueryDatabase(place)
  try {
    await give(hourly(0, 48))
    // It goes once it is no longer looked at, or has gone.
    const isGoing = async (): Promise<boolean> => {
      const [row] = await askOf(
        url,
        `SELECT coalesce(bool_or(inhdetachpending), TRUE) AS going FROM pg_inherits
         WHERE inhparent = '${place.schema}.reading'::regclass`,
      )
      return row!['going'] === true
    }
    let aged: Promise<unknown> | undefined
    const rows = await database.snapshot(async (ask) => {
      aged = age()
      aged.catch(() => undefined)
      while (!(await isGoing())) await new Promise((resolve) => setTimeout(resolve, 20))
      return ask<{ files: number; rows: number }>(
        `SELECT (SELECT count(*) FROM cold_file) AS files, (SELECT count(*) FROM reading) AS rows`,
        [],
      )
    })
    assert.deepEqual(rows, [{ files: 0, rows: 48 * 3 }])
    await aged
  } finally {
    await database.close()
    await close()
  }
})
