/** How this folder reaches PostgreSQL, and what its failures are called. */
import pg from 'pg'
import { WeirError } from '../errors/errors.ts'
import { placeConfig, problemOf, type PostgresPlace } from '../postgres-client/postgres-client.ts'

const CONNECT_TIMEOUT_MS = 5000

/** What a pool or a client of this folder is made with. */
export const connectionConfig = (
  place: PostgresPlace,
  parameters: Readonly<Record<string, string | number>> = {},
): pg.ClientConfig => ({
  ...placeConfig(place, parameters),
  connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
  keepAlive: true,
})

/** Classes of SQLSTATE that say that a statement of ours is wrong: trying again cannot help. */
const OUR_FAULT = /^(22|23)...$/

/** SQLSTATE of what PostgreSQL refused; undefined when it did not come that far. */
export const stateOf = (cause: unknown): string | undefined =>
  cause instanceof pg.DatabaseError ? cause.code : undefined

/** What PostgreSQL or the way to it did, by name. */
export const unavailable = (cause: unknown): unknown =>
  cause instanceof WeirError || cause instanceof RangeError || OUR_FAULT.test(stateOf(cause) ?? '')
    ? cause
    : new WeirError('STORAGE_UNAVAILABLE', problemOf(cause), { cause })

/** A connection on which something failed is closed. Errors: STORAGE_UNAVAILABLE. */
export async function connected<Result>(
  pool: pg.Pool,
  work: (client: pg.PoolClient) => Promise<Result>,
): Promise<Result> {
  let client: pg.PoolClient | undefined
  try {
    client = await pool.connect()
    const result = await work(client)
    client.release()
    return result
  } catch (cause) {
    client?.release(true)
    throw unavailable(cause)
  }
}
