/**
 * One process per data folder. The lock is SQLite's own on a file in the folder: the kernel gives
 * it back when the process ends, however it ends, so there is no stale lock to clear.
 */
import { DatabaseSync } from 'node:sqlite'
import { join } from 'node:path'
import { WeirError } from '../errors/errors.ts'

const SQLITE_BUSY = 5

/** The returned function gives the lock back. Throws DATA_FOLDER_LOCKED. */
export function lockFolder(folder: string): () => void {
  const path = join(folder, 'lock.db')
  const database = new DatabaseSync(path)
  try {
    // Nothing is ever written, so no file of a journal either: a full disk has no room for it.
    database.exec('PRAGMA journal_mode = MEMORY; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE;')
  } catch (cause) {
    database.close()
    if ((cause as { errcode?: number }).errcode !== SQLITE_BUSY) throw cause
    throw new WeirError('DATA_FOLDER_LOCKED', `${folder} is in use`, { cause })
  }
  return () => database.close()
}
