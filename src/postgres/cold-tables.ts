/**
 * Readings that have left PostgreSQL for the lake, in its catalogue: which files count, and where
 * in them each series is, so that one series is a request or two away.
 *
 * A key is in `cold_pending` before its object is put and when it counts no more: what a crash
 * leaves in the store is found there. In `cold_file` it counts. Going from one to the other is one
 * transaction.
 */
import type pg from 'pg'
import type { Objects } from '../objects/objects.ts'
import type { Ask, Row } from './query-database.ts'
import type { Month } from './time-tables.ts'

export const COLD_TABLES = `
  CREATE TABLE cold_pending (key TEXT COLLATE "C" PRIMARY KEY);
  CREATE SEQUENCE cold_number;
  CREATE TABLE cold_file (
    number BIGINT PRIMARY KEY,
    key TEXT COLLATE "C" NOT NULL UNIQUE,
    month INTEGER NOT NULL, -- 12 × year + month of the year from 0.
    row_count BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    crc BIGINT NOT NULL, -- CRC32 of the whole file.
    tail_bytes INTEGER NOT NULL,
    tail_crc BIGINT NOT NULL
  );
  -- When its rows were looked through, and those went that were due.
  CREATE TABLE cold_month (month INTEGER PRIMARY KEY, seen_at TIMESTAMPTZ NOT NULL);
  CREATE TABLE cold_run (
    series INTEGER NOT NULL,
    file BIGINT NOT NULL REFERENCES cold_file ON DELETE CASCADE,
    first_row INTEGER NOT NULL,
    row_count INTEGER NOT NULL,
    min_us BIGINT NOT NULL,
    max_us BIGINT NOT NULL,
    last_value DOUBLE PRECISION NOT NULL,
    last_text TEXT,
    PRIMARY KEY (series, file)
  );
  CREATE INDEX cold_run_by_time ON cold_run (series, max_us DESC);
  CREATE INDEX cold_run_by_file ON cold_run (file);
  -- Months before this may lack readings that went away without a lake.
  CREATE TABLE complete_from (
    is_only BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (is_only), -- One row.
    month INTEGER NOT NULL
  );
  INSERT INTO complete_from (month) SELECT CASE WHEN EXISTS (SELECT FROM series)
    THEN (extract(year FROM now()) * 12 + extract(month FROM now()))::integer ELSE 0 END;
  -- What was confirmed to be exported, where nothing may be deleted before.
  CREATE TABLE exported (
    is_only BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (is_only), -- One row.
    before_us BIGINT NOT NULL
  );
  -- On a month while it goes: a row for it waits until there is a new one.
  CREATE FUNCTION refuse_row() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'this month is leaving' USING ERRCODE = 'check_violation'; END $$;
`

/** A file in the object store. Numbers rise; of equal readings the lower number's counts. */
export interface ColdFile {
  number: number
  key: string
  month: Month
  rows: number
  bytes: number
  crc: number
  tail: { bytes: number; crc: number }
}

/** Rows of one series in one file, in the order of their times. */
export interface ColdRun {
  series: number
  file: ColdFile
  firstRow: number
  rows: number
  minUs: number
  maxUs: number
}

/** What becomes a row of `cold_run`. */
export interface WrittenRun extends Omit<ColdRun, 'file'> {
  lastValue: number
  lastText: string | undefined
}

interface RunRow extends FileRow {
  series: number
  first_row: number
  run_rows: number
  min_us: number
  max_us: number
}

interface FileRow extends Row {
  number: number
  key: string
  month: number
  row_count: number
  bytes: number
  crc: number
  tail_bytes: number
  tail_crc: number
}

const RUNS = `SELECT series, first_row, cold_run.row_count AS run_rows, min_us, max_us, cold_file.*
  FROM cold_run JOIN cold_file ON number = file WHERE series = ANY ($1::integer[])
    AND (month = $2 OR $2 IS NULL)
  ORDER BY number, first_row`

/** In the order in which they count. `month`: of that one alone. */
export async function loadColdRuns(
  ask: Ask,
  series: readonly number[],
  month?: Month,
): Promise<ColdRun[]> {
  if (series.length === 0) return []
  const files = new Map<number, ColdFile>()
  return (await ask<RunRow>(RUNS, [series, month ?? null])).map((row) => {
    const file = files.get(row.number) ?? fileOf(row)
    files.set(row.number, file)
    const { series, first_row: firstRow, run_rows: rows, min_us: minUs, max_us: maxUs } = row
    return { series, file, firstRow, rows, minUs, maxUs }
  })
}

