/**
 * A backup becomes a data folder: into a folder beside it, file by file, each durable, and in the
 * end under its name. So there is never half a data folder, whatever ends the process.
 */
import { dirname } from 'node:path'
import { WeirError } from '../errors/errors.ts'
import type { Objects } from '../objects/objects.ts'
import type { Disk } from '../world/world.ts'
import { restoreBackup, type Backup } from './backup.ts'

const unfinishedFolder = (folder: string): string => `${folder}.restoring`

/** Errors: RESTORE_TARGET_EXISTS, BACKUP_DAMAGED, those of store and disk. */
export async function restoreFolder({
  objects,
  backup,
  folder,
  disk,
  removeFolder,
  progress,
  finish,
}: {
  objects: Objects
  backup: Backup
  folder: string
  disk: Disk
  /** With all that is in it, if it is there. */
  removeFolder: (path: string) => Promise<void>
  progress: (bytesDone: number) => void
  /** Before it gets its name: what else belongs into it. */
  finish: (unfinished: string) => Promise<void>
}): Promise<void> {
  const isThere = (await disk.exists(folder)) && (await disk.list(folder)).length > 0
  if (isThere) throw new WeirError('RESTORE_TARGET_EXISTS', `${folder} is not empty`)
  const unfinished = unfinishedFolder(folder)
  await removeFolder(unfinished)
  await disk.makeFolder(unfinished)
  const folders = new Set<string>()
  let bytesDone = 0
  await restoreBackup(objects, backup, async ({ path }, piece, at) => {
    const target = targetOf(unfinished, path)
    const parent = dirname(target)
    if (!folders.has(parent)) await disk.makeFolder(parent)
    folders.add(parent)
    const file = await disk.open(target, 'create')
    try {
      await file.write(piece, at)
      await file.sync()
    } finally {
      await file.close()
    }
    bytesDone += piece.length
    progress(bytesDone)
  })
  await finish(unfinished)
  for (const parent of folders) await disk.syncFolder(parent)
  await disk.syncFolder(unfinished)
  await removeFolder(folder)
  await disk.rename(unfinished, folder)
  await disk.syncFolder(dirname(folder))
}

/** A backup may come from anywhere: none of its files may lie outside of the folder. */
function targetOf(folder: string, path: string): string {
  const isRight =
    path !== '' && path.split('/').every((part) => part !== '' && part !== '.' && part !== '..')
  if (isRight && !path.includes('\0') && !path.includes('\\')) return `${folder}/${path}`
  throw new WeirError('BACKUP_DAMAGED', `it names a file outside of the data folder: ${path}`)
}
