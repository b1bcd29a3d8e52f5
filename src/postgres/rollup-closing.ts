/** Which hours are over, and what writers and erasures say of those that are. */
import type pg from 'pg'
import type { Span } from '../query/query.ts'
import { checkLease } from './lease.ts'
import type { Lease, SeriesIds, WrittenReadings } from './postgres.ts'
import { askIn } from './query-database.ts'
import { ID_COLUMN, type RollupTable } from './rollup-rows.ts'
import {
  addLate,
  awaitWriters,
  DAY_MS,
  dayOf,
  HOUR_MS,
  loadProgress,
  lockRollups,
  OLDEST_MS,
  readClosed,
  type Hours,
} from './rollup-tables.ts'

const LATE_TABLE = { hour_rollup: 'late_hour', fleet_rollup: 'late_fleet_hour' } as const

/** Each of its hours has its turn, and the first windows may be of a clock that is years behind. */
const BEGINNING_MS_MAX = 100 * DAY_MS

interface OverRow {
  first_ms: number | null
  told_ms: number | null
  newest_ms: number | null
  from_ms: number | null
  closed_ms: number | null
  fixed_before_ms: number
}

/**
 * Up to where all windows are closed: by the newest generation of topics that says so, and without
 * partitions that have said nothing for two days. Readings come by a topic of their own, which may
 * be behind that: their youngest tells about how far it is. Neither has to be right: what comes for
 * a closed hour is late.
 */
const OVER = `
  SELECT from_ms, closed_ms, fixed_before_ms,
    (SELECT min(from_ms) FROM coverage) AS first_ms,
    (SELECT min(watermark_ms) + 1 FROM coverage
     WHERE generation = (SELECT max(generation) FROM coverage)
       AND watermark_ms > (SELECT max(watermark_ms) FROM coverage) - ${2 * DAY_MS}) AS told_ms,
    (SELECT max(newest_ms) FROM writer_offset) AS newest_ms
  FROM rollup_progress`

/** Closes the hours that are over. `client` is in no transaction. */
export async function closeHours(
  { client, lease }: { client: pg.ClientBase; lease: Lease },
  allowedLatenessMs: number,
): Promise<void> {
  const { rows } = await client.query<OverRow>(OVER)
  const { first_ms, told_ms, newest_ms, from_ms, closed_ms, fixed_before_ms } = rows[0]!
  if (first_ms === null || told_ms === null || newest_ms === null) return
  const overMs = Math.min(told_ms - allowedLatenessMs, newest_ms)
  const closedMs = Math.floor(overMs / HOUR_MS) * HOUR_MS
  // Whole days; what is older than that is history, if there is any.
  const firstMs = Math.max(dayOf(Math.max(first_ms, closedMs - BEGINNING_MS_MAX)), fixed_before_ms)
  if (closedMs <= (closed_ms ?? firstMs)) return
  await client.query('BEGIN')
  // In the order of an erasure, which has this lock while it waits for writers.
  await lockRollups(client)
  await awaitWriters(client)
  await checkLease(client, lease)
  await client.query(
    `UPDATE rollup_progress SET closed_ms = $1, from_ms = $2, summed_ms = coalesce(summed_ms, $2)`,
    [closedMs, from_ms ?? firstMs],
  )
  await client.query('COMMIT')
}

/**
 * In the transaction that writes the readings: says of which hours it is too late for them, and of
 * which days of history they are.
 */
export async function writeLate(
  client: pg.ClientBase,
  {
    readings,
    series,
    oldestMs,
  }: {
    readings: WrittenReadings
    series: SeriesIds
    /** Of all of them. */
    oldestMs: number
  },
): Promise<void> {
  const closed = await readClosed(client)
  if (oldestMs >= closed.toMs) return
  const late = new Map<number, Set<number>>()
  const days = new Set<number>()
  for (let row = 0; row < readings.count; row++) {
    const hour = Math.floor(readings.timeUs[row]! / 1000 / HOUR_MS)
    // Said this way around, NaN is none.
    if (!(hour * HOUR_MS < closed.toMs)) continue
    if (hour * HOUR_MS < closed.fromMs) days.add(dayOf(hour * HOUR_MS))
    const owner = series.ids[readings.series[row]!]!
    const own = late.get(owner)
    if (own === undefined) late.set(owner, new Set([hour]))
    else own.add(hour)
  }
  const closedDays = await sayHistory(client, { days, beforeMs: closed.fromMs })
  const isClosed = (hour: number): boolean =>
    hour * HOUR_MS >= closed.fromMs || closedDays.has(dayOf(hour * HOUR_MS))
  const spans = [...late].flatMap(([owner, hours]) =>
    stretchesOf([...hours].filter(isClosed)).map((stretch) => ({ owner, ...stretch })),
  )
  await addLate(client, 'late_hour', spans)
}

