/** How this folder reaches PostgreSQL, and what its failures are called. */
import pg from 'pg'
import { WeirError } from '../errors/errors.ts'
import type { PostgresPlace } from './postgres.ts'

const CONNECT_TIMEOUT_MS = 5000
const INT8 = 20

/** All our integers are exact in a number. */
const parserOf = ((oid: number, format?: 'text') =>
  oid === INT8 ? Number : pg.types.getTypeParser(oid, format)) as typeof pg.types.getTypeParser

/** What a pool or a client of ours is made with. `parameters` are PostgreSQL's own settings. */
export const connectionConfig = (
  { url, schema }: PostgresPlace,
  parameters: Readonly<Record<string, string | number>> = {},
): pg.ClientConfig => ({
  connectionString: url,
  connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
  keepAlive: true,
  options: Object.entries({ search_path: pg.escapeIdentifier(schema), ...parameters })
    .map(([name, value]) => `-c ${name}=${value}`)
    .join(' '),
  types: { getTypeParser: parserOf },
})

/** Classes of SQLSTATE that say that a statement of ours is wrong: trying again cannot help. */
const OUR_FAULT = /^(22|23)...$/

/** SQLSTATE of what PostgreSQL refused; undefined when it did not come that far. */
export const stateOf = (cause: unknown): string | undefined =>
  cause instanceof pg.DatabaseError ? cause.code : undefined

/** What PostgreSQL or the way to it did, by name. The driver's text never has the password. */
export const unavailable = (cause: unknown): unknown =>
  cause instanceof WeirError || cause instanceof RangeError || OUR_FAULT.test(stateOf(cause) ?? '')
    ? cause
    : new WeirError('STORAGE_UNAVAILABLE', `PostgreSQL: ${messageOf(cause)}`, { cause })

/** Of several addresses that were tried the driver gives several errors and no text. */
function messageOf(cause: unknown): string {
  const { message, code } = cause as { message?: string; code?: string }
  return message === undefined || message === '' ? String(code) : message
}

/**
 * A connection that ends is replaced at the next use. It says so by an error event, of the pool
 * while nobody uses it and of its own while somebody does; one that nobody hears ends the process.
 */
export function openPool(config: pg.PoolConfig): pg.Pool {
  const pool = new pg.Pool(config)
  pool.on('error', () => undefined)
  pool.on('connect', (client) => client.on('error', () => undefined))
  return pool
}
