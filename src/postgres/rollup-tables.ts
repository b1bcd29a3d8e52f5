/**
 * Hours and days of series, and hours of fleets, each with a sketch of its values. A fleet is all
 * series of numbers of one tenant, device type and metric that this store has.
 *
 *   history ── from_ms ── rows tell ── summed_ms ── to be summed up ── closed_ms ── too young
 *
 * `from_ms` is where a store began to sum up. What is older comes by the day (`history_day`), each
 * in its own time: it is said by whoever writes into it, closed, and summed up.
 *
 * R1 What is written into an hour that is closed says so in `late_hour`, in its transaction. Who
 *    closes hours waits for the writers under way, so none of them can miss it, and what is summed
 *    up sees all that was written before without a word.
 * R2 Hours in `late_hour` and `late_fleet_hour` are not asked of rows: the readings tell.
 * R3 An hour without a row has not been told, whatever the reason: the readings tell.
 * R4 Rows are as of one look, and go in with the end of the lateness that this look has seen.
 * R5 What is written into a day before `from_ms` that is not closed has it in `history_day`, in its
 *    transaction; such a day has no rows.
 */
import type pg from 'pg'
import type { Span } from '../query/query.ts'
import type { Ask, Row } from './query-database.ts'

export const HOUR_MS = 3_600_000
export const DAY_MS = 86_400_000

/** Where its day begins, ms. */
export const dayOf = (timeMs: number): number => Math.floor(timeMs / DAY_MS) * DAY_MS

/** The oldest time that gateways believe: nothing is summed up from before. */
export const OLDEST_MS = Date.UTC(2000, 0, 1)

const SUMS = `
    window_ms INTEGER NOT NULL,
    start_ms BIGINT NOT NULL,
    count BIGINT NOT NULL,
    sum DOUBLE PRECISION NOT NULL,
    min DOUBLE PRECISION NOT NULL,
    max DOUBLE PRECISION NOT NULL,
    mean DOUBLE PRECISION NOT NULL,
    squares DOUBLE PRECISION NOT NULL, -- Centred sum of squares.
    first DOUBLE PRECISION NOT NULL,
    first_us BIGINT NOT NULL,
    last DOUBLE PRECISION NOT NULL,
    last_us BIGINT NOT NULL,
    sketch BYTEA, -- Of src/query/sketch.ts; NULL: quantiles are of readings.`

export const ROLLUP_TABLES = `
  CREATE TABLE hour_rollup (
    series INTEGER NOT NULL,${SUMS}
    PRIMARY KEY (series, window_ms, start_ms)
  );
  CREATE TABLE fleet (
    id INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant TEXT COLLATE "C" NOT NULL,
    metric TEXT COLLATE "C" NOT NULL,
    device_type TEXT NOT NULL,
    UNIQUE (tenant, metric, device_type)
  );
  -- A row of count 0 says that no series of the fleet has a reading in this hour.
  CREATE TABLE fleet_rollup (
    fleet INTEGER NOT NULL,${SUMS}
    PRIMARY KEY (fleet, window_ms, start_ms)
  );
  -- Whole hours. Rows are only added and deleted: two of the same hour are two.
  CREATE TABLE late_hour (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner INTEGER NOT NULL, -- A series.
    from_ms BIGINT NOT NULL,
    to_ms BIGINT NOT NULL -- Excluded.
  );
  CREATE INDEX late_hour_by_owner ON late_hour (owner);
  CREATE TABLE late_fleet_hour (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner INTEGER NOT NULL, -- A fleet.
    from_ms BIGINT NOT NULL,
    to_ms BIGINT NOT NULL -- Excluded.
  );
  CREATE INDEX late_fleet_hour_by_owner ON late_fleet_hour (owner);
  CREATE TABLE rollup_progress (
    is_only BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (is_only), -- One row.
    from_ms BIGINT, -- NULL: nothing was summed up yet.
    summed_ms BIGINT,
    closed_ms BIGINT,
    -- Readings of before may be gone while their rows stay: those are not made again.
    fixed_before_ms BIGINT NOT NULL DEFAULT 0
  );
  INSERT INTO rollup_progress DEFAULT VALUES;
  -- The youngest reading that was written of the partition.
  ALTER TABLE writer_offset ADD COLUMN newest_ms BIGINT;
`

