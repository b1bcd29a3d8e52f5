/**
 * Where the stream stage of a cluster keeps its checkpoints: state, definitions and the offset that
 * they stand for, of one partition, in one transaction. Outputs go to Kafka before; what was
 * output after the last checkpoint is output again by whoever goes on from it, with the same keys.
 *
 * Everything here is flushed before save() resolves, whatever the server's default: numbers of
 * series that a crash took back would be given to others.
 */
import type pg from 'pg'
import type { Definitions, DeviceFacts, SeriesDefinition } from '../batch/batch.ts'
import { openPool, type PostgresPlace } from '../postgres-client/postgres-client.ts'
import { connectionConfig, unavailable } from './connections.ts'
import { checkLease, Leases } from './lease.ts'
import type { Lease } from './postgres.ts'
import { migrate } from './schema.ts'

const CONNECTIONS_MAX = 4
const PARAMETERS = { synchronous_commit: 'on', statement_timeout: 60_000 }
/** The server's own limit speaks first; this is for one that says nothing any more. */
const ANSWER_MS_MAX = 70_000
/** Rows in one statement. */
const ROWS_MAX = 5000
const SERIES = 's'
const TEXT = 't'
const DEVICE = 'd'

/** Partitions are numbered anew in each generation of the topics. */
export interface StreamPlace {
  generation: number
  partition: number
}

export interface StreamCheckpoint {
  partition: number
  /** Of the telemetry topic: the first entry that is not in the state. */
  nextOffset: number
  /** The clock of the partition: its last tick, µs. NaN before the first. */
  clockUs: number
  /** Parts that changed since the last checkpoint. */
  parts: readonly { name: string; bytes: Uint8Array }[]
  /** New since the last checkpoint; of a device that changed, the facts again. No rules. */
  definitions: Definitions
}

export class StreamState {
  readonly #pool: pg.Pool
  readonly #leases: Leases

  private constructor(pool: pg.Pool, place: PostgresPlace) {
    this.#pool = pool
    this.#leases = new Leases(place)
  }

  /** Makes or updates the tables. Errors: STORAGE_UNAVAILABLE, DATA_FORMAT_NEWER. */
  static async open(place: PostgresPlace): Promise<StreamState> {
    const pool = openPool({
      ...connectionConfig(place, PARAMETERS),
      max: CONNECTIONS_MAX,
      query_timeout: ANSWER_MS_MAX,
      application_name: 'weir-stream',
    })
    try {
      const client = await pool.connect()
      try {
        await migrate(client, place.schema)
      } finally {
        client.release()
      }
      return new StreamState(pool, place)
    } catch (cause) {
      await pool.end()
      throw unavailable(cause)
    }
  }

  /** Undefined while somebody else holds the name. Errors: STORAGE_UNAVAILABLE. */
  claim(name: string): Promise<Lease | undefined> {
    return this.#leases.claim(name)
  }

