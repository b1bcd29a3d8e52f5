/**
 * The installation's erasures, at `postgres.url`: what was asked for, how far it is, and the key
 * that signs receipts. Any number of processes ask; one works, by the lease `erasures`.
 *
 *   begin() ─▶ every store hides it ─▶ hideHere(): it is hidden everywhere ─▶ … ─▶ finish()
 */
import pg from 'pg'
import { openPool, type PostgresPlace } from '../postgres-client/postgres-client.ts'
import type { Span } from '../query/query.ts'
import { connected, connectionConfig } from './connections.ts'
import { erasedOf, noteFile, type Erased, type ErasedFile, type Erasure } from './erasure-tables.ts'
import { addTombstones, erasedSpans } from './tombstones.ts'

const CONNECTIONS = 4
/** Tombstones wait for writers' transactions. */
const STATEMENT_TIMEOUT_MS = 70_000

/** As it was asked for. */
export interface ListedErasure extends Omit<Erasure, 'devices'> {
  deviceIds: readonly string[]
  requestedAtUs: number
}

/** What is known of it. */
export interface ErasureProgress {
  /** Of the last try, which is done again. */
  problem: string | undefined
  /** JSON, once it is done. */
  receipt: string | undefined
}

/** Errors of all: STORAGE_UNAVAILABLE. */
export interface ErasureList {
  /** Durable once it resolves: it will be carried out. */
  begin(erasure: ListedErasure): Promise<void>
  /** Last, when all stores have hidden it: answers of before are not given again. */
  hideHere(erasure: Erasure): Promise<void>
  find(tenant: string, id: string): Promise<ErasureProgress | undefined>
  /** The oldest first. */
  undone(): Promise<ListedErasure[]>
  fail(id: string, problem: string): Promise<void>
  /** Once: a receipt that is there stays. */
  finish(id: string, receipt: string): Promise<void>
  noteFile(id: string, file: ErasedFile): Promise<void>
  /** What went without being of a store, and of the store that is here. */
  erased(id: string): Promise<Erased>
  /** Another one from the moment on at which an erasure of the tenant is hidden everywhere. */
  version(tenant: string): Promise<string>
  /** What was erased, by tenant and device. */
  spans(): Promise<ReadonlyMap<string, ReadonlyMap<string, readonly Span[]>>>
  /** The installation's, made of `candidate` when there is none: PEM. */
  key(candidate: () => string): Promise<string>
  close(): Promise<void>
}

/** Connects when it is asked first; whoever opens leases there has made the tables. */
export const openErasureList = (place: PostgresPlace): ErasureList => new TableList(place)

interface ErasureRow {
  id: string
  tenant: string
  devices: string
  from_us: number
  to_us: number
  requested_at_us: number
  problem: string | null
  receipt: string | null
}

class TableList implements ErasureList {
  readonly #pool: pg.Pool

  constructor(place: PostgresPlace) {
    this.#pool = openPool({
      ...connectionConfig(place, { statement_timeout: STATEMENT_TIMEOUT_MS }),
      query_timeout: STATEMENT_TIMEOUT_MS + 10_000,
      max: CONNECTIONS,
      application_name: 'weir-erasures',
    })
  }

  async begin(erasure: ListedErasure): Promise<void> {
    const { id, tenant, deviceIds, fromUs, toUs, requestedAtUs } = erasure
    const values = [id, tenant, JSON.stringify(deviceIds), fromUs, toUs, requestedAtUs]
    await this.#ask('INSERT INTO erasure VALUES ($1, $2, $3, $4, $5, $6)', values)
  }

  async hideHere(erasure: Erasure): Promise<void> {
    await connected(this.#pool, (client) => addTombstones(client, erasure))
    await this.#ask(
      `INSERT INTO erasure_version AS known VALUES ($1, 1)
       ON CONFLICT (tenant) DO UPDATE SET version = known.version + 1`,
      [erasure.tenant],
    )
  }

  async find(tenant: string, id: string): Promise<ErasureProgress | undefined> {
    const text = 'SELECT problem, receipt FROM erasure WHERE tenant = $1 AND id = $2'
    const [row] = await this.#ask<ErasureRow>(text, [tenant, id])
    return row && { problem: row.problem ?? undefined, receipt: row.receipt ?? undefined }
  }

  async undone(): Promise<ListedErasure[]> {
    const text = 'SELECT * FROM erasure WHERE receipt IS NULL ORDER BY requested_at_us, id'
    return (await this.#ask<ErasureRow>(text, [])).map((row) => ({
      ...{ id: row.id, tenant: row.tenant, deviceIds: JSON.parse(row.devices) as string[] },
      ...{ fromUs: row.from_us, toUs: row.to_us, requestedAtUs: row.requested_at_us },
    }))
  }

  async fail(id: string, problem: string): Promise<void> {
    await this.#ask('UPDATE erasure SET problem = $2 WHERE id = $1', [id, problem])
  }

  async finish(id: string, receipt: string): Promise<void> {
    const text = `UPDATE erasure SET receipt = $2, problem = NULL
      WHERE id = $1 AND receipt IS NULL`
    await this.#ask(text, [id, receipt])
  }

  noteFile(id: string, file: ErasedFile): Promise<void> {
    return connected(this.#pool, (client) => noteFile(client, id, file))
  }

  erased(id: string): Promise<Erased> {
    return connected(this.#pool, (client) => erasedOf(client, id))
  }

  async version(tenant: string): Promise<string> {
    const text = 'SELECT version FROM erasure_version WHERE tenant = $1'
    const [row] = await this.#ask<{ version: number }>(text, [tenant])
    return String(row?.version ?? 0)
  }

  async spans(): Promise<ReadonlyMap<string, ReadonlyMap<string, readonly Span[]>>> {
    const tenants = await this.#ask<{ tenant: string }>('SELECT DISTINCT tenant FROM tombstone', [])
    const spans = new Map<string, ReadonlyMap<string, readonly Span[]>>()
    for (const { tenant } of tenants) {
      spans.set(tenant, await erasedSpans((text, values) => this.#ask(text, values), tenant))
    }
    return spans
  }

  async key(candidate: () => string): Promise<string> {
    const read = async (): Promise<string | undefined> =>
      (await this.#ask<{ pem: string }>('SELECT pem FROM instance_key', []))[0]?.pem
    const known = await read()
    if (known !== undefined) return known
    const text = 'INSERT INTO instance_key (pem) VALUES ($1) ON CONFLICT DO NOTHING'
    await this.#ask(text, [candidate()])
    return (await read())!
  }

  #ask<T extends object>(text: string, values: readonly unknown[]): Promise<T[]> {
    return connected(
      this.#pool,
      async (client) => (await client.query<T & pg.QueryResultRow>(text, [...values])).rows,
    )
  }

  async close(): Promise<void> {
    if (!this.#pool.ending) await this.#pool.end()
  }
}
