/**
 * Writes batches to PostgreSQL, each in one transaction with its offset and its lease.
 *
 * **Readings go straight in.** COPY has no ON CONFLICT, so the textbook copies into a staging table
 * and inserts from there with ON CONFLICT DO NOTHING, which costs the server twice the time
 * (docs/decisions/0010-rows-in-postgresql.md). But the stream has taken duplicates out and offsets
 * are exact, so nearly always nothing conflicts: a batch is copied into `reading` behind a
 * savepoint, and only when the unique key refuses it, the way over the staging table follows, for
 * it and for the next few.
 *
 * **Transactions with readings do not wait for the disk** (`synchronous_commit = off`). What a
 * crash takes are the last transactions as a whole, in order, rows and offset: the writer's next
 * batch does not begin at the stored offset any more, it hears so (P4), and Kafka has the rest.
 * PostgreSQL promises that such a crash loses transactions and damages nothing. What is remembered
 * outside of these transactions is flushed: ids of series, epochs of leases.
 *
 * **A connection on which anything failed is closed**, whatever failed. The transaction that it may
 * have left behind holds the row of its offset, for which the next try waits.
 */
import type pg from 'pg'
import type { Clock } from '../world/world.ts'
import { openPool, type PostgresPlace } from '../postgres-client/postgres-client.ts'
import { connected, connectionConfig, stateOf } from './connections.ts'
import { copyRows } from './copy.ts'
import { checkLease, Leases } from './lease.ts'
import { monthOf, monthStartMs } from './month-partitions.ts'
import type { Lease, PostgresWriter, WriteResult, WriterBatch } from './postgres.ts'
import { migrate, openTimeTables } from './schema.ts'
import { writeLate } from './rollup-closing.ts'
import { noteForgotten } from './rollup-tables.ts'
import type { CutTable, TimeTables } from './time-tables.ts'
import { HOLD_TOMBSTONES } from './tombstones.ts'
import { DeadLetterShelf, writeAnomalies, writeCoverage, writeDirty } from './writer-events.ts'
import {
  encodePartials,
  encodeReadings,
  PARTIAL_COLUMNS,
  READING_COLUMNS,
  type EncodedRows,
} from './writer-rows.ts'
import { WriterTombstones } from './writer-tombstones.ts'

/** One transaction may take so long; then whoever wrote it is taken for gone. */
const STATEMENT_TIMEOUT_MS = 60_000
const PARAMETERS = {
  statement_timeout: STATEMENT_TIMEOUT_MS,
  idle_in_transaction_session_timeout: STATEMENT_TIMEOUT_MS,
  tcp_keepalives_idle: 10,
  tcp_keepalives_interval: 5,
  tcp_keepalives_count: 3,
  // Late rows look into what is compressed, and a batch has as many as it has. Where TimescaleDB is
  // not, PostgreSQL takes the name as it takes any with a dot.
  'timescaledb.max_tuples_decompressed_per_dml_transaction': 0,
}
/** Batches that go over the staging table after one that conflicted. */
const STAGED_AFTER_CONFLICT = 32
const CONNECTIONS = 4
/** Retention may be at the very month that is written, and does not wait for us. */
const MONTHS_MADE_AGAIN_MAX = 10
const PARTITIONS_PER_MONTH = 4
/** Gateways believe a device's clock some minutes ahead; this only keeps partitions few. */
const AHEAD_MS_MAX = 31 * 86_400_000

const UNIQUE_VIOLATION = '23505'
/** Also: there is no partition for a row. */
const CHECK_VIOLATION = '23514'

export interface WriterOptions {
  place: PostgresPlace
  clock: Clock
  /** Batches under way at once; the others wait. Default 4. */
  connections?: number
  /** Into how many a new month of readings is cut by the hash of the device. Default 4. */
  partitionsPerMonth?: number
  /** Rows further ahead of the clock are refused, ms. Default 31 days. */
  aheadMsMax?: number
}

/** Makes or migrates the tables first. Errors: STORAGE_UNAVAILABLE, DATA_FORMAT_NEWER. */
export async function openPostgresWriter(options: WriterOptions): Promise<PostgresWriter> {
  const pool = openPool({
    ...connectionConfig(options.place, PARAMETERS),
    max: options.connections ?? CONNECTIONS,
    // The server's own limit speaks first; this is for one that says nothing any more.
    query_timeout: STATEMENT_TIMEOUT_MS + 10_000,
    application_name: 'weir-writer',
  })
  try {
    const tables = await connected(pool, async (client) => {
      await migrate(client, options.place.schema)
      return openTimeTables(client, options.partitionsPerMonth ?? PARTITIONS_PER_MONTH)
    })
    return new Writer(pool, tables, options)
  } catch (cause) {
    await pool.end()
    throw cause
  }
}

/** A batch on its way: encoded once, tried as often as it takes. */
interface Encoded {
  readings: EncodedRows | undefined
  partials: EncodedRows | undefined
  /** The newest that was left out. */
  tombstone: number
}

