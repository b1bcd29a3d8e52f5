/**
 * What becomes of old rows: they go with the age at which their readings do, and those that are
 * small only beside rows of PostgreSQL go when the readings are in the lake.
 */
import type pg from 'pg'
import type { Objects } from '../objects/objects.ts'
import type { Clock } from '../world/world.ts'
import { checkLease } from './lease.ts'
import type { AgesOf } from './month-rows.ts'
import type { Lease } from './postgres.ts'
import { GAIN, ID_COLUMN, LAKE_READING_BYTES, ROW_BYTES } from './rollup-rows.ts'
import { DAY_MS, HOUR_MS, lockRollups } from './rollup-tables.ts'

/** Rows that became cold so long ago were looked at. */
const THINNED_MS = 40 * DAY_MS
const CLOCKS_APART_MS = HOUR_MS

export interface ExpiryOptions {
  clock: Clock
  objects: Objects | undefined
  agesOf: AgesOf
  isExportedFirst: boolean
}

interface Expiring {
  series: number[]
  fleet: number[]
  /** No row that ends before is kept. */
  keptFromMs: number
  /** Readings of before are in the lake. */
  warmFromMs: number
}

/** `client` is in no transaction. */
export async function expireRollups(
  { client, lease }: { client: pg.ClientBase; lease: Lease },
  options: ExpiryOptions,
): Promise<void> {
  const { clock, objects } = options
  const { rows } = await client.query<{ now: number; exported: number | null }>(
    `SELECT (extract(epoch FROM now()) * 1e3)::bigint AS now,
       (SELECT before_us FROM exported) AS exported`,
  )
  const nowMs = clock.nowUs() / 1000
  // Nothing goes for its age that only a wrong clock takes for old.
  if (Math.abs(rows[0]!.now - nowMs) > CLOCKS_APART_MS) return
  const deletableMs = options.isExportedFirst ? (rows[0]!.exported ?? 0) / 1000 : Infinity
  await client.query('BEGIN')
  await lockRollups(client)
  for (const one of await expiring(client, { ...options, nowMs, deletableMs })) {
    for (const table of ['hour_rollup', 'fleet_rollup'] as const) {
      const id = ID_COLUMN[table]
      const own = `${id} = ANY ($1::integer[]) AND window_ms = $2`
      for (const windowMs of [HOUR_MS, DAY_MS]) {
        const keptFromMs = Math.floor(one.keptFromMs - windowMs)
        if (keptFromMs > 0) {
          const values = [one[id], windowMs, keptFromMs]
          await client.query(`DELETE FROM ${table} WHERE ${own} AND start_ms <= $3`, values)
        }
        const warmFromMs = Math.floor(one.warmFromMs - windowMs)
        if (objects === undefined || !(warmFromMs > 0)) continue
        await client.query(
          `DELETE FROM ${table} WHERE ${own} AND start_ms > $3 AND start_ms <= $4 AND count > 0
             AND count * ${LAKE_READING_BYTES / GAIN}
               < ${ROW_BYTES} + coalesce(octet_length(sketch), 0)`,
          [one[id], windowMs, warmFromMs - THINNED_MS, warmFromMs],
        )
      }
    }
  }
  await checkLease(client, lease)
  await client.query('COMMIT')
}

/** By the ages that they have. */
async function expiring(
  client: pg.ClientBase,
  { agesOf, nowMs, deletableMs }: ExpiryOptions & { nowMs: number; deletableMs: number },
): Promise<Expiring[]> {
  const { rows } = await client.query<{
    tenant: string
    metric: string
    device_type: string
    series: number[]
    fleet: number | null
  }>(
    `SELECT tenant, metric, device_type, series, fleet.id AS fleet FROM (
       SELECT tenant, metric, device_type, array_agg(id) AS series FROM series WHERE kind = 0
       GROUP BY tenant, metric, device_type
     ) AS grouped LEFT JOIN fleet USING (tenant, metric, device_type)`,
  )
  return rows.map(({ tenant, metric, device_type: deviceType, series, fleet }) => {
    const { warmUs, coldUs } = agesOf({ tenant, metric, deviceType })
    return {
      ...{ series, fleet: fleet === null ? [] : [fleet] },
      keptFromMs: Math.min(nowMs - coldUs / 1000, deletableMs),
      warmFromMs: nowMs - warmUs / 1000,
    }
  })
}