const fileOf = (row: FileRow): ColdFile => ({
  ...{ number: row.number, key: row.key, month: row.month, rows: row.row_count },
  ...{ bytes: row.bytes, crc: row.crc },
  tail: { bytes: row.tail_bytes, crc: row.tail_crc },
})

/** The number of a file that is to be put, under a key that `keyOf` makes of it. */
export async function announceFile(
  client: pg.ClientBase,
  keyOf: (number: number) => string,
): Promise<{ number: number; key: string }> {
  const { rows } = await client.query<{ number: number }>(`SELECT nextval('cold_number') AS number`)
  const { number } = rows[0]!
  const key = keyOf(number)
  await client.query('INSERT INTO cold_pending VALUES ($1)', [key])
  return { number, key }
}

/** Inside of a transaction: from its end on the file counts. */
export async function addFile(
  client: pg.ClientBase,
  file: ColdFile,
  runs: readonly WrittenRun[],
): Promise<void> {
  const { number, key, month, rows, bytes, crc, tail } = file
  const values = [number, key, month, rows, bytes, crc, tail.bytes, tail.crc]
  const columns = 'number, key, month, row_count, bytes, crc, tail_bytes, tail_crc'
  await client.query(
    `INSERT INTO cold_file (${columns}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
    values,
  )
  await client.query(
    `INSERT INTO cold_run SELECT series, $1, first_row, row_count, min_us, max_us, value, text
     FROM unnest($2::integer[], $3::integer[], $4::integer[], $5::bigint[], $6::bigint[],
       $7::double precision[], $8::text[])
       AS run (series, first_row, row_count, min_us, max_us, value, text)`,
    [
      number,
      runs.map(({ series }) => series),
      runs.map(({ firstRow }) => firstRow),
      runs.map(({ rows }) => rows),
      runs.map(({ minUs }) => minUs),
      runs.map(({ maxUs }) => maxUs),
      // The driver would write 0 for -0.
      runs.map(({ lastValue }) => (Object.is(lastValue, -0) ? '-0' : lastValue)),
      runs.map(({ lastText }) => lastText ?? null),
    ],
  )
  await client.query('DELETE FROM cold_pending WHERE key = $1', [key])
}

/** Inside of a transaction: from its end on they do not count, and wait to be deleted. */
export async function retireFiles(
  client: pg.ClientBase,
  numbers: readonly number[],
): Promise<void> {
  await client.query(
    `WITH gone AS (DELETE FROM cold_file WHERE number = ANY ($1::bigint[]) RETURNING key)
     INSERT INTO cold_pending SELECT key FROM gone`,
    [numbers],
  )
}

/** Of its rows those have gone that were due. */
export async function noteSeen(client: pg.ClientBase, month: Month): Promise<void> {
  await client.query(
    `INSERT INTO cold_month VALUES ($1, now()) ON CONFLICT (month) DO UPDATE SET seen_at = now()`,
    [month],
  )
}

/** Whether that was within so many ms. */
export async function wasJustSeen(
  client: pg.ClientBase,
  month: Month,
  withinMs: number,
): Promise<boolean> {
  const { rowCount } = await client.query(
    `SELECT FROM cold_month
     WHERE month = $1 AND seen_at > now() - $2 * interval '1 millisecond'`,
    [month, withinMs],
  )
  return rowCount === 1
}

/** Keys of objects that may be there, and do not count. */
async function pendingKeys(client: pg.ClientBase): Promise<string[]> {
  const { rows } = await client.query<{ key: string }>('SELECT key FROM cold_pending ORDER BY key')
  return rows.map(({ key }) => key)
}

/** Its object is gone. */
async function forgetPending(client: pg.ClientBase, key: string): Promise<void> {
  await client.query('DELETE FROM cold_pending WHERE key = $1', [key])
}

/** What who died has left in the store, and files that do not count any more. */
export async function deletePending(client: pg.ClientBase, objects: Objects): Promise<void> {
  for (const key of await pendingKeys(client)) {
    await objects.delete(key)
    await forgetPending(client, key)
  }
}

/** Files with readings of these series in [fromUs, toUs). */
export async function filesWith(
  client: pg.ClientBase,
  series: readonly number[],
  { fromUs, toUs }: { fromUs: number; toUs: number },
): Promise<ColdFile[]> {
  const { rows } = await client.query<FileRow>(
    `SELECT * FROM cold_file WHERE number IN (
       SELECT file FROM cold_run
       WHERE series = ANY ($1::integer[]) AND min_us < $3 AND max_us >= $2
     ) ORDER BY number`,
    [series, fromUs, toUs],
  )
  return rows.map(fileOf)
}
