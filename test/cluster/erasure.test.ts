/** Erasures in PostgreSQL and in what has left it; dying at each step. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import pg from 'pg'
import { WeirError } from '../../src/errors/errors.ts'
import { askLake } from '../../src/lake/lake-fixture.ts'
import { DEVICE_TABLES, SERIES_TABLES } from '../../src/postgres/erasure-tables.ts'
import {
  ask,
  BASE_MS,
  defineSeries,
  partialOf,
  type GivenReading,
} from '../../src/query/query-fixture.ts'
import { until } from '../system/weir-process.ts'
import {
  BASE_US,
  cut,
  erasureOf,
  HOUR_US,
  HOURS,
  open,
  points,
  SERIES,
  tablesWith,
} from './erasure-fixture.ts'
import { hashDevice } from './postgres-bench.ts'
import { askOf, skip, url } from './postgres-fixture.ts'

const hourly = (series: number, from: number, to: number): GivenReading[] =>
  Array.from({ length: to - from }, (_, at) => ({
    ...{ series, timeUs: BASE_US + (from + at) * HOUR_US },
    value: SERIES[series]!.kind === 'text' ? `secret ${from + at}` : from + at,
  }))

test('it dies at each step: hidden all the while, gone with the last', { skip }, async (t) => {
  const rig = await open(t)
  const { tables, lake, eraser, hooks } = rig
  await tables.give({
    series: SERIES,
    readings: [0, 1, 2, 3].flatMap((one) => hourly(one, 0, HOURS)),
  })
  await tables.age()
  // What came late for months that have gone, and has not gone itself.
  const late = [1, 3].flatMap((series) =>
    hourly(series, 0, 48).map((one) => ({ ...one, timeUs: one.timeUs + 1 })),
  )
  await tables.give({
    readings: late,
    deadLetters: [
      {
        ...{ tenant: 'default', deviceId: 'pump-1', receivedAtUs: BASE_US, code: 'X' },
        ...{ detail: 'secret', payload: 'secret' },
      },
    ],
  })
  const others = await points(rig, 'pump-2')
  const erasure = erasureOf(['pump-1'])
  await eraser.hide(erasure)
  const isHidden = async (): Promise<void> => {
    assert.deepEqual(await points(rig, 'pump-1', 'mode'), [])
    assert.deepEqual(await tables.query.latest('default', 'pump-1'), {})
    assert.deepEqual(
      await tables.query.deadLetters({ tenant: 'default', deviceId: undefined, limit: 10 }),
      [],
    )
  }
  await isHidden()
  let steps = 0
  while ((await cut(rig, erasure, steps)) === 1) {
    steps++
    await isHidden()
    assert.deepEqual(await points(rig, 'pump-2'), others)
  }
  assert.ok(steps > 10, `${steps} steps`)
  hooks.onCall = () => {}
  const { rows, files } = await eraser.erased(erasure.id)
  assert.deepEqual(
    [...rows],
    [
      ['dead_letter', 1],
      ['reading', 48],
    ],
  )
  assert.equal(
    files.reduce((sum, file) => sum + file.rows, 0),
    2 * HOURS,
  )
  // Of the other device the same words are left.
  const [counted] = await askLake(
    lake,
    `SELECT count(*)::integer, count(DISTINCT device_id)::integer FROM lake`,
  )
  assert.deepEqual(counted, [2 * HOURS, 1])
  await eraser.hide(erasureOf(['pump-2']))
  await rig.run(erasureOf(['pump-2']))
  assert.deepEqual(await tablesWith(rig.place.schema, 'secret'), [])
  assert.deepEqual(await askLake(lake, 'SELECT 1 FROM lake'), [])
  const pending = await askOf(url, `SELECT * FROM ${rig.place.schema}.cold_pending`)
  assert.deepEqual(pending, [])
})

test(
  'P6 a batch that is under way when something is erased has none of it',
  { skip },
  async (t) => {
    const rig = await open(t)
    const { tables, eraser, place } = rig
    await tables.give({ series: SERIES, readings: hourly(0, 0, 1) })
    const holder = new pg.Client({ connectionString: url })
    await holder.connect()
    t.after(() => holder.end())
    // The batch stops where it has looked for tombstones, and has not written a row.
    await holder.query(`BEGIN; SELECT * FROM ${place.schema}.writer_offset FOR UPDATE`)
    const waiting = async (application: string): Promise<boolean> => {
      const rows = await askOf(
        url,
        `SELECT FROM pg_stat_activity
       WHERE application_name = '${application}' AND wait_event_type = 'Lock'`,
      )
      return rows.length > 0
    }
    const written = tables.give({ readings: hourly(0, 1, 50) })
    await until('the batch waits', () => waiting('weir-writer'))
    const erasure = erasureOf(['pump-1'])
    let isDone = false
    const erased = (async () => {
      await eraser.hide(erasure)
      isDone = await rig.run(erasure)
    })()
    await until('it waits for the batch', async () => isDone || waiting('weir-erasing'))
    await holder.query('COMMIT')
    await written
    await erased
    assert.ok(isDone)
    const rows = await askOf(url, `SELECT * FROM ${place.schema}.reading`)
    assert.deepEqual(rows, [])
  },
)

test('the latest value is unknown until files are without what was erased', { skip }, async (t) => {
  const rig = await open(t)
  const { tables, eraser } = rig
  // Two months that have moved, and none that is here.
  await tables.give({ series: SERIES, readings: hourly(0, 24, 40 * 24) })
  await tables.age()
  const latest = async () => (await tables.query.latest('default', 'pump-1'))['temperature']
  const at = (hour: number) => ({ ts: BASE_MS + hour * (HOUR_US / 1000), value: hour })
  assert.deepEqual(await latest(), at(40 * 24 - 1))
  const erasure = erasureOf(['pump-1'], BASE_US + 35 * 24 * HOUR_US)
  await eraser.hide(erasure)
  assert.deepEqual(await latest(), undefined)
  assert.ok(await rig.run(erasure))
  assert.deepEqual(await latest(), at(35 * 24 - 1))
  // Of a file that is erased as a whole nothing is left to be known.
  await eraser.hide(erasureOf(['pump-1'], BASE_US + 31 * 24 * HOUR_US))
  assert.deepEqual(await latest(), at(31 * 24 - 1))
})

test(
  'what comes again is refused: new series, events; others of the same hash are not',
  { skip },
  async (t) => {
    const rig = await open(t)
    const { tables, eraser } = rig
    const twins = ['pump-Aa', 'pump-BB']
    const [one, other] = twins.map((deviceId) => hashDevice('default', deviceId))
    assert.equal(one, other)
    const series = twins.map((deviceId, at) => defineSeries(10 + at, 'temperature', { deviceId }))
    const readings = [10, 11].map((of) => ({ series: of, timeUs: BASE_US, value: 1 }))
    await tables.give({ series, readings })
    const erasure = erasureOf(['pump-Aa'], BASE_US, BASE_US + HOUR_US)
    await eraser.hide(erasure)
    assert.ok(await rig.run(erasure))
    const later = BASE_US + HOUR_US
    const times = [BASE_US, later - 1, later]
    const event = { tenant: 'default', deviceId: 'pump-Aa', metric: 'temperature', detectorId: 'd' }
    const letter = { tenant: 'default', deviceId: 'pump-Aa', code: 'X', detail: '', payload: '' }
    await tables.give({
      series: [defineSeries(12, 'pressure', { deviceId: 'pump-Aa' })],
      readings: [10, 11, 12].flatMap((of) =>
        times.map((timeUs) => ({ series: of, timeUs, value: 2 })),
      ),
      anomalies: times.map((eventTimeUs, at) => ({
        ...{ ...event, id: `a${at}`, series: 0, eventTimeUs, value: 1, score: 1 },
      })),
      deadLetters: times.map((receivedAtUs) => ({ ...letter, receivedAtUs })),
    })
    const ms = later / 1000
    assert.deepEqual(await points(rig, 'pump-Aa'), [[ms, 2]])
    assert.deepEqual(await points(rig, 'pump-Aa', 'pressure'), [[ms, 2]])
    assert.deepEqual(await points(rig, 'pump-BB'), [
      [BASE_MS, 1],
      [(later - 1) / 1000, 2],
      [ms, 2],
    ])
    const counts = await askOf(
      url,
      ['anomaly', 'dead_letter', 'reading']
        .map((table) => `SELECT count(*)::integer AS rows FROM ${rig.place.schema}.${table}`)
        .join(' UNION ALL '),
    )
    assert.deepEqual(
      counts.map(({ rows }) => rows),
      [1, 1, 5],
    )
  },
)

test('what is frozen is named and stays hidden; asked back, it is erased', { skip }, async (t) => {
  const rig = await open(t)
  const { tables, eraser, hooks, lake } = rig
  await tables.give({ series: SERIES, readings: hourly(1, 0, HOURS) })
  await tables.age()
  hooks.onCall = (call, key) => {
    if (call === 'get' && key.includes('month=1/')) throw new WeirError('OBJECT_FROZEN')
  }
  const places = async (): Promise<string[]> => {
    const erasure = erasureOf(['pump-1'])
    await eraser.hide(erasure)
    assert.ok(await rig.run(erasure))
    const { files } = await eraser.erased(erasure.id)
    return files.map(({ place, rows }) => `${place} ${rows}`)
  }
  assert.deepEqual((await places()).toSorted(), ['cold 696', 'cold 720', 'frozen 0'])
  assert.deepEqual(await tablesWith(rig.place.schema, 'secret'), [])
  assert.deepEqual(await points(rig, 'pump-1', 'mode'), [])
  assert.deepEqual(await tables.query.latest('default', 'pump-1'), {})
  hooks.onCall = () => {}
  assert.deepEqual(await places(), ['cold 744'])
  assert.deepEqual(await askLake(lake, 'SELECT 1 FROM lake'), [])
})

test('windows that touch what was erased are computed from what is left', { skip }, async (t) => {
  const rig = await open(t)
  const { tables, eraser } = rig
  const readings = Array.from({ length: 60 }, (_, at) => ({
    ...{ series: 0, timeUs: BASE_US + at * 10e6, value: at },
  }))
  const partials = Array.from({ length: 10 }, (_, minute) =>
    partialOf(readings.slice(minute * 6, minute * 6 + 6), { windowMs: 60_000, isLate: false }),
  )
  const given = {
    ...{ readings, partials },
    coverage: { fromMs: BASE_MS, watermarkMs: BASE_MS + 600_000 - 1 },
  }
  await tables.give({ series: SERIES, ...given })
  const [fromUs, toUs] = [BASE_US + 90e6, BASE_US + 240e6]
  const erasure = erasureOf(['pump-1'], fromUs, toUs)
  const windows = async () => {
    const { windows } = await tables.query.windows({ ...ask(), windowMs: 60_000 })
    return windows.map((one) => [(one.window_start - BASE_MS) / 60_000, one.count, one.max])
  }
  const expected = [0, 1, 4, 5, 6, 7, 8, 9].map((minute) =>
    minute === 1 ? [1, 3, 8] : [minute, 6, minute * 6 + 5],
  )
  await eraser.hide(erasure)
  assert.deepEqual(await windows(), expected)
  assert.ok(await rig.run(erasure))
  assert.deepEqual(await windows(), expected)
  // The stream says again what it made before.
  await tables.give(given)
  assert.deepEqual(await windows(), expected)
  const [row] = await askOf(
    url,
    `SELECT count(*)::integer AS rows FROM ${rig.place.schema}.window_partial`,
  )
  assert.equal(row!['rows'], 7)
  const dirty = await askOf(url, `SELECT from_ms, to_ms FROM ${rig.place.schema}.dirty_range`)
  // For whoever keeps sums: each series of the device.
  assert.deepEqual(dirty.length, 2)
  assert.deepEqual([dirty[0]!['from_ms'], dirty[0]!['to_ms']].map(Number), [
    fromUs / 1000,
    toUs / 1000,
  ])
})

test('every table with what devices said is among those that are erased', { skip }, async (t) => {
  const { place } = await open(t)
  const rows = await askOf(
    url,
    `SELECT DISTINCT table_name AS name FROM information_schema.columns
     WHERE table_schema = '${place.schema}' AND column_name IN ('series', 'device_id')
       AND table_name !~ '^(reading|window_partial)_' ORDER BY 1`,
  )
  const erased = [...SERIES_TABLES, ...DEVICE_TABLES].map(({ table }) => table)
  // Names, bounds of what is computed again, what was erased; and runs go with their files.
  // Hours go with the tombstones, and are made again.
  const others = ['series', 'dirty_range', 'tombstone', 'cold_run', 'hour_rollup']
  assert.deepEqual(
    rows.map(({ name }) => String(name)),
    [...erased, ...others].toSorted(),
  )
})
