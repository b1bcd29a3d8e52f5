/**
 * Days before the first hours that a store has summed up: of a backlog that devices kept, of an
 * import, or of what was stored before anybody summed up.
 *
 *   said by whoever writes into it, or found at the first closing ─▶ closed ─▶ summed up
 *
 * Days, as one look at all series makes their hours, whoever has said so; and only such days: of a
 * device whose clock says 2000 one day is looked at, not all that have been since. The youngest go
 * first, behind everything else that is to be done.
 */
import type pg from 'pg'
import type { Clock } from '../world/world.ts'
import { checkLease } from './lease.ts'
import type { AgesOf } from './month-rows.ts'
import type { Lease } from './postgres.ts'
import type { Ask, Row } from './query-database.ts'
import type { HashDevice } from './query-source.ts'
import { awaitWriters, DAY_MS, dayOf, lockRollups, type Hours } from './rollup-tables.ts'
import { storedDays, type StoredDaysParts } from './stored-days.ts'

/** So few, as what comes late into a day that is closed costs more than what comes before. */
const DAYS_AT_ONCE = 8
/** Between two days that are said: days off, whose hours without readings are told, too. */
const DAYS_BETWEEN_MAX = 7

interface HistoryWork {
  /** In no transaction. */
  client: pg.ClientBase
  lease: Lease
}

interface BeganRow {
  from_ms: number
  fixed_before_ms: number
}

const BEGAN = `SELECT from_ms, fixed_before_ms FROM rollup_progress
  WHERE from_ms IS NOT NULL AND NOT has_said_stored`

/**
 * Once for each store, when it has begun: says the days of what was stored before, of which nobody
 * has said anything. Nobody waits while they are found, as those who write now say what they write.
 */
export async function sayStored(
  { client, lease, isOver }: HistoryWork & Pick<StoredDaysParts, 'isOver'>,
  hashDevice: HashDevice,
): Promise<void> {
  const { rows } = await client.query<BeganRow>(BEGAN)
  const [began] = rows
  if (began === undefined) return
  const days = await storedDays({ client, hashDevice, isOver }, dayOf(began.from_ms))
  if (days === undefined) return
  await client.query('BEGIN')
  await lockRollups(client)
  await awaitWriters(client)
  await checkLease(client, lease)
  await alignBeginning(client, began)
  await client.query(
    'INSERT INTO history_day (day_ms) SELECT unnest($1::bigint[]) ON CONFLICT DO NOTHING',
    [[...days]],
  )
  await client.query('UPDATE rollup_progress SET has_said_stored = TRUE')
  await client.query('COMMIT')
}

/** Stores of before begin within a day: its first hours are late, and so it becomes whole. */
async function alignBeginning(
  client: pg.ClientBase,
  { from_ms, fixed_before_ms }: BeganRow,
): Promise<void> {
  const fromMs = Math.max(dayOf(from_ms), fixed_before_ms)
  if (fromMs >= from_ms) return
  await client.query('UPDATE rollup_progress SET from_ms = $1', [fromMs])
  await client.query(
    `INSERT INTO late_hour (owner, from_ms, to_ms)
     SELECT id, $1::bigint, $2::bigint FROM series WHERE kind = 0`,
    [fromMs, from_ms],
  )
}

/** Days off between two days, or between one and where the store began. */
const SAY_BETWEEN = `
  INSERT INTO history_day (day_ms)
  SELECT generate_series(day_ms + ${DAY_MS}, next_ms - ${DAY_MS}, ${DAY_MS}) FROM (
    SELECT day_ms, lead(day_ms, 1, from_ms / ${DAY_MS} * ${DAY_MS}) OVER (ORDER BY day_ms) AS next_ms
    FROM history_day CROSS JOIN rollup_progress
  ) AS said WHERE next_ms - day_ms <= ${(DAYS_BETWEEN_MAX + 1) * DAY_MS}`

const CLOSE = `
  UPDATE history_day SET summed_ms = day_ms WHERE day_ms IN (
    SELECT day_ms FROM history_day WHERE summed_ms IS NULL AND day_ms > $1
    ORDER BY day_ms DESC LIMIT ${DAYS_AT_ONCE}
  )`

/**
 * Closes some days whose rows would be kept. False: there are none. What waits for its turn behind
 * them waits until they are summed up.
 */
export async function closeHistory(
  { client, lease }: HistoryWork,
  ages: { clock: Clock; agesOf: AgesOf },
): Promise<boolean> {
  const { rows } = await client.query<{ newest_ms: number | null; fixed_before_ms: number }>(
    `SELECT fixed_before_ms,
       (SELECT max(day_ms) FROM history_day WHERE summed_ms IS NULL) AS newest_ms
     FROM rollup_progress`,
  )
  const { newest_ms: newestMs, fixed_before_ms: fixedBeforeMs } = rows[0]!
  if (newestMs === null) return false
  const afterMs = Math.max(fixedBeforeMs, await keptFromMs(client, ages)) - DAY_MS
  if (newestMs <= afterMs) return false
  await client.query('BEGIN')
  await lockRollups(client)
  await awaitWriters(client)
  await checkLease(client, lease)
  await client.query(SAY_BETWEEN)
  const { rowCount } = await client.query(CLOSE, [Math.ceil(afterMs)])
  await client.query('COMMIT')
  return rowCount !== 0
}

/** From when on readings of any fleet are kept; Infinity without one. */
async function keptFromMs(
  client: pg.ClientBase,
  { clock, agesOf }: { clock: Clock; agesOf: AgesOf },
): Promise<number> {
  const { rows } = await client.query<{ tenant: string; metric: string; device_type: string }>(
    'SELECT tenant, metric, device_type FROM fleet',
  )
  const agesUs = rows.map(({ device_type, ...one }) => {
    return agesOf({ ...one, deviceType: device_type }).coldUs
  })
  const nowUs = clock.nowUs()
  return agesUs.reduce((least, coldUs) => Math.min(least, (nowUs - coldUs) / 1000), Infinity)
}

/** The youngest day that is closed, and of which `hours` are not summed up. */
interface HistoryDay {
  dayMs: number
  hours: Hours
}

export async function nextHistory(ask: Ask): Promise<HistoryDay | undefined> {
  const [row] = await ask<{ day_ms: number; summed_ms: number } & Row>(
    `SELECT day_ms, summed_ms FROM history_day WHERE summed_ms < day_ms + ${DAY_MS}
     ORDER BY day_ms DESC LIMIT 1`,
    [],
  )
  if (row === undefined) return undefined
  const { day_ms: dayMs, summed_ms: fromMs } = row
  return { dayMs, hours: { fromMs, toMs: dayMs + DAY_MS } }
}

/** In the transaction that has its rows. */
export async function noteHistory(
  client: pg.ClientBase,
  dayMs: number,
  summedMs: number,
): Promise<void> {
  await client.query('UPDATE history_day SET summed_ms = $2 WHERE day_ms = $1', [dayMs, summedMs])
}
