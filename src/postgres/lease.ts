/**
 * Leases: one connection of its own holds an advisory lock for each name, so that a name is free
 * once its holder's process or connection is gone. A lock alone would let a holder that was cut off
 * write on, so each claim raises the name's epoch, and each transaction of a writer reads the row
 * FOR SHARE and compares: a claim waits for the transaction under way, and fences the next.
 *
 * The epoch is flushed to disk before a claim counts, whatever the server's default: an epoch that
 * a crash took back would be given twice.
 */
import pg from 'pg'
import { WeirError } from '../errors/errors.ts'
import { connectionConfig, stateOf, unavailable } from './connections.ts'
import type { PostgresPlace } from '../postgres-client/postgres-client.ts'
import type { Lease } from './postgres.ts'
import { migrate } from './schema.ts'

/** The server notices a dead holder within 25 s. */
const PARAMETERS = {
  synchronous_commit: 'on',
  statement_timeout: 60_000,
  tcp_keepalives_idle: 10,
  tcp_keepalives_interval: 5,
  tcp_keepalives_count: 3,
}
/** A server that is cut off answers nothing, and the kernel tries for a quarter of an hour. */
const ANSWER_MS_MAX = 70_000
const LOCK = 'hashtextextended(current_schema || $1, 0)'

/** A connection, and what it holds: both end together. */
interface Holder {
  client: pg.Client
  held: Map<string, { lease: Lease; lose: () => void }>
}

/** Makes or updates the tables first. Errors: STORAGE_UNAVAILABLE, DATA_FORMAT_NEWER. */
export async function openLeases(place: PostgresPlace): Promise<Leases> {
  const client = new pg.Client({ ...connectionConfig(place, PARAMETERS) })
  client.on('error', () => undefined)
  try {
    await client.connect()
    await migrate(client, place.schema)
  } catch (cause) {
    throw unavailable(cause)
  } finally {
    await client.end()
  }
  return new Leases(place)
}

export class Leases {
  readonly #place: PostgresPlace
  readonly #answerMsMax: number
  #holder: Promise<Holder> | undefined
  /** Claims go one after the other: two of one name would take its lock twice. */
  #turn: Promise<unknown> = Promise.resolve()

  constructor(place: PostgresPlace, answerMsMax = ANSWER_MS_MAX) {
    this.#place = place
    this.#answerMsMax = answerMsMax
  }

  /** Undefined while somebody else holds the name. Errors: STORAGE_UNAVAILABLE. */
  claim(name: string): Promise<Lease | undefined> {
    const claiming = this.#turn.then(() => this.#claim(name))
    this.#turn = claiming.catch(() => undefined)
    return claiming
  }

  async #claim(name: string): Promise<Lease | undefined> {
    const connecting = (this.#holder ??= this.#connect())
    try {
      const holder = await connecting
      // Whoever holds it here hands it on, lock and all.
      const mine = holder.held.get(name)
      if (mine === undefined && !(await tryLock(holder.client, name))) return undefined
      const epoch = await raiseEpoch(holder.client, name).catch(async (error: unknown) => {
        if (mine === undefined) await unlock(holder.client, name)
        throw error
      })
      mine?.lose()
      return hold(holder, name, epoch)
    } catch (cause) {
      const holder = await connecting.catch(() => (this.#holder = undefined))
      // What hangs goes on hanging: all that it holds is lost, and the next claim connects anew.
      if (stateOf(cause) === undefined) await holder?.client.end()
      throw unavailable(cause)
    }
  }

  async #connect(): Promise<Holder> {
    const client = new pg.Client({
      ...connectionConfig(this.#place, PARAMETERS),
      query_timeout: this.#answerMsMax,
      application_name: 'weir-lease',
    })
    const holder: Holder = { client, held: new Map() }
    client.on('error', () => undefined)
    client.on('end', () => {
      for (const { lose } of holder.held.values()) lose()
      holder.held.clear()
      this.#holder = undefined
    })
    await client.connect()
    return holder
  }

  /** Gives all of them back. */
  async close(): Promise<void> {
    await this.#turn
    const holder = await this.#holder?.catch(() => undefined)
    await holder?.client.end()
  }
}

function hold({ client, held }: Holder, name: string, epoch: number): Lease {
  const losing = new AbortController()
  const lose = (): void => losing.abort()
  const release = async (): Promise<void> => {
    if (held.get(name)?.lease !== lease) return
    held.delete(name)
    lose()
    await unlock(client, name)
  }
  const lease: Lease = { name, epoch, lost: losing.signal, release }
  held.set(name, { lease, lose })
  return lease
}

async function tryLock(client: pg.Client, name: string): Promise<boolean> {
  const { rows } = await client.query<{ isMine: boolean }>(
    `SELECT pg_try_advisory_lock(${LOCK}) AS "isMine"`,
    [name],
  )
  return rows[0]!.isMine
}

/** What fails has ended the connection, and the lock with it. */
async function unlock(client: pg.Client, name: string): Promise<void> {
  await client.query(`SELECT pg_advisory_unlock(${LOCK})`, [name]).catch(() => undefined)
}

async function raiseEpoch(client: pg.Client, name: string): Promise<number> {
  const { rows } = await client.query<{ epoch: number }>(
    `INSERT INTO lease VALUES ($1, 1)
     ON CONFLICT (name) DO UPDATE SET epoch = lease.epoch + 1 RETURNING epoch`,
    [name],
  )
  return rows[0]!.epoch
}

/** Inside a transaction: nobody claims the lease until it ends. Errors: STORAGE_FENCED. */
export async function checkLease(client: pg.ClientBase, { name, epoch }: Lease): Promise<void> {
  const { rows } = await client.query<{ epoch: number }>(
    'SELECT epoch FROM lease WHERE name = $1 FOR SHARE',
    [name],
  )
  if (rows[0]?.epoch === epoch) return
  throw new WeirError(
    'STORAGE_FENCED',
    `The lease ${name} was claimed with epoch ${rows[0]?.epoch}; ours is ${epoch}`,
  )
}