export const HISTORY_TABLES = `
  -- Before from_ms, as far as anybody has said that there are readings.
  CREATE TABLE history_day (
    day_ms BIGINT PRIMARY KEY, -- Where it begins.
    summed_ms BIGINT -- Up to where its rows tell; NULL: it is not closed.
  );
  -- Days of what was stored before anybody said so are in history_day.
  ALTER TABLE rollup_progress ADD COLUMN has_said_stored BOOLEAN NOT NULL DEFAULT FALSE;
`

/** [fromMs, toMs), whole hours. */
export interface Hours {
  fromMs: number
  toMs: number
}

/**
 * Rows tell something from `fromMs`, where the oldest day of history begins that is closed, to
 * `toMs`.
 */
export interface RollupProgress extends Hours {
  /** What is before is history, by the day. */
  beganMs: number
  /** Up to here writers say what is late. */
  closedMs: number
  fixedBeforeMs: number
}

interface ProgressRow extends Row {
  began_ms: number | null
  history_ms: number | null
  summed_ms: number
  closed_ms: number
  fixed_before_ms: number
}

const PROGRESS = `
  SELECT from_ms AS began_ms, summed_ms, closed_ms, fixed_before_ms,
    (SELECT min(day_ms) FROM history_day WHERE summed_ms IS NOT NULL) AS history_ms
  FROM rollup_progress`

/** Undefined: nothing was summed up yet. */
export async function loadProgress(ask: Ask): Promise<RollupProgress | undefined> {
  const [row] = await ask<ProgressRow>(PROGRESS, [])
  if (row === undefined || row.began_ms === null) return undefined
  const { began_ms: beganMs, history_ms, summed_ms: toMs, closed_ms: closedMs } = row
  const fromMs = Math.min(beganMs, history_ms ?? Infinity)
  return { fromMs, toMs, beganMs, closedMs, fixedBeforeMs: row.fixed_before_ms }
}

export type LateTable = 'late_hour' | 'late_fleet_hour'

/** What is late of a series, or of a fleet. */
export interface LateHours extends Hours {
  id: number
  owner: number
}

interface LateRow extends Row {
  id: number
  owner: number
  from_ms: number
  to_ms: number
}

/** Of these series, or fleets, by their numbers; in order and apart, µs. */
export async function loadLate(
  ask: Ask,
  table: LateTable,
  owners: readonly number[],
): Promise<Map<number, Span[]>> {
  if (owners.length === 0) return new Map()
  const rows = await ask<LateRow>(
    `SELECT owner, from_ms, to_ms FROM ${table} WHERE owner = ANY ($1::integer[])`,
    [owners],
  )
  const byOwner = Map.groupBy(rows, ({ owner }) => owner)
  return new Map([...byOwner].map(([owner, own]) => [owner, joinSpans(own.map(spanOfRow))]))
}

const spanOfRow = ({ from_ms, to_ms }: LateRow): Span => ({
  startUs: from_ms * 1000,
  endUs: to_ms * 1000,
})

/** In order and apart, however many there are. */
export function joinSpans(spans: readonly Span[]): Span[] {
  const joined: Span[] = []
  for (const span of spans.toSorted((a, b) => a.startUs - b.startUs)) {
    const last = joined.at(-1)
    if (last !== undefined && span.startUs <= last.endUs) {
      last.endUs = Math.max(last.endUs, span.endUs)
    } else joined.push({ ...span })
  }
  return joined
}

/** The oldest word of lateness of any hour before `beforeMs`. */
export async function firstLate(
  ask: Ask,
  table: LateTable,
  beforeMs: number,
): Promise<LateHours | undefined> {
  const [row] = await ask<LateRow>(
    `SELECT id, owner, from_ms, to_ms FROM ${table} WHERE from_ms < $1 ORDER BY id LIMIT 1`,
    [beforeMs],
  )
  return row && lateOf(row)
}

