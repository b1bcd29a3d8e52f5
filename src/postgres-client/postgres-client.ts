/** What registry and hot storage share on PostgreSQL: one schema, one driver, one way in. */
import pg from 'pg'
import { WeirError } from '../errors/errors.ts'

const INT8 = 20
/**
 * Whoever migrates first holds it; the others wait. One for all: registry and hot storage may be
 * making the same schema. Any number that nobody else uses.
 */
const MIGRATION_LOCK = 0x77656972

export interface PostgresPlace {
  /** `postgresql://user:password@host:port/database`. */
  url: string
  /** Where the tables are; made when it is not there. */
  schema: string
}

/** All our integers are exact in a number. */
const parserOf = ((oid: number, format?: 'text') =>
  oid === INT8 ? Number : pg.types.getTypeParser(oid, format)) as typeof pg.types.getTypeParser

/** What a pool or a client of ours is made with. `parameters` are PostgreSQL's own settings. */
export const placeConfig = (
  { url, schema }: PostgresPlace,
  parameters: Readonly<Record<string, string | number>> = {},
): pg.ClientConfig => ({
  connectionString: url,
  options: Object.entries({ search_path: pg.escapeIdentifier(schema), ...parameters })
    .map(([name, value]) => `-c ${name}=${value}`)
    .join(' '),
  types: { getTypeParser: parserOf },
})

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

/**
 * The driver's own text names host and port, never the password. Of several addresses that were
 * tried it gives several errors and no text.
 */
export function problemOf(cause: unknown): string {
  const { message, code } = cause as { message?: string; code?: string }
  return `PostgreSQL: ${message === undefined || message === '' ? String(code) : message}`
}

/**
 * Brings tables up to date: any number of processes may do so at once. `client` is connected with
 * `schema` as its search_path; `steps[n]` leads from version n to n + 1, and `versionTable` says
 * which one is there. Errors: DATA_FORMAT_NEWER, and PostgreSQL's own.
 */
export async function migrate(
  client: pg.ClientBase,
  of: { schema: string; versionTable: string; steps: readonly string[] },
): Promise<void> {
  const { schema, versionTable, steps } = of
  await client.query('BEGIN')
  try {
    await client.query('SELECT pg_advisory_xact_lock($1)', [MIGRATION_LOCK])
    await client.query(`CREATE SCHEMA IF NOT EXISTS ${pg.escapeIdentifier(schema)}`)
    await client.query(`CREATE TABLE IF NOT EXISTS ${versionTable} (version INTEGER NOT NULL)`)
    const { rows } = await client.query<{ version: number }>(`SELECT version FROM ${versionTable}`)
    const version = rows[0]?.version ?? 0
    if (version > steps.length) {
      throw new WeirError(
        'DATA_FORMAT_NEWER',
        `PostgreSQL’s schema ${schema} has format ${version}; this version knows up to ${steps.length}`,
      )
    }
    for (const step of steps.slice(version)) await client.query(step)
    if (version < steps.length) {
      await client.query(`DELETE FROM ${versionTable}`)
      await client.query(`INSERT INTO ${versionTable} VALUES ($1)`, [steps.length])
    }
    await client.query('COMMIT')
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined)
    throw error
  }
}
