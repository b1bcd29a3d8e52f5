/**
 * What both databases of a data folder need so that damage is found and named: errors that say
 * which file, checks of the structure at the start, and rows that carry checksums. Nothing here
 * heals.
 */
import type { DatabaseSync } from 'node:sqlite'
import { crc32 } from 'node:zlib'
import { WeirError } from '../errors/errors.ts'

export { addRowChecksums, isIntact, withCrc, type Row } from './checked-rows.ts'

const SQLITE_ERROR = 1
const SQLITE_CORRUPT = 11
const SQLITE_NOT_A_DATABASE = 26
const SQLITE_IO_ERROR = 10
const SQLITE_FULL = 13

/** The primary code of SQLite's error; 0 when it is another error. */
const codeOf = (error: unknown): number => ((error as { errcode?: number }).errcode ?? 0) & 0xff

export function damaged(path: string, problem: string, cause?: unknown): WeirError {
  return new WeirError(
    'DATA_FILE_DAMAGED',
    `${path} ${problem}`,
    cause === undefined ? {} : { cause },
  )
}

/** Turns what SQLite says of a damaged file into DATA_FILE_DAMAGED, and of a full disk likewise. */
export function guarded<Result>(path: string, action: () => Result): Result {
  try {
    return action()
  } catch (cause) {
    const { errcode } = cause as { errcode?: number }
    const problem = errcode === undefined ? String(cause) : `${String(cause)} (${errcode})`
    if (saysDamage(cause)) throw damaged(path, `is not a readable database: ${problem}`, cause)
    if (codeOf(cause) !== SQLITE_IO_ERROR && codeOf(cause) !== SQLITE_FULL) throw cause
    throw new WeirError('STORAGE_COMMIT_FAILED', `${path}: ${problem}`, { cause })
  }
}

const DAMAGE =
  /no such (table|column)|no column|duplicate column|already exists|unsupported file format/

/**
 * Our statements name tables and columns that were made: where one is missing, bits have flipped.
 */
function saysDamage(error: unknown): boolean {
  const code = codeOf(error)
  if (code === SQLITE_CORRUPT || code === SQLITE_NOT_A_DATABASE) return true
  return code === SQLITE_ERROR && DAMAGE.test(String(error))
}

/**
 * Costs 1.3 ms a MB. Values have checksums of their own; of indexes only the structure is seen,
 * unless `isThorough`, which costs ten times as much. Throws DATA_FILE_DAMAGED.
 */
export function checkStructure(database: DatabaseSync, path: string, isThorough = false): void {
  const check = isThorough ? 'integrity_check' : 'quick_check'
  const rows = database.prepare(`PRAGMA ${check}(1)`).all()
  const problem = Object.values(rows[0] ?? {})[0]
  if (problem !== 'ok') throw damaged(path, `is damaged: ${String(problem)}`)
}

/** A checksum of all tables and indexes, as they are declared. */
export const schemaCrc = (database: DatabaseSync): number =>
  crc32(JSON.stringify(database.prepare('SELECT * FROM sqlite_schema ORDER BY name').all()))

/**
 * Moves what was committed out of the write-ahead log. A damaged frame there takes all behind it
 * along, silently, so nothing should stay in it. When that fails (a full disk) nothing is lost.
 */
export function emptyWriteAheadLog(database: DatabaseSync): void {
  try {
    database.exec('PRAGMA wal_checkpoint(TRUNCATE)')
  } catch {
    // The next call tries again.
  }
}
