/**
 * What was erased, and stays so: nobody is shown rows of these devices and times, and no writer
 * takes them, wherever they come from again.
 *
 * A transaction that writes holds the lock below shared, and one that adds tombstones holds it
 * alone. So what was being written when they came is there by then, and is found and deleted; what
 * is written afterwards knows them.
 */
import type pg from 'pg'
import type { SeriesDefinition } from '../batch/batch.ts'
import { addSpan, type Span } from '../query/query.ts'
import type { Erasure } from './erasure-tables.ts'
import type { Ask, Row } from './query-database.ts'
import { renewHours } from './rollup-closing.ts'
import { lockRollups, OLDEST_MS } from './rollup-tables.ts'

/** The two-key form: 'weis', beside that of months, and the hash of the schema's name. */
const TOMBSTONES_LOCK = 0x77656973
const LOCK_ARGUMENTS = `${TOMBSTONES_LOCK}, hashtext(current_schema)`

/** Within a transaction that writes, before anything else of it. */
export const HOLD_TOMBSTONES = `SELECT pg_advisory_xact_lock_shared(${LOCK_ARGUMENTS})`

const NONE: readonly Span[] = []

const ADD = `
  INSERT INTO tombstone (erasure, tenant, device_id, device_hash, from_us, to_us)
  SELECT $1, $2, device_id, device_hash, $5, $6
  FROM unnest($3::text[], $4::integer[]) AS device (device_id, device_hash)
  ON CONFLICT (erasure, device_id) DO NOTHING`

/** For whoever keeps sums of readings: they are made again of what is left. */
const ADD_DIRTY = `
  INSERT INTO dirty_range SELECT id, $3::bigint, $4::bigint FROM series
  WHERE tenant = $1 AND device_id = ANY ($2::text[]) AND $3::bigint < $4::bigint
  ON CONFLICT DO NOTHING`

/** By their ids, in order. */
export async function seriesOfDevices(
  client: pg.ClientBase,
  tenant: string,
  deviceIds: readonly string[],
): Promise<number[]> {
  const { rows } = await client.query<{ id: number }>(
    'SELECT id FROM series WHERE tenant = $1 AND device_id = ANY ($2::text[]) ORDER BY id',
    [tenant, deviceIds],
  )
  return rows.map(({ id }) => id)
}

/** Once it resolves nothing of it is shown or written here any more. May be done again. */
export async function addTombstones(
  client: pg.ClientBase,
  { id, tenant, devices, fromUs, toUs }: Erasure,
): Promise<void> {
  const ids = devices.map(({ deviceId }) => deviceId)
  const hashes = devices.map(({ deviceHash }) => deviceHash)
  await client.query('BEGIN; SET LOCAL synchronous_commit = on')
  // First, as what sums up may take a while, and writers wait for nothing meanwhile.
  await lockRollups(client)
  await client.query(`SELECT pg_advisory_xact_lock(${LOCK_ARGUMENTS})`)
  await client.query(ADD, [id, tenant, ids, hashes, fromUs, toUs])
  const [fromMs, toMs] = [Math.floor(fromUs / 1000), Math.ceil(toUs / 1000)]
  await client.query(ADD_DIRTY, [tenant, ids, Math.max(OLDEST_MS, fromMs), toMs])
  // What sums it up goes at once, and is made again without it.
  const series = await seriesOfDevices(client, tenant, ids)
  await renewHours(client, series, { startUs: fromUs, endUs: toUs })
  await client.query('COMMIT')
}

interface SpanRow extends Row {
  device_id: string
  from_us: number
  to_us: number
}

/**
 * What of a tenant's devices was erased, by device, each in order and apart; `deviceIds`: of those
 * alone. For everybody who shows rows, from the same snapshot as the rows.
 */
export async function erasedSpans(
  ask: Ask,
  tenant: string,
  deviceIds?: readonly string[],
): Promise<ReadonlyMap<string, readonly Span[]>> {
  const rows = await ask<SpanRow>(
    `SELECT device_id, from_us, to_us FROM tombstone
     WHERE tenant = $1 AND (device_id = ANY ($2) OR $2 IS NULL)`,
    [tenant, deviceIds ?? null],
  )
  const spans = new Map<string, readonly Span[]>()
  for (const { device_id, from_us, to_us } of rows) {
    const span = { startUs: from_us, endUs: to_us }
    spans.set(device_id, addSpan(spans.get(device_id) ?? [], span, Infinity))
  }
  return spans
}

/** Of one device. */
export async function erasedOfDevice(
  ask: Ask,
  { tenant, deviceId }: { tenant: string; deviceId: string },
): Promise<readonly Span[]> {
  return (await erasedSpans(ask, tenant, [deviceId])).get(deviceId) ?? []
}

/** Of a series by its number, in order and apart. */
export type ErasedOf = (series: number) => readonly Span[]

export async function erasedOfSeries(
  ask: Ask,
  all: readonly SeriesDefinition[],
): Promise<ErasedOf> {
  const spans = new Map<number, readonly Span[]>()
  for (const [tenant, own] of Map.groupBy(all, (one) => one.tenant)) {
    const erased = await erasedSpans(ask, tenant, [...new Set(own.map((one) => one.deviceId))])
    if (erased.size === 0) continue
    for (const { series, deviceId } of own) spans.set(series, erased.get(deviceId) ?? NONE)
  }
  return (series) => spans.get(series) ?? NONE
}

/** Of rows with a tenant and a device: none that was erased. `time` is their time's column, µs. */
export const notErased = (table: string, time: string): string => `NOT EXISTS (
  SELECT FROM tombstone WHERE tombstone.tenant = ${table}.tenant
    AND tombstone.device_id = ${table}.device_id AND from_us <= ${time} AND ${time} < to_us)`
