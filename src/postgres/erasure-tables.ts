/**
 * Erasures on PostgreSQL.
 *
 * In every store, and at `postgres.url`: `tombstone`, what is hidden and refused from then on, and
 * `erased_rows` and `erased_file`, what went. At `postgres.url` alone: `erasure`, what was asked
 * for, `erasure_version` and `instance_key`.
 */
import type pg from 'pg'
import type { Row } from './query-database.ts'

export const ERASURE_TABLES = `
  CREATE TABLE erasure (
    id TEXT COLLATE "C" PRIMARY KEY,
    tenant TEXT COLLATE "C" NOT NULL,
    devices TEXT NOT NULL, -- JSON: ids.
    from_us BIGINT NOT NULL,
    to_us BIGINT NOT NULL, -- Excluded.
    requested_at_us BIGINT NOT NULL,
    problem TEXT, -- Of the last try.
    receipt TEXT -- JSON, signed, once it is done.
  );
  CREATE INDEX erasure_undone ON erasure (requested_at_us) WHERE receipt IS NULL;
  -- Numbers rise in the order in which transactions end: see tombstones.ts.
  CREATE TABLE tombstone (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    erasure TEXT COLLATE "C" NOT NULL,
    tenant TEXT COLLATE "C" NOT NULL,
    device_id TEXT COLLATE "C" NOT NULL,
    device_hash INTEGER NOT NULL, -- As of reading.
    from_us BIGINT NOT NULL,
    to_us BIGINT NOT NULL, -- Excluded.
    UNIQUE (erasure, device_id)
  );
  CREATE INDEX tombstone_by_device ON tombstone (tenant, device_id);
  CREATE TABLE erased_rows (
    erasure TEXT COLLATE "C",
    table_name TEXT COLLATE "C",
    row_count BIGINT NOT NULL,
    PRIMARY KEY (erasure, table_name)
  );
  CREATE TABLE erased_file (
    erasure TEXT COLLATE "C",
    key TEXT COLLATE "C",
    place TEXT NOT NULL, -- cold, commit, or frozen.
    crc_before BIGINT,
    key_after TEXT, -- Null: nothing was left.
    crc_after BIGINT,
    row_count BIGINT NOT NULL, -- That went.
    PRIMARY KEY (erasure, key)
  );
  -- Rises when an erasure is hidden everywhere: answers of before are not given again.
  CREATE TABLE erasure_version (tenant TEXT COLLATE "C" PRIMARY KEY, version BIGINT NOT NULL);
  CREATE TABLE instance_key (
    is_only BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (is_only), -- One row.
    pem TEXT NOT NULL -- Ed25519, PKCS 8: a secret.
  );
`

/**
 * Every table of a store that holds what devices said, by whose it is, with the condition for times
 * [$2, $3) in µs. If you add a table with such rows, it stands here too: a test looks for columns
 * of these names. (Cold files are another matter, and `cold_run` goes with its file.)
 */
export const SERIES_TABLES: readonly ErasedTable[] = [
  { table: 'reading', during: 'time_us >= $2 AND time_us < $3' },
  {
    table: 'window_partial',
    // Those that touch it: they are computed from what is left.
    during: 'start_ms < $3::float8 / 1000 AND start_ms + window_ms > $2::float8 / 1000',
  },
]
export const DEVICE_TABLES: readonly ErasedTable[] = [
  { table: 'anomaly', during: 'event_time_us >= $2 AND event_time_us < $3' },
  // They have no other time.
  { table: 'dead_letter', during: 'received_at_us >= $2 AND received_at_us < $3' },
]

export interface ErasedTable {
  table: string
  during: string
}

export interface ErasedDevice {
  deviceId: string
  /** As of PlacedSeries. */
  deviceHash: number
}

export interface Erasure {
  id: string
  tenant: string
  devices: readonly ErasedDevice[]
  /** Event times of what is erased, µs, integers; the end is excluded. */
  fromUs: number
  toUs: number
}

export interface ErasedFile {
  key: string
  /** `commit`: of the lake's role. `frozen`: in the bucket's archive, where it stays as it is. */
  place: 'cold' | 'commit' | 'frozen'
  crcBefore: number | undefined
  /** Undefined: nothing was left. */
  keyAfter: string | undefined
  crcAfter: number | undefined
  /** Rows that went. */
  rows: number
}

/** Once for each file, however often it is tried. */
export async function noteFile(
  client: Pick<pg.ClientBase, 'query'>,
  erasure: string,
  { key, place, crcBefore, keyAfter, crcAfter, rows }: ErasedFile,
): Promise<void> {
  await client.query(
    `INSERT INTO erased_file VALUES ($1, $2, $3, $4, $5, $6, $7)
     ON CONFLICT (erasure, key) DO UPDATE SET place = $3, crc_before = $4, key_after = $5,
       crc_after = $6, row_count = $7`,
    [erasure, key, place, crcBefore ?? null, keyAfter ?? null, crcAfter ?? null, rows],
  )
}

/** In the transaction in which they go. */
export async function noteRows(
  client: pg.ClientBase,
  erasure: string,
  { table, rows }: { table: string; rows: number },
): Promise<void> {
  if (rows === 0) return
  await client.query(
    `INSERT INTO erased_rows AS known VALUES ($1, $2, $3)
     ON CONFLICT (erasure, table_name) DO UPDATE SET row_count = known.row_count + $3`,
    [erasure, table, rows],
  )
}

export interface Erased {
  /** By table. */
  rows: ReadonlyMap<string, number>
  files: readonly ErasedFile[]
}

interface FileRow extends Row {
  key: string
  place: ErasedFile['place']
  crc_before: number | null
  key_after: string | null
  crc_after: number | null
  row_count: number
}

/** What went from here. */
export async function erasedOf(
  client: Pick<pg.ClientBase, 'query'>,
  erasure: string,
): Promise<Erased> {
  const counts = await client.query<{ table_name: string; row_count: number }>(
    'SELECT table_name, row_count FROM erased_rows WHERE erasure = $1 ORDER BY table_name',
    [erasure],
  )
  const files = await client.query<FileRow>(
    'SELECT * FROM erased_file WHERE erasure = $1 ORDER BY key',
    [erasure],
  )
  return {
    rows: new Map(counts.rows.map((row) => [row.table_name, row.row_count])),
    files: files.rows.map((row) => ({
      ...{ key: row.key, place: row.place, rows: row.row_count },
      crcBefore: row.crc_before ?? undefined,
      keyAfter: row.key_after ?? undefined,
      crcAfter: row.crc_after ?? undefined,
    })),
  }
}
