/**
 * The latest value of every metric of a device, and of one metric of every device: one step down
 * the primary key of each series.
 */
import {
  contains,
  LatestRows,
  subtractSpans,
  type LatestColumns,
  type LatestQuestion,
  type Span,
  type Value,
} from '../query/query.ts'
import type { Ask, Row } from './query-database.ts'
import { kindOf, type DevicePlace } from './query-source.ts'
import { erasedOfDevice, erasedSpans } from './tombstones.ts'

/** More devices are asked at once than are missing, as some may have no reading any more. */
const SERIES_PER_PAGE_MIN = 100

interface Newest extends Row {
  time_us: number
  value: number
  text_value: string | null
}

interface MetricRow extends Row {
  id: number
  metric: string
  kind: number
}

/** A series, and what of its device was erased. */
interface WantedSeries {
  series: number
  deviceHash: number
  erased: readonly Span[]
}

const ALWAYS: Span = { startUs: Number.MIN_SAFE_INTEGER, endUs: Number.MAX_SAFE_INTEGER }

/** The newest of a series and a span, here or in the lake, which was first where both have it. */
const NEWEST = `
  SELECT place, newest.*
  FROM unnest($1::integer[], $2::integer[], $3::bigint[], $4::bigint[]) WITH ORDINALITY
    AS wanted (series, device_hash, start_us, end_us, place)
  CROSS JOIN LATERAL (
    SELECT time_us, value, text_value FROM (
      (SELECT time_us, value, text_value, 1 AS source FROM reading
        WHERE reading.series = wanted.series AND reading.device_hash = wanted.device_hash
          AND time_us >= wanted.start_us AND time_us < wanted.end_us
        ORDER BY time_us DESC LIMIT 1)
      UNION ALL
      (SELECT max_us, last_value, last_text, 0 FROM cold_run
        WHERE cold_run.series = wanted.series
          AND max_us >= wanted.start_us AND max_us < wanted.end_us
        ORDER BY max_us DESC, file LIMIT 1)
    ) AS one ORDER BY time_us DESC, source LIMIT 1
  ) AS newest
  ORDER BY place`

/** By series; those that have none are left out. */
async function newestOf(ask: Ask, wanted: readonly WantedSeries[]): Promise<Map<number, Newest>> {
  const parts = wanted.flatMap((one) =>
    subtractSpans(ALWAYS, one.erased).map((span) => ({ ...one, span })),
  )
  const rows = await ask<PlacedNewest>(NEWEST, [
    parts.map(({ series }) => series),
    parts.map(({ deviceHash }) => deviceHash),
    parts.map(({ span }) => span.startUs),
    parts.map(({ span }) => span.endUs),
  ])
  const newest = new Map<number, Newest>()
  // Spans ascend.
  for (const row of rows) newest.set(parts[row.place - 1]!.series, row)
  const erased = wanted.filter((one) => one.erased.length > 0)
  for (const { series, max_us } of await unknownOf(ask, erased)) {
    if ((newest.get(series)?.time_us ?? -Infinity) < max_us) newest.delete(series)
  }
  return newest
}

/**
 * Runs of the lake whose last reading was erased and whose first was not: until their files are
 * written anew nobody knows which reading is their last.
 */
async function unknownOf(ask: Ask, wanted: readonly WantedSeries[]): Promise<RunBounds[]> {
  if (wanted.length === 0) return []
  const spans = new Map(wanted.map(({ series, erased }) => [series, erased]))
  const runs = await ask<RunBounds>(
    'SELECT series, min_us, max_us FROM cold_run WHERE series = ANY ($1::integer[])',
    [[...spans.keys()]],
  )
  return runs.filter(({ series, min_us, max_us }) => {
    const last = spans.get(series)!.find((span) => contains([span], max_us))
    return last !== undefined && min_us < last.startUs
  })
}

interface RunBounds extends Row {
  series: number
  min_us: number
  max_us: number
}

/**
 * Months are looked at from the newest backwards, until one holds a reading. Of several series of
 * one metric the newest reading counts. `ts` is ms.
 */
export async function readLatest(
  ask: Ask,
  { tenant, deviceId, deviceHash }: DevicePlace,
): Promise<Record<string, { ts: number; value: Value }>> {
  const rows = await ask<MetricRow>(
    'SELECT id, metric, kind FROM series WHERE tenant = $1 AND device_id = $2 ORDER BY id',
    [tenant, deviceId],
  )
  const erased = await erasedOfDevice(ask, { tenant, deviceId })
  const newest = await newestOf(
    ask,
    rows.map(({ id: series }) => ({ series, deviceHash, erased })),
  )
  const latest = new Map<string, { ts: number; value: Value }>()
  for (const { id, metric, kind } of rows) {
    const row = newest.get(id)
    if (row === undefined) continue
    const ts = row.time_us / 1000
    const known = latest.get(metric)
    if (known === undefined || known.ts < ts) latest.set(metric, { ts, value: valueOf(kind, row) })
  }
  return Object.fromEntries(latest)
}

/** Whole devices: as many series as begin in a page. */
const PAGE = `SELECT id, device_id, kind FROM series
  WHERE tenant = $1 AND metric = $2 AND (device_type = $3 OR $3 IS NULL) AND device_id > $4
    AND device_id <= (
      SELECT max(device_id) FROM (
        SELECT device_id FROM series
        WHERE tenant = $1 AND metric = $2 AND (device_type = $3 OR $3 IS NULL) AND device_id > $4
        ORDER BY device_id LIMIT $5
      ) AS page
    )
  ORDER BY device_id, id`

interface PageRow extends Row {
  id: number
  device_id: string
  kind: number
}

interface PlacedNewest extends Newest {
  /** Among what was wanted, from 1. */
  place: number
}

/** As for the port; months are looked at as for readLatest(). */
export async function readLatestOfMetric(
  ask: Ask,
  { tenant, metric, deviceType, afterDeviceId = '', limit }: LatestQuestion,
  hashDevice: (tenant: string, deviceId: string) => number,
): Promise<LatestColumns> {
  const rows = new LatestRows(limit)
  let after = afterDeviceId
  while (!rows.isFull) {
    const count = Math.max(limit - rows.columns.deviceIds.length, SERIES_PER_PAGE_MIN)
    const page = await ask<PageRow>(PAGE, [tenant, metric, deviceType ?? null, after, count])
    if (page.length === 0) break
    const deviceIds = page.map(({ device_id }) => device_id)
    const erased = await erasedSpans(ask, tenant, [...new Set(deviceIds)])
    const newest = await newestOf(
      ask,
      page.map(({ id: series, device_id }) => ({
        ...{ series, deviceHash: hashDevice(tenant, device_id) },
        erased: erased.get(device_id) ?? [],
      })),
    )
    for (const { id, device_id, kind } of page) {
      const row = newest.get(id)
      if (row === undefined) continue
      if (!rows.take(device_id, row.time_us / 1000, valueOf(kind, row))) break
    }
    if (page.length < count) break
    after = page.at(-1)!.device_id
  }
  return rows.columns
}

function valueOf(kind: number, { value, text_value }: Newest): Value {
  const name = kindOf(kind)
  if (name === 'text') return text_value ?? ''
  return name === 'boolean' ? value !== 0 : value
}
