/**
 * `reading` and `window_partial` as hypertables of TimescaleDB: it cuts them into chunks by itself,
 * drops those that are too old, and compresses those that hardly change any more. A row that comes
 * late goes into a compressed chunk like into any other, and the unique key holds there too.
 *
 * Compression is under the Timescale License. A build under Apache 2 alone has none of it and says
 * so in `timescaledb.license`: there chunks stay as they are.
 *
 * The extension could do both by policies of its own. We ask for it instead: its jobs need workers
 * that a server may not have to spare, and what fails in them nobody hears of.
 *
 * Its functions are called by the name of its schema: our search_path has our own schema only.
 */
import type pg from 'pg'
import { CUT_TABLES, type CutTable, type TimeTables } from './time-tables.ts'

/**
 * A chunk that is written should fit into memory with its index. Who has much more or much less
 * than 100 M readings a day tells TimescaleDB (set_chunk_time_interval); it holds for new chunks.
 */
const CHUNK_MS: Record<CutTable, number> = { reading: 86_400_000, window_partial: 7 * 86_400_000 }

/** Rows of a segment lie together, so that a page of one series is read from few of them. */
const COMPRESSION: Record<CutTable, { segmentBy: string; orderBy: string }> = {
  reading: { segmentBy: 'series, device_hash', orderBy: 'time_us' },
  window_partial: { segmentBy: 'series, window_ms', orderBy: 'start_ms, is_late' },
}

/** A chunk of 100 M rows takes minutes. */
const COMPRESS_TIMEOUT_MS = 3_600_000

/** The two-key form: 'weiq', beside that of months, and the hash of the schema's name. */
const CHUNKS_LOCK = 0x77656971
const LOCK_ARGUMENTS = `${CHUNKS_LOCK}, hashtext(current_schema)`

const TABLES = Object.keys(CUT_TABLES) as CutTable[]

/** Where the extension's functions are, quoted; undefined when this database does not have it. */
export async function findTimescale(client: pg.ClientBase): Promise<string | undefined> {
  const { rows } = await client.query<{ functions: string }>(
    `SELECT quote_ident(nspname) AS functions FROM pg_extension
     JOIN pg_namespace ON pg_namespace.oid = extnamespace WHERE extname = 'timescaledb'`,
  )
  return rows[0]?.functions
}

/** Makes hypertables of the two empty tables. */
export const hypertablesDdl = (functions: string): string =>
  TABLES.map((table) => {
    const { column, unitsPerMs } = CUT_TABLES[table]
    const dimension = `${functions}.by_range('${column}', ${CHUNK_MS[table] * unitsPerMs}::bigint)`
    // The primary key serves all questions.
    return `SELECT ${functions}.create_hypertable(
      '${table}', ${dimension}, create_default_indexes => false);`
  }).join('\n')

export class Hypertables implements TimeTables {
  readonly kind = 'hypertables'
  readonly #functions: string

  constructor(functions: string) {
    this.#functions = functions
  }

  /** Chunks are made when a row needs one. */
  async prepare(): Promise<void> {}

  forget(): void {}

  /** Nothing is dropped while another process is at it: it drops the same. */
  async dropBefore(client: pg.ClientBase, timeMs: number, only?: CutTable): Promise<number> {
    let dropped = 0
    await alone(client, async () => {
      for (const table of only === undefined ? TABLES : [only]) {
        const { rows } = await client.query(
          `SELECT ${this.#functions}.drop_chunks($1::regclass, older_than => $2::bigint)`,
          [table, Math.floor(timeMs) * CUT_TABLES[table].unitsPerMs],
        )
        dropped += rows.length
      }
    })
    return dropped
  }

  /** A chunk that got rows since it was compressed is compressed again; others stay untouched. */
  async compressBefore(client: pg.ClientBase, timeMs: number): Promise<void> {
    if (!(await canCompress(client))) return
    await alone(client, async () => {
      await client.query(`SET statement_timeout = ${COMPRESS_TIMEOUT_MS}`)
      for (const table of TABLES) {
        if (!(await isCompressed(client, table))) await client.query(compressionDdl(table))
        const { rows } = await client.query<{ chunk: string }>(
          `SELECT ${this.#functions}.show_chunks($1::regclass, older_than => $2::bigint)::text
             AS chunk`,
          [table, Math.floor(timeMs) * CUT_TABLES[table].unitsPerMs],
        )
        for (const { chunk } of rows) await this.#compress(client, chunk)
      }
      await client.query('RESET statement_timeout')
    })
  }

  async #compress(client: pg.ClientBase, chunk: string): Promise<void> {
    const text = `SELECT ${this.#functions}.compress_chunk($1::regclass, if_not_compressed => true)`
    const patient = { text, values: [chunk], query_timeout: COMPRESS_TIMEOUT_MS + 10_000 }
    await client.query(patient)
  }
}

async function canCompress(client: pg.ClientBase): Promise<boolean> {
  const { rows } = await client.query<{ license: string | null }>(
    `SELECT current_setting('timescaledb.license', true) AS license`,
  )
  return rows[0]?.license === 'timescale'
}

async function isCompressed(client: pg.ClientBase, table: CutTable): Promise<boolean> {
  const { rows } = await client.query<{ compressed: boolean }>(
    `SELECT compression_enabled AS compressed FROM timescaledb_information.hypertables
     WHERE hypertable_schema = current_schema AND hypertable_name = $1`,
    [table],
  )
  return rows[0]?.compressed === true
}

const compressionDdl = (table: CutTable): string => {
  const { segmentBy, orderBy } = COMPRESSION[table]
  return `ALTER TABLE ${table} SET (timescaledb.compress,
    timescaledb.compress_segmentby = '${segmentBy}', timescaledb.compress_orderby = '${orderBy}')`
}

/**
 * Does the work unless another process is at such work. What fails has the connection closed, and
 * the lock goes with it.
 */
async function alone(client: pg.ClientBase, work: () => Promise<void>): Promise<void> {
  const { rows } = await client.query<{ isMine: boolean }>(
    `SELECT pg_try_advisory_lock(${LOCK_ARGUMENTS}) AS "isMine"`,
  )
  if (!rows[0]!.isMine) return
  await work()
  await client.query(`SELECT pg_advisory_unlock(${LOCK_ARGUMENTS})`)
}
