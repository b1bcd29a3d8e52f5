/**
 * Four years of one air-quality station from a CSV file, in local time and with gaps, by
 * `weir replay`: counts and aggregates must be those of DuckDB over the raw file.
 */
import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import type { DuckDBConnection } from '@duckdb/node-api'
import {
  allTaken,
  checkSteps,
  checkTotals,
  checkWindows,
  forEach,
  openDuck,
  rawFile,
  rowsOf,
  windowsSql,
  type WindowRow,
} from './raw-data.ts'
import { makeFolder, weir as runWeir, WeirProcess } from './weir-process.ts'

const STATION = 'Aotizhongxin'
const { path, skip } = rawFile('air-quality', `${STATION}.csv.gz`)

const METRICS = 'PM2.5 PM10 SO2 NO2 CO O3 TEMP PRES DEWP RAIN WSPM'.split(' ')
const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
/** Most steps in one answer, a little less. */
const SLICE_MS = 9_000 * HOUR_MS

/** Beijing has kept UTC+8 all year since 1992, so the second opinion needs no time zones. */
const RAW_SQL = `
  CREATE TABLE readings AS
    SELECT make_timestamp(year, month, day, hour, 0, 0) - INTERVAL 8 HOUR AS time,
      epoch_us(time)::DOUBLE AS time_us, COLUMNS(* EXCLUDE (year, month, day, hour))
    FROM read_csv('$path', nullstr = 'NA', header = true, compression = 'gzip')`

let duck: DuckDBConnection

before(async () => {
  if (skip !== false) return
  duck = await openDuck()
  await duck.run(RAW_SQL.replace('$path', path.replaceAll("'", "''")))
})

test('a station replayed from CSV equals DuckDB over the raw file', { skip }, async (t) => {
  const pipeline = 'version: 1\nretention: { cold: 36500d }\n'
  const weir = await WeirProcess.start({ folder: await makeFolder(t), pipeline })
  const time = ['--time', 'year,month,day,hour', '--tz', 'Asia/Shanghai']
  const replay = runWeir(
    ['replay', path, '--format', 'csv', ...time, '--device', 'station', '--register'].concat(
      '--url',
      weir.url,
    ),
    { WEIR_ADMIN_KEY: weir.adminKey },
  )
  assert.equal(await replay.end(), 0, replay.output)
  await allTaken(weir)
  const { devices } = await weir.get<{ devices: { id: string }[] }>('/v1/devices')
  assert.deepEqual(
    devices.map(({ id }) => id),
    [STATION],
  )
  await forEach(METRICS, (metric) => checkMetric(weir, metric))
  await checkWind(weir)
  for (const [window, windowMs] of [['1m', 60_000] as const, ['5m', 300_000] as const]) {
    const expected = await rowsOf<WindowRow>(duck, windowsSql(sourceOf('PM2.5'), windowMs))
    await checkWindows(weir, { device: STATION, metric: 'PM2.5' }, { window, expected })
  }
  await weir.stop()
})

const sourceOf = (metric: string): string =>
  `(SELECT time_us, "${metric}"::DOUBLE AS value FROM readings WHERE "${metric}" IS NOT NULL)`

async function checkMetric(weir: WeirProcess, metric: string): Promise<void> {
  const series = { device: STATION, metric }
  const source = sourceOf(metric)
  const [totals] = await rowsOf<[number, number, number, number, number, number]>(
    duck,
    `SELECT count(*)::DOUBLE, sum(value), avg(value), min(value), max(value), stddev_samp(value)
     FROM ${source}`,
  )
  const [count, sum, avg, min, max, stddev] = totals!
  assert.ok(count > 30_000)
  await checkTotals(weir, series, { count, sum, avg, min, max, stddev })
  const hourly = await rowsOf<[number, number]>(duck, stepsSql(source, HOUR_MS, 'avg'))
  for (let start = hourly[0]![0]; start <= hourly.at(-1)![0]; start += SLICE_MS) {
    const end = start + SLICE_MS
    const expected = hourly.filter(([ms]) => ms >= start && ms < end)
    await checkSteps(weir, series, { agg: 'avg', step: '1h', start, end, expected })
  }
  const daily = await rowsOf<[number, number]>(duck, stepsSql(source, DAY_MS, 'max'))
  const span = { start: daily[0]![0], end: daily.at(-1)![0] + DAY_MS }
  await checkSteps(weir, series, { agg: 'max', step: '1d', ...span, expected: daily })
}

const stepsSql = (source: string, stepMs: number, aggregate: string): string => `
  SELECT floor(time_us / 1000 / ${stepMs}) * ${stepMs} AS start, ${aggregate}(value)
  FROM ${source} GROUP BY start ORDER BY start`

/** A column of texts is a metric too. */
async function checkWind(weir: WeirProcess): Promise<void> {
  const [row] = await rowsOf<[number, string, string]>(
    duck,
    `SELECT count(wd)::DOUBLE, arg_min(wd, time_us), arg_max(wd, time_us) FROM readings
     WHERE wd IS NOT NULL`,
  )
  for (const [i, agg] of ['count', 'first', 'last'].entries()) {
    const [point] = await weir.points(STATION, 'wd', { agg })
    assert.equal(point?.[1], row![i], `wd ${agg}`)
  }
}
