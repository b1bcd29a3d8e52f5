/**
 * One process per data folder. The lock is SQLite's own on a file in the folder: the kernel gives
 * it back when the process ends, however it ends, so there is no stale lock to clear.
 */
import { DatabaseSync } from 'node:sqlite'
import { join } from 'node:path'
import { WeirError } from '../errors/errors.ts'

/** The returned function gives the lock back. Throws DATA_FOLDER_LOCKED. */
export function lockFolder(folder: string): () => void {
  const database = new DatabaseSync(join(folder, 'lock.db'))
  try {
    database.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE;')
  } catch (cause) {
    database.close()
    throw new WeirError('DATA_FOLDER_LOCKED', `${folder} is in use`, { cause })
  }
  return () => database.close()
}
