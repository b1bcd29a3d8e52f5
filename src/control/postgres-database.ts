/** The control database on PostgreSQL. Its pages carry PostgreSQL's own checksums. */
import pg from 'pg'
import { WeirError } from '../errors/errors.ts'
import type { ControlDatabase, SqlRow, SqlValue, TableName } from './database.ts'
import { firstTables, POSTGRES_DIALECT } from './tables.ts'

const CONNECTIONS_MAX = 10
const CONNECT_TIMEOUT_MS = 5000
/** No statement here looks at more than a page of devices, but for the count. */
const STATEMENT_TIMEOUT_MS = 30_000
const INT8 = 20
/** Whoever migrates first holds it; the others wait. Any number that nobody else uses. */
const MIGRATION_LOCK = 0x77656972

/** `MIGRATIONS[n]` leads from version n to n + 1. Published steps never change. */
const MIGRATIONS: readonly string[] = [firstTables(POSTGRES_DIALECT)]

export interface PostgresAccess {
  /** `postgresql://user:password@host:port/database`. */
  url: string
  /** Where the tables are; made when it is not there. */
  schema: string
}

/**
 * Connects, and brings the tables up to date: any number of processes may do so at once.
 * Errors: CONTROL_UNAVAILABLE, DATA_FORMAT_NEWER.
 */
export async function openPostgresDatabase(access: PostgresAccess): Promise<ControlDatabase> {
  const pool = createPool(access, {
    max: CONNECTIONS_MAX,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    application_name: 'weir-control',
  })
  try {
    await migrate(pool, access.schema)
    return new PostgresDatabase(pool)
  } catch (cause) {
    await pool.end()
    throw cause instanceof WeirError ? cause : unavailable(cause)
  }
}

/** A pool in the store's schema. Connects when it is asked first. */
export function createPool(access: PostgresAccess, limits: pg.PoolConfig): pg.Pool {
  const pool = new pg.Pool({
    ...limits,
    connectionString: access.url,
    options: `-c search_path=${pg.escapeIdentifier(access.schema)}`,
    types: { getTypeParser: parserOf },
  })
  // A connection that ends is replaced. An error that nobody hears would end the process.
  pool.on('error', () => undefined)
  pool.on('connect', (client) => client.on('error', () => undefined))
  return pool
}

/** All our integers are exact in a number. */
const parserOf = ((oid: number, format?: 'text') =>
  oid === INT8 ? Number : pg.types.getTypeParser(oid, format)) as typeof pg.types.getTypeParser

export const unavailable = (cause: unknown): WeirError =>
  // The driver's text names host and port, never the password.
  new WeirError('CONTROL_UNAVAILABLE', `PostgreSQL: ${messageOf(cause)}`, { cause })

/** Of several addresses that were tried the driver gives several errors and no text. */
function messageOf(cause: unknown): string {
  const { message, code } = cause as { message?: string; code?: string }
  return message === undefined || message === '' ? String(code) : message
}

async function migrate(pool: pg.Pool, schema: string): Promise<void> {
  const client = await pool.connect()
  try {
    await client.query('BEGIN')
    await client.query('SELECT pg_advisory_xact_lock($1)', [MIGRATION_LOCK])
    await client.query(`CREATE SCHEMA IF NOT EXISTS ${pg.escapeIdentifier(schema)}`)
    await client.query('CREATE TABLE IF NOT EXISTS control_version (version INTEGER NOT NULL)')
    const { rows } = await client.query<{ version: number }>('SELECT version FROM control_version')
    const version = rows[0]?.version ?? 0
    if (version > MIGRATIONS.length) {
      throw new WeirError(
        'DATA_FORMAT_NEWER',
        `PostgreSQL’s schema ${schema} has format ${version}; this version knows up to ${MIGRATIONS.length}`,
      )
    }
    for (const step of MIGRATIONS.slice(version)) await client.query(step)
    await client.query('DELETE FROM control_version')
    await client.query('INSERT INTO control_version VALUES ($1)', [MIGRATIONS.length])
    await client.query('COMMIT')
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined)
    throw error
  } finally {
    client.release()
  }
}

class PostgresDatabase implements ControlDatabase {
  readonly #pool: pg.Pool

  constructor(pool: pg.Pool) {
    this.#pool = pool
  }

  select(table: TableName, clauses: string, parameters: readonly SqlValue[]): Promise<SqlRow[]> {
    return this.#ask(`SELECT * FROM ${table} ${clauses}`, parameters)
  }

  async count(table: TableName, clauses: string, parameters: readonly SqlValue[]): Promise<number> {
    const [row] = await this.#ask(`SELECT count(*) AS count FROM ${table} ${clauses}`, parameters)
    return Number(row?.['count'])
  }

  async #ask(text: string, parameters: readonly SqlValue[]): Promise<SqlRow[]> {
    try {
      const { rows } = await this.#pool.query<SqlRow>(text, [...parameters])
      return rows
    } catch (cause) {
      throw unavailable(cause)
    }
  }

  async insert(table: TableName, values: SqlRow): Promise<SqlRow | undefined> {
    const names = Object.keys(values)
    const places = names.map((_, index) => `$${index + 1}`)
    const text = `INSERT INTO ${table} (${names.join(', ')}) VALUES (${places.join(', ')})
      ON CONFLICT DO NOTHING RETURNING *`
    try {
      const { rows } = await this.#pool.query<SqlRow>(text, Object.values(values))
      return rows[0]
    } catch (cause) {
      // The connection may have broken behind the commit: then the row is there.
      throw new WeirError('CONTROL_WRITE_FAILED', `PostgreSQL: ${messageOf(cause)}`, { cause })
    }
  }

  async close(): Promise<void> {
    if (!this.#pool.ending) await this.#pool.end()
  }
}
