/** The gateway's reader of a registry in PostgreSQL. */
import type pg from 'pg'
import type { PostgresPlace } from '../postgres-client/postgres-client.ts'
import type { Clock } from '../world/world.ts'
import type { DeviceRow } from './device-row.ts'
import { createPool, unavailable } from './postgres-database.ts'
import {
  REMOTE_READER_DEFAULTS,
  RemoteDeviceReader,
  type DeviceSource,
  type RemoteReaderOptions,
} from './remote-device-reader.ts'

// Prepared once a connection: a column that a later version adds must not change its result.
const QUESTION = `
  SELECT number, tenant, id, type, location, tags, parent, is_gateway, created_at_us, token_hash
  FROM device WHERE tenant = $1 AND id = ANY($2)`

/**
 * Does not connect before it is asked, and needs no registry to begin with: a gateway may start
 * while it is away. The tables are made by `openPostgresControl`.
 */
export function openPostgresDeviceReader({
  access,
  world,
  options = {},
}: {
  access: PostgresPlace
  world: { clock: Clock }
  options?: Partial<RemoteReaderOptions>
}): RemoteDeviceReader {
  const { questionsMax, timeoutMs } = { ...REMOTE_READER_DEFAULTS, ...options }
  // The first half for a connection, if there is none; the second for the answer.
  const halfMs = Math.ceil(timeoutMs / 2)
  const pool = createPool(access, {
    max: questionsMax,
    connectionTimeoutMillis: halfMs,
    statement_timeout: halfMs,
    // A server that is cut off answers nothing, not even that.
    query_timeout: halfMs,
    application_name: 'weir-gateway',
  })
  return new RemoteDeviceReader(new PostgresDevices(pool), world.clock, options)
}

class PostgresDevices implements DeviceSource {
  readonly #pool: pg.Pool

  constructor(pool: pg.Pool) {
    this.#pool = pool
  }

  async ask(tenant: string, ids: readonly string[]): Promise<DeviceRow[]> {
    try {
      const { rows } = await this.#pool.query<DeviceRow>({
        ...{ name: 'devices', text: QUESTION, values: [tenant, ids] },
      })
      return rows
    } catch (cause) {
      throw unavailable(cause)
    }
  }

  async close(): Promise<void> {
    if (!this.#pool.ending) await this.#pool.end()
  }
}
