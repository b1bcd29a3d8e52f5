/**
 * Erasures in one store: what stands in its tables, and what of it has left for the lake.
 *
 *   hide()   tombstones: nothing of it is shown or written from then on
 *   run()    rows are deleted, cold files are written anew; may be done again, whatever ended it
 *
 * Rows are deleted before the files are looked at, and both by the one that has the lease of aging:
 * so none of them can go from one to the other in between.
 */
import pg from 'pg'
import type { WeirError } from '../errors/errors.ts'
import type { Objects } from '../objects/objects.ts'
import type { PostgresPlace } from '../postgres-client/postgres-client.ts'
import type { Clock } from '../world/world.ts'
import { eraseCold } from './cold-eraser.ts'
import { connectionConfig, stateOf, unavailable } from './connections.ts'
import {
  DEVICE_TABLES,
  erasedOf,
  noteRows,
  SERIES_TABLES,
  type Erased,
  type ErasedTable,
  type Erasure,
} from './erasure-tables.ts'
import { checkLease, Leases } from './lease.ts'
import type { Lease } from './postgres.ts'
import { addTombstones, seriesOfDevices } from './tombstones.ts'

/** Years of a device's readings. */
const STATEMENT_TIMEOUT_MS = 3_600_000
/** Of a writer's transaction, which tombstones wait for. */
const HIDE_TIMEOUT_MS = 70_000
/** Whose rows go in one transaction. */
const SERIES_AT_ONCE = 100
const PARAMETERS = {
  // As for writers.
  'timescaledb.max_tuples_decompressed_per_dml_transaction': 0,
}

export interface StoreEraserOptions {
  place: PostgresPlace
  clock: Clock
  /** Where readings are that have left; undefined without a lake. */
  objects: Objects | undefined
  /** As of AgerOptions. */
  name: string
}

export interface StoreEraser {
  /** Durable once it resolves. May be done again. Errors: STORAGE_UNAVAILABLE. */
  hide(erasure: Erasure): Promise<void>
  /**
   * False when it did not come to its end: months are being moved, or isOver() turned true. Errors:
   * STORAGE_UNAVAILABLE, STORAGE_FENCED, OBJECTS_UNAVAILABLE, OBJECTS_REFUSED, DATA_FILE_DAMAGED.
   */
  run(erasure: Erasure, isOver: () => boolean): Promise<boolean>
  /** What went. Errors: STORAGE_UNAVAILABLE. */
  erased(id: string): Promise<Erased>
  /** What is under way is cut off. */
  close(): Promise<void>
}

/** Connects when it is needed; the writer makes the tables. */
export const openStoreEraser = (options: StoreEraserOptions): StoreEraser =>
  new TableEraser(options)

class TableEraser implements StoreEraser {
  readonly #options: StoreEraserOptions
  readonly #leases: Leases
  readonly #clients = new Set<pg.Client>()

  constructor(options: StoreEraserOptions) {
    this.#options = options
    this.#leases = new Leases(options.place)
  }

  hide(erasure: Erasure): Promise<void> {
    return this.#connected(HIDE_TIMEOUT_MS, (client) => addTombstones(client, erasure))
  }

  erased(id: string): Promise<Erased> {
    return this.#connected(STATEMENT_TIMEOUT_MS, (client) => erasedOf(client, id))
  }

  async run(erasure: Erasure, isOver: () => boolean): Promise<boolean> {
    const lease = isOver() ? undefined : await this.#leases.claim('aging')
    if (lease === undefined) return false
    const isEnding = (): boolean => isOver() || lease.lost.aborted
    try {
      return await this.#connected(STATEMENT_TIMEOUT_MS, (client) =>
        this.#run({ client, lease, isOver: isEnding }, erasure),
      )
    } finally {
      await lease.release()
    }
  }

  async #run(work: ErasingRun, erasure: Erasure): Promise<boolean> {
    const { client, isOver } = work
    const { tenant, devices } = erasure
    const ids = devices.map(({ deviceId }) => deviceId)
    // Those that are made from now on have nothing of it: tombstones were first.
    const series = await seriesOfDevices(client, tenant, ids)
    const touched = new Set<string>()
    for (let at = 0; at < series.length; at += SERIES_AT_ONCE) {
      const some = series.slice(at, at + SERIES_AT_ONCE)
      for (const table of SERIES_TABLES) {
        if (isOver()) return false
        await deleteRows(work, erasure, { ...table, of: 'series', values: [some] }, touched)
      }
    }
    for (const table of DEVICE_TABLES) {
      if (isOver()) return false
      await deleteRows(work, erasure, { ...table, of: 'device', values: [ids, tenant] }, touched)
    }
    await eraseCold({ ...this.#options, ...work }, erasure, series)
    if (isOver()) return false
    await vacuum(client, touched)
    return true
  }

  async #connected<T>(timeoutMs: number, work: (client: pg.Client) => Promise<T>): Promise<T> {
    const client = new pg.Client({
      ...connectionConfig(this.#options.place, { ...PARAMETERS, statement_timeout: timeoutMs }),
      // A server that is cut off answers nothing.
      query_timeout: timeoutMs + 10_000,
      application_name: 'weir-erasing',
    })
    client.on('error', () => undefined)
    this.#clients.add(client)
    try {
      await client.connect()
      return await work(client)
    } catch (cause) {
      throw unavailable(cause)
    } finally {
      this.#clients.delete(client)
      await client.end()
    }
  }

  async close(): Promise<void> {
    // A statement under way may take an hour; its transaction is none then.
    await Promise.all([...this.#clients].map((client) => client.end()))
    await this.#leases.close()
  }
}

interface ErasingRun {
  client: pg.ClientBase
  lease: Lease
  isOver: () => boolean
}

/** Whose rows: `values` are series, or devices and their tenant. */
interface Owners extends ErasedTable {
  of: 'series' | 'device'
  values: unknown[]
}

const OWNED = {
  series: 'series = ANY ($1::integer[])',
  device: 'device_id = ANY ($1::text[]) AND tenant = $4',
}

/** `touched` hears of the tables, or parts of such, that rows went from. */
async function deleteRows(
  { client, lease }: ErasingRun,
  { id, fromUs, toUs }: Erasure,
  { table, during, of, values: [owners, ...more] }: Owners,
  touched: Set<string>,
): Promise<void> {
  await client.query('BEGIN')
  await checkLease(client, lease)
  const { rows } = await client.query<{ part: string; rows: number }>(
    `WITH gone AS (DELETE FROM ${table} WHERE ${OWNED[of]} AND ${during} RETURNING tableoid)
     SELECT tableoid::regclass::text AS part, count(*) AS rows FROM gone GROUP BY tableoid`,
    [owners, fromUs, toUs, ...more],
  )
  await noteRows(client, id, { table, rows: rows.reduce((sum, one) => sum + one.rows, 0) })
  await client.query('COMMIT')
  for (const { part } of rows) touched.add(part)
}

/**
 * So that PostgreSQL writes over what was there soon. Whatever keeps it from that now, autovacuum
 * does it.
 */
async function vacuum(client: pg.ClientBase, parts: Iterable<string>): Promise<void> {
  for (const part of parts) {
    await client.query(`VACUUM (SKIP_LOCKED) ${part}`).catch((error: WeirError | Error) => {
      // The connection is gone; a refusal is PostgreSQL's own.
      if (stateOf(error) === undefined) throw error
    })
  }
}