/** All that overlaps the hours, as far as it may be asked for. */
export async function lateWithin(
  ask: Ask,
  table: LateTable,
  { fromMs, toMs, owner, limit }: Hours & { owner?: number; limit?: number },
): Promise<LateHours[]> {
  const rows = await ask<LateRow>(
    `SELECT id, owner, from_ms, to_ms FROM ${table}
     WHERE from_ms < $2 AND to_ms > $1 AND (owner = $3 OR $3 IS NULL) ORDER BY id LIMIT $4`,
    [fromMs, toMs, owner ?? null, limit ?? null],
  )
  return rows.map(lateOf)
}

const lateOf = ({ id, owner, from_ms: fromMs, to_ms: toMs }: LateRow): LateHours => ({
  ...{ id, owner, fromMs, toMs },
})

export async function addLate(
  client: pg.ClientBase,
  table: LateTable,
  late: readonly ({ owner: number } & Hours)[],
): Promise<void> {
  if (late.length === 0) return
  await client.query(
    `INSERT INTO ${table} (owner, from_ms, to_ms)
     SELECT * FROM unnest($1::integer[], $2::bigint[], $3::bigint[])`,
    [late.map(({ owner }) => owner), late.map((one) => one.fromMs), late.map((one) => one.toMs)],
  )
}

/** Of what was seen nothing is late within the hours any more. */
export async function endLate(
  client: pg.ClientBase,
  table: LateTable,
  { seen, done }: { seen: readonly LateHours[]; done: Hours },
): Promise<void> {
  if (seen.length === 0) return
  const ids = seen.map(({ id }) => id)
  await client.query(`DELETE FROM ${table} WHERE id = ANY ($1::bigint[])`, [ids])
  const left = seen.flatMap(({ owner, fromMs, toMs }) => [
    { owner, fromMs, toMs: Math.min(toMs, done.fromMs) },
    { owner, fromMs: Math.max(fromMs, done.toMs), toMs },
  ])
  await addLate(
    client,
    table,
    left.filter(({ fromMs, toMs }) => fromMs < toMs),
  )
}

/** The two-key form of advisory locks: 'hour', and the hash of the schema's name. */
const CLOSING = '1752135026, hashtext(current_schema)'

/**
 * In a writer's transaction: up to where it has to say what is late, and before what it is of a day
 * of history. Nobody closes another hour before the transaction has ended. Two statements: the
 * second sees what was committed while the first has waited.
 */
export async function readClosed(client: pg.ClientBase): Promise<Hours> {
  const results = (await client.query(
    `SELECT pg_advisory_xact_lock_shared(${CLOSING});
     SELECT from_ms, closed_ms FROM rollup_progress`,
  )) as unknown as pg.QueryResult<{ from_ms: number | null; closed_ms: number }>[]
  const { from_ms: fromMs, closed_ms: toMs } = results[1]!.rows[0]!
  return fromMs === null ? { fromMs: 0, toMs: 0 } : { fromMs, toMs }
}

/** In a transaction: the writers that are under way end first, and others wait. */
export const awaitWriters = async (client: pg.ClientBase): Promise<void> => {
  await client.query(`SELECT pg_advisory_xact_lock(${CLOSING})`)
}

/**
 * In a transaction: no rows are made beside it. Who has begun by it sees what was committed while
 * it has waited, at any isolation: to lock a table takes no snapshot.
 */
export const lockRollups = async (client: pg.ClientBase): Promise<void> => {
  await client.query('LOCK TABLE rollup_progress IN EXCLUSIVE MODE')
}

/**
 * Before readings of before `timeMs` are dropped, of which nobody keeps a copy: what is made of
 * them ends first, and is not made again. `client` is in no transaction.
 */
export async function noteForgotten(client: pg.ClientBase, timeMs: number): Promise<void> {
  await client.query('BEGIN')
  await lockRollups(client)
  await client.query('UPDATE rollup_progress SET fixed_before_ms = greatest(fixed_before_ms, $1)', [
    Math.ceil(timeMs / HOUR_MS) * HOUR_MS,
  ])
  await client.query('COMMIT')
}
