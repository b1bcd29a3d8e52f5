/**
 * Which ranges of devices the stores of an installation have: one row at `postgres.url`, so that a
 * process with another list is found out before it writes to a store, or asks one, that is not the
 * device's. Addresses are not in it: they hold passwords, and change when a server moves.
 *
 * Each call has a connection of its own: it is asked at a start, and then now and then.
 */
import pg from 'pg'
import type { PostgresPlace } from '../postgres-client/postgres-client.ts'
import { connectionConfig, unavailable } from './connections.ts'
import { migrate } from './schema.ts'

const PARAMETERS = { statement_timeout: 10_000 }
/** A server that is cut off answers nothing. */
const ANSWER_MS_MAX = 15_000

const RECORD = 'INSERT INTO store_list (ranges) VALUES ($1) ON CONFLICT DO NOTHING'
const REPLACE = `
  INSERT INTO store_list AS known (ranges) VALUES ($1)
  ON CONFLICT (is_only) DO UPDATE SET ranges = excluded.ranges
  RETURNING (SELECT ranges FROM store_list) AS ranges`

const CONFIRM = `
  INSERT INTO exported AS known (before_us) VALUES ($1)
  ON CONFLICT (is_only) DO UPDATE SET before_us = greatest(known.before_us, excluded.before_us)`

/**
 * What is recorded; where nothing is, `ranges` from now on. Of several that record at once all get
 * the first one's. Makes or updates the tables. Errors: STORAGE_UNAVAILABLE, DATA_FORMAT_NEWER.
 */
export function recordedStores(place: PostgresPlace, ranges: string): Promise<string> {
  return connected(place, async (client) => {
    await migrate(client, place.schema)
    await client.query(RECORD, [ranges])
    return (await read(client))!
  })
}

/** What is recorded now. Errors: STORAGE_UNAVAILABLE. */
export const currentStores = (place: PostgresPlace): Promise<string | undefined> =>
  connected(place, read)

async function read(client: pg.Client): Promise<string | undefined> {
  const { rows } = await client.query<{ ranges: string }>('SELECT ranges FROM store_list')
  return rows[0]?.ranges
}

/**
 * Readings of before `beforeUs` were copied elsewhere, and may be deleted when their age is over.
 * Never goes back. Errors: STORAGE_UNAVAILABLE.
 */
export async function confirmExported(place: PostgresPlace, beforeUs: number): Promise<void> {
  const values = [Math.floor(beforeUs)]
  await connected(place, (client) => client.query(CONFIRM, values))
}

/** Records `ranges` instead of what was there, which it returns. Errors: as recordedStores. */
export function replaceStores(place: PostgresPlace, ranges: string): Promise<string | undefined> {
  return connected(place, async (client) => {
    await migrate(client, place.schema)
    const { rows } = await client.query<{ ranges: string | null }>(REPLACE, [ranges])
    return rows[0]?.ranges ?? undefined
  })
}

async function connected<T>(
  place: PostgresPlace,
  run: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const client = new pg.Client({
    ...connectionConfig(place, PARAMETERS),
    query_timeout: ANSWER_MS_MAX,
    application_name: 'weir-stores',
  })
  client.on('error', () => undefined)
  try {
    await client.connect()
    return await run(client)
  } catch (cause) {
    throw unavailable(cause)
  } finally {
    await client.end().catch(() => undefined)
  }
}