class Writer implements PostgresWriter {
  readonly #pool: pg.Pool
  readonly #options: WriterOptions
  readonly #leases: Leases
  readonly #shelf = new DeadLetterShelf()
  /** Connections that have their staging tables. */
  readonly #prepared = new WeakSet<pg.ClientBase>()
  readonly #tables: TimeTables
  readonly #tombstones = new WriterTombstones()
  /** By topic and partition: batches that still go over the staging table. */
  readonly #staged = new Map<string, number>()

  constructor(pool: pg.Pool, tables: TimeTables, options: WriterOptions) {
    this.#pool = pool
    this.#tables = tables
    this.#options = options
    this.#leases = new Leases(options.place)
  }

  get tables(): TimeTables['kind'] {
    return this.#tables.kind
  }

  claim(name: string): Promise<Lease | undefined> {
    return this.#leases.claim(name)
  }

  offsets(topic: string): Promise<Map<number, number>> {
    return connected(this.#pool, async (client) => {
      const { rows } = await client.query<{ partition: number; next: number }>(
        'SELECT partition, next_offset AS next FROM writer_offset WHERE topic = $1',
        [topic],
      )
      return new Map(rows.map(({ partition, next }) => [partition, next]))
    })
  }

  dropBefore(timeMs: number, only?: CutTable): Promise<number> {
    return connected(this.#pool, async (client) => {
      if (only !== 'window_partial') {
        const isWhole = this.#tables.kind === 'hypertables'
        await noteForgotten(client, isWhole ? timeMs : monthStartMs(monthOf(timeMs)))
      }
      return this.#tables.dropBefore(client, timeMs, only)
    })
  }

  compressBefore(timeMs: number): Promise<void> {
    return connected(this.#pool, (client) => this.#tables.compressBefore(client, timeMs))
  }

  async write(lease: Lease, batch: WriterBatch): Promise<WriteResult> {
    let encoded: Encoded | undefined
    const attempt = (): Promise<WriteResult | undefined> =>
      connected(this.#pool, async (client) => {
        await this.#findSeries(client, lease, batch)
        if (encoded?.tombstone !== this.#tombstones.newest) {
          encoded = await this.#encode(client, batch)
        }
        const { readings, partials } = encoded
        const needed = { reading: readings?.months, window_partial: partials?.months }
        await this.#tables.prepare(client, needed)
        if (!this.#prepared.has(client)) await client.query(STAGING)
        this.#prepared.add(client)
        return this.#transact(client, { lease, batch, encoded })
      })
    for (let again = 0; ; again++) {
      try {
        const result = await attempt()
        // Otherwise something was erased since it was encoded.
        if (result !== undefined) return result
      } catch (error) {
        if (stateOf(error) !== CHECK_VIOLATION || again === MONTHS_MADE_AGAIN_MAX) throw error
        // Retention dropped a month, or a crash took it back, since we made it.
        this.#tables.forget()
      }
    }
  }

  async #encode(
    client: pg.ClientBase,
    { readings, partials, series }: WriterBatch,
  ): Promise<Encoded> {
    const { clock, aheadMsMax = AHEAD_MS_MAX } = this.#options
    const tombstone = this.#tombstones.newest
    const erased = await this.#tombstones.ofSeries(client, series)
    const limits = { timeMaxMs: clock.nowUs() / 1000 + aheadMsMax, erased }
    return {
      readings: readings && encodeReadings(readings, series, limits),
      partials: partials && encodePartials(partials, series, limits),
      tombstone,
    }
  }

  /** In transactions of its own, which are flushed: see SeriesIds. */
  async #findSeries(client: pg.ClientBase, lease: Lease, { series }: WriterBatch): Promise<void> {
    while (!series.isComplete) {
      await client.query('BEGIN; SET LOCAL synchronous_commit = on')
      await checkLease(client, lease)
      const { kept } = await series.findSome(client)
      await client.query('COMMIT')
      kept()
    }
  }

  /** Undefined: something was erased since the rows were encoded, and nothing is written. */
  async #transact(
    client: pg.ClientBase,
    { lease, batch, encoded }: { lease: Lease; batch: WriterBatch; encoded: Encoded },
  ): Promise<WriteResult | undefined> {
    const { topic, partition, fromOffset, nextOffset } = batch
    await client.query(`BEGIN; SET LOCAL synchronous_commit = off; ${HOLD_TOMBSTONES}`)
    await checkLease(client, lease)
    if (await this.#tombstones.load(client, encoded.tombstone)) {
      await client.query('ROLLBACK')
      return undefined
    }
    const events = this.#tombstones.withoutErased(batch)
    const { rows } = await client.query<{ next: number }>(
      `SELECT next_offset AS next FROM writer_offset
       WHERE topic = $1 AND partition = $2 FOR UPDATE`,
      [topic, partition],
    )
    const stored = rows[0]?.next ?? fromOffset
    if (stored !== fromOffset) {
      await client.query('ROLLBACK')
      return { ...NOTHING, nextOffset: stored }
    }
    const { readings } = encoded
    const duplicates = await this.#writeReadings(client, batch, readings)
    if (batch.readings !== undefined && (readings?.rows.count ?? 0) > 0) {
      const { oldestMs } = readings!
      await writeLate(client, { readings: batch.readings, series: batch.series, oldestMs })
    }
    await writePartials(client, encoded.partials)
    await writeDirty(client, batch)
    await writeCoverage(client, batch)
    const refusedAnomalies = await writeAnomalies(client, events)
    await this.#shelf.write(client, events)
    const { rowCount } = await client.query(
      `INSERT INTO writer_offset VALUES ($1, $2, $4, $5)
       ON CONFLICT (topic, partition) DO UPDATE SET next_offset = $4,
         newest_ms = greatest(writer_offset.newest_ms, $5) -- NULL counts for nothing here.
       WHERE writer_offset.next_offset = $3`,
      [topic, partition, fromOffset, nextOffset, newestOf(readings)],
    )
    if (rowCount !== 1) {
      // The first batch of a partition, and a transaction that we had given up was first.
      await client.query('ROLLBACK')
      return this.#transact(client, { lease, batch, encoded })
    }
    await client.query('COMMIT')
    const refusedReadings = readings?.refused ?? 0
    const refusedPartials = encoded.partials?.refused ?? 0
    const erasedReadings = encoded.readings?.erased ?? 0
    const refused = { refusedReadings, refusedPartials, refusedAnomalies, erasedReadings }
    return { isWritten: true, nextOffset, duplicates, ...refused }
  }

  /** Returns how many were there already. */
  async #writeReadings(
    client: pg.ClientBase,
    { topic, partition, readings }: WriterBatch,
    encoded: EncodedRows | undefined,
  ): Promise<number> {
    if (encoded === undefined || encoded.rows.count === 0) return 0
    const { rows } = encoded
    const columns = `(${READING_COLUMNS}${readings?.texts === undefined ? '' : ', text_value'})`
    const key = `${topic}/${partition}`
    const staged = this.#staged.get(key) ?? 0
    if (staged > 0) this.#staged.set(key, staged - 1)
    else {
      await client.query('SAVEPOINT readings')
      try {
        await copyRows(client, `COPY reading ${columns} FROM STDIN (FORMAT binary)`, rows)
        return 0
      } catch (error) {
        if (stateOf(error) !== UNIQUE_VIOLATION) throw error
        await client.query('ROLLBACK TO SAVEPOINT readings')
        this.#staged.set(key, STAGED_AFTER_CONFLICT)
      }
    }
    await copyRows(client, `COPY staged_reading ${columns} FROM STDIN (FORMAT binary)`, rows)
    // A temporary table is read from its beginning, so the first of an identity comes first.
    const { rowCount } = await client.query(
      `INSERT INTO reading ${columns} SELECT ${columns.slice(1, -1)} FROM staged_reading
       ON CONFLICT DO NOTHING`,
    )
    return rows.count - (rowCount ?? 0)
  }

  async close(): Promise<void> {
    await this.#leases.close()
    if (!this.#pool.ending) await this.#pool.end()
  }
}