  /** The last checkpoint, whole; undefined before the first. Errors: STORAGE_UNAVAILABLE. */
  async load({ generation, partition }: StreamPlace): Promise<StreamCheckpoint | undefined> {
    const at = [generation, partition]
    return this.#transaction(async (client) => {
      const [progress] = (
        await client.query<{ next_offset: number; clock_us: number }>(
          `SELECT next_offset, clock_us FROM stream_progress
           WHERE generation = $1 AND partition = $2`,
          at,
        )
      ).rows
      if (progress === undefined) return undefined
      const parts = await client.query<{ name: string; bytes: Buffer }>(
        'SELECT name, bytes FROM stream_part WHERE generation = $1 AND partition = $2',
        at,
      )
      const definitions = await loadDefinitions(client, { generation, partition })
      const { next_offset: nextOffset, clock_us: clockUs } = progress
      return { partition, nextOffset, clockUs, parts: parts.rows, definitions }
    })
  }

  /** How many partitions of each generation have a checkpoint. Errors: STORAGE_UNAVAILABLE. */
  async counts(): Promise<Map<number, number>> {
    return this.#transaction(async (client) => {
      const { rows } = await client.query<{ generation: number; count: number }>(
        'SELECT generation, count(*) AS count FROM stream_progress GROUP BY generation',
      )
      return new Map(rows.map(({ generation, count }) => [generation, count]))
    })
  }

  /**
   * Gives a partition of the next generation the checkpoint of the one that it was a part of. State
   * is taken as it is, definitions only of devices that are its own: whoever restores leaves out
   * what was not defined. Does nothing where it was done before. Errors: as save().
   */
  async divide(
    lease: Lease,
    { from, to, isOwn }: { from: StreamPlace; to: StreamPlace; isOwn: IsOwn },
  ): Promise<void> {
    const places = [from.generation, from.partition, to.generation, to.partition]
    await this.#transaction(async (client) => {
      await checkLease(client, lease)
      const { rowCount } = await client.query(
        `INSERT INTO stream_progress (generation, partition, next_offset, clock_us)
         SELECT $3, $4, 0, clock_us FROM stream_progress WHERE generation = $1 AND partition = $2
         ON CONFLICT DO NOTHING`,
        places,
      )
      if (rowCount === 0) return
      await client.query(
        `INSERT INTO stream_part (generation, partition, name, bytes)
         SELECT $3, $4, name, bytes FROM stream_part WHERE generation = $1 AND partition = $2`,
        places,
      )
      const { series, texts, devices = [] } = await loadDefinitions(client, from)
      const own = { series: series.filter(isOwn), texts, devices: devices.filter(isOwn) }
      await saveDefinitions(client, to, own)
    })
  }

  /** Forgets the generations before, which the stream has left. Errors: as save(). */
  async forgetBefore(lease: Lease, generation: number): Promise<void> {
    await this.#transaction(async (client) => {
      await checkLease(client, lease)
      for (const table of ['stream_progress', 'stream_part', 'stream_definition']) {
        await client.query(`DELETE FROM ${table} WHERE generation < $1`, [generation])
      }
    })
  }

  /** All of it or nothing. Errors: STORAGE_UNAVAILABLE, STORAGE_FENCED. */
  async save(lease: Lease, generation: number, checkpoint: StreamCheckpoint): Promise<void> {
    const { partition, nextOffset, clockUs, parts, definitions } = checkpoint
    await this.#transaction(async (client) => {
      await checkLease(client, lease)
      for (const { name, bytes } of parts) {
        await client.query(
          `INSERT INTO stream_part (generation, partition, name, bytes) VALUES ($1, $2, $3, $4)
           ON CONFLICT (generation, partition, name) DO UPDATE SET bytes = excluded.bytes`,
          [generation, partition, name, bytes],
        )
      }
      await saveDefinitions(client, { generation, partition }, definitions)
      await client.query(
        `INSERT INTO stream_progress (generation, partition, next_offset, clock_us)
         VALUES ($1, $2, $3, $4) ON CONFLICT (generation, partition)
         DO UPDATE SET next_offset = excluded.next_offset, clock_us = excluded.clock_us`,
        [generation, partition, nextOffset, clockUs],
      )
    })
  }

  async close(): Promise<void> {
    await this.#leases.close()
    if (!this.#pool.ending) await this.#pool.end()
  }

  async #transaction<T>(run: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    let client: pg.PoolClient | undefined
    try {
      client = await this.#pool.connect()
      await client.query('BEGIN')
      const result = await run(client)
      await client.query('COMMIT')
      client.release()
      return result
    } catch (cause) {
      // A connection in the middle of something is not used again.
      client?.release(true)
      throw unavailable(cause)
    }
  }
}

type IsOwn = (device: { tenant: string; deviceId: string }) => boolean

async function loadDefinitions(
  client: pg.ClientBase,
  { generation, partition }: StreamPlace,
): Promise<Definitions> {
  const { rows } = await client.query<{ kind: string; number: number; definition: string }>(
    `SELECT kind, number, definition FROM stream_definition
     WHERE generation = $1 AND partition = $2 ORDER BY number`,
    [generation, partition],
  )
  const ofKind = (kind: string) => rows.filter((row) => row.kind === kind)
  return {
    series: ofKind(SERIES).map(({ definition }) => JSON.parse(definition) as SeriesDefinition),
    texts: ofKind(TEXT).map(({ number, definition }) => [number, JSON.parse(definition) as string]),
    devices: ofKind(DEVICE).map(({ definition }) => JSON.parse(definition) as DeviceFacts),
  }
}

/** As JSON, since a text of PostgreSQL cannot hold a NUL. */
async function saveDefinitions(
  client: pg.ClientBase,
  { generation, partition }: StreamPlace,
  { series, texts, devices = [] }: Definitions,
): Promise<void> {
  const facts = new Map(devices.map((one) => [one.device, one]))
  const rows = [
    ...series.map((one) => [SERIES, one.series, JSON.stringify(one)] as const),
    ...texts.map(([id, text]) => [TEXT, id, JSON.stringify(text)] as const),
    ...[...facts].map(([number, one]) => [DEVICE, number, JSON.stringify(one)] as const),
  ]
  for (let at = 0; at < rows.length; at += ROWS_MAX) {
    const some = rows.slice(at, at + ROWS_MAX)
    await client.query(
      `INSERT INTO stream_definition (generation, partition, kind, number, definition)
       SELECT $1, $2, kind, number, definition
       FROM unnest($3::text[], $4::bigint[], $5::text[]) AS new (kind, number, definition)
       ON CONFLICT (generation, partition, kind, number)
       DO UPDATE SET definition = excluded.definition WHERE excluded.kind = '${DEVICE}'`,
      [
        ...[generation, partition],
        ...[some.map(([kind]) => kind), some.map(([, id]) => id), some.map((row) => row[2])],
      ],
    )
  }
}
