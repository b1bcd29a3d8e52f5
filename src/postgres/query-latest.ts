/**
 * The latest value of every metric of a device, and of one metric of every device: one step down
 * the primary key of each series.
 */
import { LatestRows, type LatestColumns, type LatestQuestion, type Value } from '../query/query.ts'
import type { Ask, Row } from './query-database.ts'
import { kindOf, type DevicePlace } from './query-source.ts'

/** More devices are asked at once than are missing, as some may have no reading any more. */
const SERIES_PER_PAGE_MIN = 100

interface Newest extends Row {
  time_us: number
  value: number
  text_value: string | null
}

interface NewestOfMetric extends Newest {
  metric: string
  kind: number
}

/** The newest of a series, here or in the lake, which was first where both have the time. */
const newestOf = (series: string, deviceHash: string): string => `
  SELECT time_us, value, text_value FROM (
    (SELECT time_us, value, text_value, 1 AS place FROM reading
      WHERE reading.series = ${series} AND reading.device_hash = ${deviceHash}
      ORDER BY time_us DESC LIMIT 1)
    UNION ALL
    (SELECT max_us, last_value, last_text, 0 FROM cold_run WHERE cold_run.series = ${series}
      ORDER BY max_us DESC, file LIMIT 1)
  ) AS one ORDER BY time_us DESC, place LIMIT 1`

/**
 * Months are looked at from the newest backwards, until one holds a reading. Of several series of
 * one metric the newest reading counts. `ts` is ms.
 */
export async function readLatest(
  ask: Ask,
  { tenant, deviceId, deviceHash }: DevicePlace,
): Promise<Record<string, { ts: number; value: Value }>> {
  const rows = await ask<NewestOfMetric>(
    `SELECT metric, kind, newest.* FROM series
     CROSS JOIN LATERAL (${newestOf('series.id', '$3')}) AS newest
     WHERE tenant = $1 AND device_id = $2
     ORDER BY id`,
    [tenant, deviceId, deviceHash],
  )
  const latest = new Map<string, { ts: number; value: Value }>()
  for (const row of rows) {
    const ts = row.time_us / 1000
    const known = latest.get(row.metric)
    if (known === undefined || known.ts < ts)
      latest.set(row.metric, { ts, value: valueOf(row.kind, row) })
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

const NEWEST = `SELECT place, newest.*
  FROM unnest($1::integer[], $2::integer[]) WITH ORDINALITY AS wanted (series, device_hash, place)
  CROSS JOIN LATERAL (${newestOf('wanted.series', 'wanted.device_hash')}) AS newest
  ORDER BY place`

interface PageRow extends Row {
  id: number
  device_id: string
  kind: number
}

interface PlacedNewest extends Newest {
  /** In the page, from 1. */
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
    const ids = page.map(({ id }) => id)
    const hashes = page.map(({ device_id }) => hashDevice(tenant, device_id))
    for (const newest of await ask<PlacedNewest>(NEWEST, [ids, hashes])) {
      const { device_id, kind } = page[newest.place - 1]!
      if (!rows.take(device_id, newest.time_us / 1000, valueOf(kind, newest))) break
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
