/** A device's latest value of every metric: one step down the primary key of each series. */
import type { Value } from '../query/query.ts'
import type { Ask } from './query-database.ts'
import { kindOf, type DevicePlace } from './query-source.ts'

interface Row extends Record<string, unknown> {
  metric: string
  kind: number
  time_us: number
  value: number
  text_value: string | null
}

/**
 * Months are looked at from the newest backwards, until one holds a reading. Of several series of
 * one metric the newest reading counts. `ts` is ms.
 */
export async function readLatest(
  ask: Ask,
  { tenant, deviceId, deviceHash }: DevicePlace,
): Promise<Record<string, { ts: number; value: Value }>> {
  const rows = await ask<Row>(
    `SELECT metric, kind, newest.* FROM series
     CROSS JOIN LATERAL (
       SELECT time_us, value, text_value FROM reading
       WHERE reading.series = series.id AND device_hash = $3
       ORDER BY time_us DESC LIMIT 1
     ) AS newest
     WHERE tenant = $1 AND device_id = $2
     ORDER BY id`,
    [tenant, deviceId, deviceHash],
  )
  const latest = new Map<string, { ts: number; value: Value }>()
  for (const row of rows) {
    const ts = row.time_us / 1000
    const known = latest.get(row.metric)
    if (known === undefined || known.ts < ts) latest.set(row.metric, { ts, value: valueOf(row) })
  }
  return Object.fromEntries(latest)
}

function valueOf({ kind, value, text_value }: Row): Value {
  const name = kindOf(kind)
  if (name === 'text') return text_value ?? ''
  return name === 'boolean' ? value !== 0 : value
}
