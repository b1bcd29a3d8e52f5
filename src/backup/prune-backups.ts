/**
 * Removes the oldest backups of a place, and the pieces that none of those that stay needs. While
 * one is made there nobody may: what it finds there already, it does not put again.
 */
import { eachObject, type Objects } from '../objects/objects.ts'
import { listBackups, PIECES, readBackup, removeBackup } from './backup.ts'

export interface Pruned {
  /** Names, the oldest first. */
  removed: string[]
  kept: string[]
  pieces: number
  bytes: number
}

/**
 * The newest `keep` stay, at least one. Ended in between, it has removed some: what is listed is
 * whole all the same, and the next one removes the rest.
 * Errors: BACKUP_DAMAGED of one that stays (nothing is removed then), those of the store.
 */
export async function pruneBackups(objects: Objects, keep: number): Promise<Pruned> {
  if (!Number.isInteger(keep) || keep < 1) throw new RangeError('at least one backup stays')
  const names = await listBackups(objects)
  const kept = names.slice(-keep)
  const needed = new Set<string>()
  for (const name of kept) {
    const { files } = await readBackup(objects, name)
    for (const { pieces } of files) for (const { sha256 } of pieces) needed.add(sha256)
  }
  const removed = names.slice(0, -keep)
  // First what needs the pieces.
  for (const name of removed) await removeBackup(objects, name)
  const pruned: Pruned = { removed, kept, pieces: 0, bytes: 0 }
  for await (const { key, bytes } of eachObject(objects, PIECES)) {
    if (needed.has(key.slice(PIECES.length))) continue
    await objects.delete(key)
    pruned.pieces++
    pruned.bytes += bytes
  }
  return pruned
}
