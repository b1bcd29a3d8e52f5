/** The control database on PostgreSQL. Its pages carry PostgreSQL's own checksums. */
import type pg from 'pg'
import { WeirError } from '../errors/errors.ts'
import {
  migrate as migrateTables,
  openPool,
  placeConfig,
  problemOf,
  type PostgresPlace,
} from '../postgres-client/postgres-client.ts'
import type { Change, ControlDatabase, SqlRow, SqlValue, TableName } from './database.ts'
import { makeChanges } from './postgres-changes.ts'
import {
  alertTables,
  definitionTable,
  firstTables,
  POSTGRES_DIALECT,
  SIGN_IN_TABLE,
} from './tables.ts'

const CONNECTIONS_MAX = 10
const CONNECT_TIMEOUT_MS = 5000
/** No statement here looks at more than a page of devices, but for the count. */
const STATEMENT_TIMEOUT_MS = 30_000

/** `MIGRATIONS[n]` leads from version n to n + 1. Published steps never change. */
const MIGRATIONS: readonly string[] = [
  firstTables(POSTGRES_DIALECT),
  SIGN_IN_TABLE,
  definitionTable(POSTGRES_DIALECT),
  alertTables(POSTGRES_DIALECT),
]

/**
 * Two that change the same rows in another order: PostgreSQL ends one, and it is made again. Each
 * time at least one gets through.
 */
const DEADLOCK = '40P01'
const TRIES_MAX = 10

/**
 * Connects, and brings the tables up to date: any number of processes may do so at once.
 * Errors: CONTROL_UNAVAILABLE, DATA_FORMAT_NEWER.
 */
export async function openPostgresDatabase(access: PostgresPlace): Promise<PostgresDatabase> {
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
export const createPool = (access: PostgresPlace, limits: pg.PoolConfig): pg.Pool =>
  openPool({ ...limits, ...placeConfig(access) })

export const unavailable = (cause: unknown): WeirError =>
  new WeirError('CONTROL_UNAVAILABLE', problemOf(cause), { cause })

async function migrate(pool: pg.Pool, schema: string): Promise<void> {
  const client = await pool.connect()
  try {
    await migrateTables(client, { schema, versionTable: 'control_version', steps: MIGRATIONS })
  } finally {
    client.release()
  }
}

class PostgresDatabase implements ControlDatabase {
  readonly pool: pg.Pool

  constructor(pool: pg.Pool) {
    this.pool = pool
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
      const { rows } = await this.pool.query<SqlRow>(text, [...parameters])
      return rows
    } catch (cause) {
      throw unavailable(cause)
    }
  }

  async insert(table: 'device' | 'admin_key', values: SqlRow): Promise<SqlRow | undefined> {
    const names = Object.keys(values)
    const places = names.map((_, index) => `$${index + 1}`)
    const text = `INSERT INTO ${table} (${names.join(', ')}) VALUES (${places.join(', ')})
      ON CONFLICT DO NOTHING RETURNING *`
    try {
      const { rows } = await this.pool.query<SqlRow>(text, Object.values(values))
      return rows[0]
    } catch (cause) {
      // The connection may have broken behind the commit: then the row is there.
      throw new WeirError('CONTROL_WRITE_FAILED', problemOf(cause), { cause })
    }
  }

  /**
   * One transaction. An UPDATE that waited for another one's row looks at its revision again, and
   * an INSERT that waited for another one's key finds it taken.
   */
  async write(changes: readonly Change[]): Promise<boolean> {
    for (let tries = 1; ; tries++) {
      try {
        return await this.#writeOnce(changes)
      } catch (cause) {
        if ((cause as { code?: string }).code === DEADLOCK && tries < TRIES_MAX) continue
        // The connection may have broken behind the commit: then it is written.
        throw new WeirError('CONTROL_WRITE_FAILED', problemOf(cause), { cause })
      }
    }
  }

  async #writeOnce(changes: readonly Change[]): Promise<boolean> {
    const client = await this.pool.connect()
    let isBroken = true
    try {
      await client.query('BEGIN')
      const isDone = await makeChanges(client, changes)
      await client.query(isDone ? 'COMMIT' : 'ROLLBACK')
      isBroken = false
      return isDone
    } finally {
      // A connection in the middle of a transaction is not given to anybody else.
      client.release(isBroken)
    }
  }

  async close(): Promise<void> {
    if (!this.pool.ending) await this.pool.end()
  }
}