/**
 * In the transaction that writes readings of these days, before `beforeMs`, behind readClosed().
 * Returns those that are closed: of their hours it is to say that they are late.
 */
export async function sayHistory(
  client: pg.ClientBase,
  { days, beforeMs }: { days: ReadonlySet<number>; beforeMs: number },
): Promise<Set<number>> {
  const own = [...days].filter((dayMs) => dayMs >= OLDEST_MS && dayMs + DAY_MS <= beforeMs)
  if (own.length === 0) return new Set()
  // In order: another writer that has said one of them is waited for, and does not wait for us.
  const { rows } = await client.query<{ day_ms: number }>(
    `WITH said AS (
       INSERT INTO history_day (day_ms) SELECT day_ms FROM unnest($1::bigint[]) AS day (day_ms)
       WHERE NOT EXISTS (SELECT FROM history_day AS known WHERE known.day_ms = day.day_ms)
       ORDER BY day_ms ON CONFLICT DO NOTHING
     ) SELECT day_ms FROM history_day WHERE day_ms = ANY ($1) AND summed_ms IS NOT NULL`,
    [own],
  )
  return new Set(rows.map(({ day_ms }) => day_ms))
}

/** Hours side by side are one. */
function stretchesOf(hours: readonly number[]): Hours[] {
  const stretches: Hours[] = []
  for (const hour of hours.toSorted((a, b) => a - b)) {
    const last = stretches.at(-1)
    if (last?.toMs === hour * HOUR_MS) last.toMs += HOUR_MS
    else stretches.push({ fromMs: hour * HOUR_MS, toMs: (hour + 1) * HOUR_MS })
  }
  return stretches
}

/**
 * In the transaction that deletes readings of these series (by their ids) in the span, µs, or hides
 * them: takes the rows away that sum them up, of the series and of their fleets, and has them made
 * again of what is left; where there was no row the readings have told, and go on. From the end of
 * the transaction on the readings tell; until then nothing is summed up, and a step under way ends
 * first. Rows of fleets whose readings are gone (without a lake, behind `postgres.retention`) are
 * not made again. Call it while the series are in `series`.
 */
export async function renewHours(
  client: pg.ClientBase,
  series: readonly number[],
  span: Span,
): Promise<void> {
  await lockRollups(client)
  const progress = await loadProgress(askIn(client))
  if (progress === undefined || series.length === 0) return
  const hours: Hours = {
    fromMs: Math.max(progress.fromMs, Math.floor(span.startUs / 1000 / HOUR_MS) * HOUR_MS),
    toMs: Math.min(progress.closedMs, Math.ceil(span.endUs / 1000 / HOUR_MS) * HOUR_MS),
  }
  if (hours.fromMs >= hours.toMs) return
  const { rows } = await client.query<{ id: number }>(
    `SELECT DISTINCT fleet.id FROM fleet JOIN series USING (tenant, metric, device_type)
     WHERE series.id = ANY ($1::integer[]) AND kind = 0`,
    [series],
  )
  const fleets = rows.map(({ id }) => id)
  await renewRows(client, 'hour_rollup', { ids: series, ...hours })
  await renewRows(client, 'fleet_rollup', { ids: fleets, ...hours })
}

/** What is deleted is late: one stretch for days side by side, as years of hours are many. */
async function renewRows(
  client: pg.ClientBase,
  table: RollupTable,
  { ids, fromMs, toMs }: Hours & { ids: readonly number[] },
): Promise<void> {
  const gone = (windowMs: number): string =>
    `DELETE FROM ${table} WHERE ${ID_COLUMN[table]} = ANY ($1::integer[])
       AND window_ms = ${windowMs} AND start_ms > $2::bigint - ${windowMs} AND start_ms < $3::bigint
     RETURNING ${ID_COLUMN[table]} AS owner, start_ms, start_ms + ${windowMs} AS end_ms`
  await client.query(
    `WITH hours AS (${gone(HOUR_MS)}), days AS (${gone(DAY_MS)}),
     by_day AS (
       SELECT owner, start_ms / ${DAY_MS} AS day,
         min(greatest(start_ms, $2)) AS from_ms, max(least(end_ms, $3)) AS to_ms
       FROM (SELECT * FROM hours UNION ALL SELECT * FROM days) AS gone GROUP BY 1, 2
     )
     INSERT INTO ${LATE_TABLE[table]} (owner, from_ms, to_ms)
     SELECT owner, min(from_ms), max(to_ms) FROM (
       SELECT *, day - row_number() OVER (PARTITION BY owner ORDER BY day) AS stretch FROM by_day
     ) AS stretches GROUP BY owner, stretch`,
    [ids, fromMs, toMs],
  )
}