const NOTHING = {
  ...{ isWritten: false, duplicates: 0 },
  ...{ refusedReadings: 0, refusedPartials: 0, refusedAnomalies: 0, erasedReadings: 0 },
}

/** Null: of none. */
const newestOf = (readings: EncodedRows | undefined): number | null =>
  readings !== undefined && readings.rows.count > 0 ? Math.floor(readings.newestMs) : null

/** Their rows go with each transaction. */
const STAGING = `
  CREATE TEMPORARY TABLE IF NOT EXISTS staged_reading (
    series INTEGER NOT NULL, device_hash INTEGER NOT NULL, time_us BIGINT NOT NULL,
    value DOUBLE PRECISION NOT NULL, text_value TEXT
  ) ON COMMIT DELETE ROWS;
  CREATE TEMPORARY TABLE IF NOT EXISTS staged_partial (LIKE window_partial, place INTEGER NOT NULL)
    ON COMMIT DELETE ROWS`

/**
 * A later row of a key replaces, unless its count is lower: one that comes again from an earlier
 * offset may know less. Within the batch as well, as one statement may touch a row only once.
 */
const PUT_PARTIALS = `
  INSERT INTO window_partial SELECT DISTINCT ON (series, window_ms, start_ms, is_late)
    ${PARTIAL_COLUMNS} FROM staged_partial
  ORDER BY series, window_ms, start_ms, is_late, count DESC, place DESC
  ON CONFLICT (series, window_ms, start_ms, is_late) DO UPDATE SET
    (count, sum, min, max, mean, squares, first, first_us, last, last_us) =
      ROW (excluded.count, excluded.sum, excluded.min, excluded.max, excluded.mean,
        excluded.squares, excluded.first, excluded.first_us, excluded.last, excluded.last_us)
  WHERE excluded.count >= window_partial.count`

async function writePartials(
  client: pg.ClientBase,
  encoded: EncodedRows | undefined,
): Promise<void> {
  if (encoded === undefined || encoded.rows.count === 0) return
  const columns = `(${PARTIAL_COLUMNS}, place)`
  await copyRows(client, `COPY staged_partial ${columns} FROM STDIN (FORMAT binary)`, encoded.rows)
  await client.query(PUT_PARTIALS)
}
