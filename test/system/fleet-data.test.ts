/**
 * Twenty trucks for six hours, as line protocol: once through the door that Telegraf uses, as live
 * readings whose windows the stream computes, and once by `weir replay`, as history whose windows
 * come from storage. Both must say what DuckDB says about the raw file. Lines without a device are
 * dead letters; of readings with one identity the first counts.
 */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { before, test } from 'node:test'
import { zstdDecompressSync } from 'node:zlib'
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
  type Series,
  type WindowRow,
} from './raw-data.ts'
import { makeFolder, until, weir as runWeir, WeirProcess } from './weir-process.ts'

const { path, skip } = rawFile('fleet', 'fleet-20-trucks-6h.influx.zst')

/** Ten years back are the present here, so that the live path takes them. */
const LIVE_PIPELINE = `
version: 1
time: { past: 36500d, idleTimeout: 1s }
retention: { cold: 36500d }
`
/** It would be too old to be kept. */
const KEEPING = `
version: 1
retention: { cold: 36500d }
`
const BATCH_LINES = 5_000
/** Series whose windows are compared one by one: smooth, with gaps, of the other measurement. */
const WATCHED: [device: string, measurement: string, metric: string][] = [
  ['truck_0', 'readings', 'velocity'],
  ['truck_7', 'readings', 'fuel_consumption'],
  ['truck_13', 'diagnostics', 'fuel_state'],
]

let duck: DuckDBConnection
let lines: string[]
let devices: string[]
let nameless: number

before(async () => {
  if (skip !== false) return
  lines = zstdDecompressSync(await readFile(path))
    .toString()
    .trimEnd()
    .split('\n')
  duck = await openDuck()
  await duck.run(RAW_SQL.replace('$path', path.replaceAll("'", "''")))
  devices = (await rowsOf<[string]>(duck, 'SELECT DISTINCT device FROM readings ORDER BY 1')).flat()
  const [row] = await rowsOf<[number]>(duck, NAMELESS_SQL)
  nameless = row![0]
  assert.equal(devices.length, 20)
})

/** Independent of Weir's parser; sufficient for this file, which has no quotes and no escapes. */
const RAW_SQL = `
  CREATE TABLE lines AS SELECT row_number() OVER () AS number, line
    FROM read_csv('$path', columns = {'line': 'VARCHAR'}, header = false, delim = '\\t',
      quote = '', escape = '', compression = 'zstd', parallel = false);
  CREATE TABLE readings AS
    WITH parts AS (SELECT number, string_split(line, ' ') AS part FROM lines),
      fields AS (
        SELECT number, split_part(part[1], ',', 1) AS measurement,
          regexp_extract(part[1], ',name=([^,]+)', 1) AS device,
          unnest(string_split(part[2], ',')) AS field,
          part[3]::BIGINT / 1000 AS time_us
        FROM parts),
      every_one AS (
        SELECT *, split_part(field, '=', 1) AS metric,
          rtrim(split_part(field, '=', 2), 'i')::DOUBLE AS value
        FROM fields WHERE device <> '')
    SELECT measurement, device, metric, time_us::DOUBLE AS time_us, value FROM every_one
    QUALIFY row_number()
      OVER (PARTITION BY device, measurement, metric, time_us ORDER BY number) = 1`

const NAMELESS_SQL = `SELECT count(*)::DOUBLE FROM lines WHERE NOT contains(line, ',name=')`

test('line protocol through /api/v2/write equals DuckDB over the raw file', { skip }, async (t) => {
  const weir = await WeirProcess.start({ folder: await makeFolder(t), pipeline: LIVE_PIPELINE })
  await forEach(devices, async (id) => void (await weir.register({ id })))
  let rejected = 0
  for (let at = 0; at < lines.length; at += BATCH_LINES) {
    const answer = await weir.api('/api/v2/write?bucket=fleet&precision=ns', {
      body: lines.slice(at, at + BATCH_LINES).join('\n'),
      headers: { authorization: `Token ${weir.adminKey}`, 'content-type': 'text/plain' },
    })
    assert.equal(answer.status, 204, answer.text)
    rejected += Number(answer.headers.get('x-weir-rejected'))
  }
  assert.equal(rejected, nameless)
  await checkDeadLetters(weir)
  await checkEverything(weir)
  await weir.stop()
})

