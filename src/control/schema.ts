/**
 * The control database: its tables, its version, and how a connection is opened.
 *
 * `user_version` is the format's version. Version 0 is an empty file. A newer one than this code
 * knows is refused untouched; older ones are carried forward step by step, each step in one
 * transaction with its version, so that a crash leaves one or the other.
 */
import { DatabaseSync } from 'node:sqlite'
import { WeirError } from '../errors/errors.ts'

/** `MIGRATIONS[n]` leads from version n to n + 1. Published steps never change. */
const MIGRATIONS = [
  `
  CREATE TABLE device (
    number INTEGER PRIMARY KEY AUTOINCREMENT, -- Dense, never reused: it stands in log entries.
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    type TEXT NOT NULL,
    location TEXT,
    tags TEXT NOT NULL, -- A JSON object of texts.
    parent TEXT,
    is_gateway INTEGER NOT NULL,
    created_at_us INTEGER NOT NULL,
    token_hash BLOB NOT NULL, -- SHA-256.
    UNIQUE (tenant, id)
  ) STRICT;
  CREATE UNIQUE INDEX device_by_token ON device (token_hash);
  CREATE TABLE admin_key (
    hash BLOB PRIMARY KEY, -- SHA-256.
    tenant TEXT NOT NULL,
    created_at_us INTEGER NOT NULL
  ) STRICT;
  `,
]

/**
 * How long a connection waits for another's lock. Writes take about 1 ms, so this is never near.
 */
const BUSY_TIMEOUT_MS = 5000

/**
 * Opens the writer's connection and brings the schema up to date.
 * Throws DATA_FORMAT_NEWER, or DATA_FILE_DAMAGED when the file is no SQLite database.
 */
export function openWriter(path: string): DatabaseSync {
  const database = guarded(path, () => new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS }))
  try {
    guarded(path, () => {
      // The version comes first: a newer file must not even be switched to WAL.
      const version = readVersion(database, path)
      // FULL: in WAL mode NORMAL may lose the last commits at a power cut, and a token is shown
      // once.
      database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL')
      for (let step = version; step < MIGRATIONS.length; step++) {
        database.exec(
          `BEGIN IMMEDIATE; ${MIGRATIONS[step]} PRAGMA user_version = ${step + 1}; COMMIT`,
        )
      }
    })
    return database
  } catch (error) {
    database.close()
    throw error
  }
}

/** Opens a further connection that only reads; the writer must have been opened before. */
export function openReader(path: string): DatabaseSync {
  return guarded(path, () => {
    const database = new DatabaseSync(path, { readOnly: true, timeout: BUSY_TIMEOUT_MS })
    readVersion(database, path)
    return database
  })
}

function readVersion(database: DatabaseSync, path: string): number {
  const row = database.prepare('PRAGMA user_version').get()
  const version = Number(row?.['user_version'])
  if (version <= MIGRATIONS.length) return version
  throw new WeirError(
    'DATA_FORMAT_NEWER',
    `${path} has format ${version}; this version knows up to ${MIGRATIONS.length}`,
  )
}

const SQLITE_CORRUPT = 11
const SQLITE_NOT_A_DATABASE = 26

function guarded<Result>(path: string, action: () => Result): Result {
  try {
    return action()
  } catch (cause) {
    const code = (cause as { errcode?: number }).errcode
    if (code !== SQLITE_CORRUPT && code !== SQLITE_NOT_A_DATABASE) throw cause
    throw new WeirError('DATA_FILE_DAMAGED', `${path} is not a readable database`, { cause })
  }
}
