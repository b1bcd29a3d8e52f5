/** Connections for questions, and one consistent look at the tables for each. */
import type pg from 'pg'
import { WeirError } from '../errors/errors.ts'
import { openPool, type PostgresPlace } from '../postgres-client/postgres-client.ts'
import { connectionConfig, stateOf, unavailable } from './connections.ts'

export type Row = Record<string, unknown>

/** One statement within a question's snapshot. Errors: QUERY_FAILED, STORAGE_UNAVAILABLE. */
export type Ask = <T extends Row>(text: string, values: readonly unknown[]) => Promise<T[]>

/** Questions that are worked on at once; more wait. */
const CONNECTIONS_MAX = 8
/** A statement reads one page by index: what takes longer waits for something. */
const STATEMENT_TIMEOUT_MS = 30_000
/** A snapshot keeps dead rows from being cleared, so one that was left behind has to end. */
const IDLE_TIMEOUT_MS = 60_000

/**
 * Every statement walks an index in its order and ends with the page. The planner would rather
 * collect and sort all that is left, again for each page; and compile what takes less to run.
 */
export const BY_INDEX = { enable_bitmapscan: 'off', enable_seqscan: 'off', jit: 'off' }

/**
 * In one way to the server. The lock comes before the snapshot: a month that has gone to the lake
 * leaves the table when nobody holds one (`month-partitions.ts`), so a snapshot that knows of no
 * file sees the rows. The pid is its own, behind a pooler too.
 */
const BEGIN = `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
  LOCK TABLE ONLY reading IN ACCESS SHARE MODE; SELECT pg_backend_pid() AS pid`

export class QueryDatabase {
  readonly #pool: pg.Pool
  /** One connection, made when a statement is to end early. */
  readonly #cancelling: pg.Pool

  /** `how`: of those who look at all there is, beside questions. */
  constructor(place: PostgresPlace, how: { name?: string; statementTimeoutMs?: number } = {}) {
    this.#cancelling = openPool({
      ...connectionConfig(place),
      ...{ max: 1, statement_timeout: STATEMENT_TIMEOUT_MS },
      application_name: 'weir-query-cancel',
    })
    this.#pool = openPool({
      ...connectionConfig(place, BY_INDEX),
      max: CONNECTIONS_MAX,
      statement_timeout: how.statementTimeoutMs ?? STATEMENT_TIMEOUT_MS,
      idle_in_transaction_session_timeout: IDLE_TIMEOUT_MS,
      application_name: how.name ?? 'weir-query',
    })
  }

  /**
   * Everything that `run` asks is answered as of one moment. The snapshot ends with it, whatever
   * becomes of it. Once the signal is aborted the statement under way is cancelled and no other one
   * begins. Errors: those of `run`, QUERY_FAILED, STORAGE_UNAVAILABLE, the signal's reason.
   */
  async snapshot<T>(run: (ask: Ask) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const client = await this.#pool.connect().catch((cause: unknown) => {
      throw failureOf(cause)
    })
    let cancelled: Promise<void> | undefined
    let cancel = (): void => {}
    try {
      const ask: Ask = (text, values) => {
        signal?.throwIfAborted()
        return askOn(client, text, values)
      }
      const pid = await begin(client)
      cancel = () => void (cancelled = this.#cancel(pid))
      signal?.addEventListener('abort', cancel)
      return await run(ask)
    } catch (error) {
      throw signal?.aborted === true ? signal.reason : error
    } finally {
      signal?.removeEventListener('abort', cancel)
      // It must not reach the next one's statement.
      await cancelled
      const isUsable = await client.query('ROLLBACK').then(
        () => true,
        () => false,
      )
      client.release(!isUsable)
    }
  }

  /** What cannot be cancelled ends by its own time limit. */
  async #cancel(pid: number): Promise<void> {
    await this.#cancelling.query('SELECT pg_cancel_backend($1)', [pid]).catch(() => undefined)
  }

  async close(): Promise<void> {
    if (!this.#pool.ending) await this.#pool.end()
    if (!this.#cancelling.ending) await this.#cancelling.end()
  }
}

/** Returns the server process's id. */
async function begin(client: pg.PoolClient): Promise<number> {
  try {
    // Each statement has its result.
    const results = (await client.query(BEGIN)) as unknown as pg.QueryResult<{ pid: number }>[]
    return results.at(-1)!.rows[0]!.pid
  } catch (cause) {
    throw failureOf(cause)
  }
}

/** On a connection of the caller's, in its transaction. */
export const askIn =
  (client: pg.ClientBase): Ask =>
  (text, values) =>
    askOn(client, text, values)

async function askOn<T extends Row>(
  client: pg.ClientBase,
  text: string,
  values: readonly unknown[],
): Promise<T[]> {
  try {
    const { rows } = await client.query<T>(text, [...values])
    return rows
  } catch (cause) {
    throw failureOf(cause)
  }
}

/** Connection lost, no room for one, shut down; or a writer has not made the tables yet. */
const UNAVAILABLE = /^(?:08|53|57P|42P01)/

/** The driver's text names host and port, never the password. */
function failureOf(cause: unknown): unknown {
  const state = stateOf(cause)
  if (state === undefined || UNAVAILABLE.test(state)) return unavailable(cause)
  return new WeirError('QUERY_FAILED', `PostgreSQL: ${(cause as Error).message}`, { cause })
}
