/** Real data beside the checkout, and DuckDB as the second opinion on it. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api'
import { ROOT, until, type WeirProcess } from './weir-process.ts'

const FOLDER = process.env['WEIR_SHARED_DATA'] ?? join(ROOT, '..', 'shared', 'data')
const RELATIVE_MAX = 1e-9
/** The first millisecond of all and the one behind the last. */
const ALWAYS = { start: 0, end: '2100-01-01T00:00:00Z' }
const PARALLEL = 4

export interface RawFile {
  path: string
  /** Why tests of this file are skipped, or false. */
  skip: string | false
}

/** A file of the shared data; WEIR_SHARED_DATA names another folder. */
export function rawFile(...parts: string[]): RawFile {
  const path = join(FOLDER, ...parts)
  const skip = existsSync(path) ? false : `no ${parts.join('/')} in the shared data folder`
  return { path, skip }
}

/** A database of its own in memory. */
export async function openDuck(): Promise<DuckDBConnection> {
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' })
  return instance.connect()
}

/** Rows as arrays; all columns are expected to be DOUBLE or VARCHAR. */
export async function rowsOf<Row>(duck: DuckDBConnection, sql: string): Promise<Row[]> {
  const reader = await duck.runAndReadAll(sql)
  return reader.getRowsJS() as Row[]
}

/** One series, as the API names it. */
export interface Series {
  device: string
  metric: string
  /** `name=value`, where the series has one. */
  dimension?: string | undefined
}

/** Calls `check` for every item, a few at a time. */
export async function forEach<Item>(
  items: readonly Item[],
  check: (item: Item) => Promise<void>,
): Promise<void> {
  const left = [...items]
  const work = async (): Promise<void> => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await check(item)
  }
  await Promise.all(Array.from({ length: PARALLEL }, work))
}

const nameOf = ({ device, metric, dimension = '' }: Series): string =>
  `${device} ${metric} ${dimension}`

const dimensionOf = ({ dimension }: Series): Record<string, string> =>
  dimension === undefined ? {} : { dimension }

/** Waits until stream and storage have taken everything that was acknowledged. */
export async function allTaken(weir: WeirProcess): Promise<void> {
  const isTaken = async (): Promise<boolean> => {
    const { text } = await weir.api('/metrics')
    return /^weir_log_lag_bytes 0$/m.test(text)
  }
  await until('everything is taken by stream and storage', isTaken, 30_000)
}

/** Aggregates of the whole series. */
export async function checkTotals(
  weir: WeirProcess,
  series: Series,
  expected: Record<string, number>,
): Promise<void> {
  for (const [agg, wanted] of Object.entries(expected)) {
    const span = { ...ALWAYS, ...dimensionOf(series) }
    const points = await weir.points(series.device, series.metric, { ...span, agg })
    assert.equal(points.length, 1, `${nameOf(series)} ${agg}`)
    assertClose(points[0]![1] as number, wanted, `${nameOf(series)} ${agg}`)
  }
}

/** `[step's start in ms, value]`, compared with the answer for `agg` and `step` within the span. */
export async function checkSteps(
  weir: WeirProcess,
  series: Series,
  of: { agg: string; step: string; start: number; end: number; expected: [number, number][] },
): Promise<void> {
  const { expected, ...question } = of
  const points = await weir.points(series.device, series.metric, {
    ...question,
    ...dimensionOf(series),
  })
  const where = `${nameOf(series)} ${of.agg} by ${of.step}`
  assert.deepEqual(
    points.map(([ms]) => ms),
    expected.map(([ms]) => ms),
    where,
  )
  for (const [i, [ms, value]] of points.entries()) {
    assertClose(value as number, expected[i]![1], `${where} at ${ms}`)
  }
}

export type WindowRow = [
  startMs: number,
  count: number,
  avg: number,
  min: number,
  max: number,
  stddev: number | null,
  first: number,
  last: number,
]

/** SQL of one series' windows over `time_us` and `value` of `source`: a WindowRow a row. */
export const windowsSql = (source: string, windowMs: number): string => `
  SELECT floor(time_us / 1000 / ${windowMs}) * ${windowMs} AS start, count(*)::DOUBLE,
    avg(value), min(value), max(value), stddev_samp(value),
    arg_min(value, time_us), arg_max(value, time_us)
  FROM ${source} GROUP BY start ORDER BY start`

/** Counts and extremes exactly, averages and deviations as near as promised. */
export async function checkWindows(
  weir: WeirProcess,
  series: Series,
  { window, expected }: { window: string; expected: WindowRow[] },
): Promise<void> {
  const { windows } = await weir.get<{ windows: Record<string, number | null>[] }>(
    '/v1/aggregations',
    { device_id: series.device, metric: series.metric, window, ...ALWAYS, ...dimensionOf(series) },
  )
  const where = `${nameOf(series)} ${window}`
  assert.equal(windows.length, expected.length, `${where}: windows`)
  for (const [i, found] of windows.entries()) {
    const [start, count, avg, min, max, stddev, first, last] = expected[i]!
    const { avg: foundAvg, sum: foundSum, stddev: foundDeviation, ...exact } = found
    assert.deepEqual(exact, { window_start: start, count, min, max, first, last }, where)
    assertClose(foundAvg ?? NaN, avg, `${where} avg at ${start}`)
    assertClose((foundSum ?? NaN) / count, avg, `${where} sum at ${start}`)
    if (stddev === null) assert.equal(foundDeviation, null)
    else assertClose(foundDeviation ?? NaN, stddev, `${where} stddev at ${start}`)
  }
}

/** Within 1e-9 of the size; a deviation that is rounding noise around 0 counts as 0. */
export function assertClose(found: number, expected: number, what: string): void {
  const bound = RELATIVE_MAX * Math.max(1e-3, Math.abs(found), Math.abs(expected))
  assert.ok(Math.abs(found - expected) <= bound, `${what} is ${found}, not ${expected}`)
}
