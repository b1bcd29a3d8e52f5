/**
 * The control database: its tables, its version, and how a connection is opened.
 *
 * `user_version` is the format's version. Version 0 is an empty file. A newer one than this code
 * knows is refused untouched; older ones are carried forward step by step, each step in one
 * transaction with its version, so that a crash leaves one or the other.
 */
import { DatabaseSync } from 'node:sqlite'
import { WeirError } from '../errors/errors.ts'
import {
  addRowChecksums,
  checkStructure,
  damaged,
  emptyWriteAheadLog,
  guarded,
  schemaCrc,
} from '../sqlite/sqlite.ts'
import { WRITTEN_KEYS, type WrittenTable } from './database.ts'
import {
  ALERT_TABLES,
  alertTables,
  definitionTable,
  firstTables,
  SQLITE_DIALECT,
} from './tables.ts'

type Step = (database: DatabaseSync) => void

/** `MIGRATIONS[n]` leads from version n to n + 1. Published steps never change. */
const MIGRATIONS: readonly Step[] = [
  createTables,
  addChecksums,
  (database) => addTables(database, definitionTable(SQLITE_DIALECT), ['definition']),
  (database) => addTables(database, alertTables(SQLITE_DIALECT), ALERT_TABLES),
]

function createTables(database: DatabaseSync): void {
  database.exec(firstTables(SQLITE_DIALECT))
}

/** A row of each table knows its checksum, and `meta` the one of the tables themselves. */
function addChecksums(database: DatabaseSync): void {
  addRowChecksums(database, 'device', ['number'])
  addRowChecksums(database, 'admin_key', ['hash'])
  database.exec('CREATE TABLE meta (schema_crc INTEGER NOT NULL) STRICT')
  database.prepare('INSERT INTO meta VALUES (?)').run(schemaCrc(database))
}

/** Tables whose rows have checksums from the first one on. */
function addTables(database: DatabaseSync, text: string, tables: readonly WrittenTable[]): void {
  database.exec(text)
  for (const table of tables) addRowChecksums(database, table, WRITTEN_KEYS[table])
  database.prepare('UPDATE meta SET schema_crc = ?').run(schemaCrc(database))
}

/**
 * How long a connection waits for another's lock. Writes take about 1 ms, so this is never near.
 */
const BUSY_TIMEOUT_MS = 5000

/** Up to this size the indexes are compared with their tables, too: 80 ms. */
const THOROUGH_BYTES_MAX = 8 << 20

/**
 * Opens the writer's connection, checks the file, and brings the schema up to date. With
 * `mustExist`, other files of the folder show that there was one.
 * Throws DATA_FORMAT_NEWER and DATA_FILE_DAMAGED.
 */
export function openWriter(path: string, { mustExist }: { mustExist: boolean }): DatabaseSync {
  return guarded(path, () => {
    const database = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS })
    try {
      // The version comes first: a newer file must not even be switched to WAL.
      const version = readVersion(database, path)
      if (version === 0 && mustExist) {
        throw damaged(path, 'is missing or empty, though other files of the folder are not')
      }
      // FULL: in WAL mode NORMAL may lose the last commits at a power cut, and a token is shown
      // once.
      database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL')
      // Of a recipient that was removed no secret is left in the file's free space.
      database.exec('PRAGMA secure_delete = ON')
      checkStructure(database, path, sizeOf(database) <= THOROUGH_BYTES_MAX)
      migrate(database, version)
      checkSchema(database, path)
      emptyWriteAheadLog(database)
      return database
    } catch (error) {
      database.close()
      throw error
    }
  })
}

function sizeOf(database: DatabaseSync): number {
  const pragma = (name: string): number =>
    Number(Object.values(database.prepare(`PRAGMA ${name}`).get() ?? {})[0])
  return pragma('page_count') * pragma('page_size')
}

function migrate(database: DatabaseSync, version: number): void {
  for (let from = version; from < MIGRATIONS.length; from++) {
    database.exec('BEGIN IMMEDIATE')
    try {
      MIGRATIONS[from]!(database)
      database.exec(`PRAGMA user_version = ${from + 1}; COMMIT`)
    } catch (error) {
      if (database.isTransaction) database.exec('ROLLBACK')
      throw error
    }
  }
}

function checkSchema(database: DatabaseSync, path: string): void {
  const row = database.prepare('SELECT schema_crc FROM meta').get()
  if (row?.['schema_crc'] === schemaCrc(database)) return
  throw damaged(path, 'has other tables than those that were made')
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
  if (version >= 0 && version <= MIGRATIONS.length) return version
  throw new WeirError(
    'DATA_FORMAT_NEWER',
    `${path} has format ${version}; this version knows up to ${MIGRATIONS.length}`,
  )
}