test('weir replay of the whole file equals DuckDB over it, twice as well', { skip }, async (t) => {
  const weir = await WeirProcess.start({ folder: await makeFolder(t), pipeline: KEEPING })
  const parameters = ['replay', path, '--url', weir.url, '--register']
  // A replay that broke off can be run again: nothing is stored twice.
  for (const round of [1, 2]) {
    const replay = runWeir(parameters, { WEIR_ADMIN_KEY: weir.adminKey })
    // 1: something was refused, here the lines without a device.
    assert.equal(await replay.end(), 1, replay.output)
    const expected = `${lines.length - nameless} accepted, ${nameless} rejected`
    assert.ok(replay.stdout.includes(expected), `round ${round}: ${replay.output}`)
  }
  await checkEverything(weir)
  await weir.stop()
})

async function checkDeadLetters(weir: WeirProcess): Promise<void> {
  const items = await until('the dead letters', async () => {
    const found = await weir.get<{ items: { code: string; payload: string }[] }>(
      '/v1/dead-letters',
      { limit: 1000 },
    )
    return found.items.length === nameless && found.items
  })
  assert.deepEqual([...new Set(items.map(({ code }) => code))], ['GATEWAY_DEVICE_MISSING'])
  const without = lines.filter((line) => !line.includes(',name='))
  assert.deepEqual(items.map(({ payload }) => payload).toSorted(), without.toSorted())
}

type Totals = [string, string, string, number, number, number, number, number]

async function checkEverything(weir: WeirProcess): Promise<void> {
  const totals = await rowsOf<Totals>(
    duck,
    `SELECT device, measurement, metric, count(*)::DOUBLE, sum(value), avg(value), min(value),
       max(value) FROM readings GROUP BY ALL ORDER BY ALL`,
  )
  await allTaken(weir)
  await forEach(totals, async ([device, measurement, metric, count, sum, avg, min, max]) => {
    const series: Series = { device, metric, dimension: `measurement=${measurement}` }
    await checkTotals(weir, series, { count, sum, avg, min, max })
  })
  for (const watched of WATCHED) await checkOne(weir, watched)
}

/** Hourly averages, and the windows of both sizes. */
async function checkOne(
  weir: WeirProcess,
  [device, measurement, metric]: (typeof WATCHED)[number],
): Promise<void> {
  const series = { device, metric, dimension: `measurement=${measurement}` }
  const source = `(SELECT time_us, value FROM readings WHERE device = '${device}'
    AND measurement = '${measurement}' AND metric = '${metric}')`
  const hourly = await rowsOf<[number, number]>(
    duck,
    `SELECT floor(time_us / 3.6e9) * 3.6e6 AS hour, avg(value) FROM ${source} GROUP BY 1 ORDER BY 1`,
  )
  assert.ok(hourly.length >= 6)
  const span = { start: hourly[0]![0], end: hourly.at(-1)![0] + 3.6e6 }
  await checkSteps(weir, series, { agg: 'avg', step: '1h', ...span, expected: hourly })
  for (const [window, windowMs] of [['1m', 60_000] as const, ['5m', 300_000] as const]) {
    const expected = await rowsOf<WindowRow>(duck, windowsSql(source, windowMs))
    // The last windows of a live stream close when it falls silent.
    await until(`${window} windows`, async () => {
      const { windows } = await weir.get<{ windows: unknown[] }>('/v1/aggregations', {
        ...{ device_id: device, metric, window, ...span, end: span.end },
        dimension: series.dimension,
      })
      return windows.length === expected.length
    })
    await checkWindows(weir, series, { window, expected })
  }
}
