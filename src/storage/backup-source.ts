/**
 * What storage gives to a backup: its files as they were behind one commit. Segments never change,
 * so they are read where they are and only kept from going; catalogue and state are copied.
 */
import type { SourceFile } from '../backup/backup.ts'
import { pathOfObject } from '../objects/objects.ts'
import type { Objects } from '../objects/objects.ts'
import type { Disk } from '../world/world.ts'
import type { Catalogue } from './catalogue.ts'
import type { SegmentSet } from './segment-set.ts'

/** Of copies, below the data folder. */
export const BACKUP_FOLDER = 'backup.tmp'
const COPY_BYTES = 4 << 20

/** Of a backup that a crash cut off. */
export async function removeCopies(disk: Disk, folder: string): Promise<void> {
  const copies = `${folder}/${BACKUP_FOLDER}`
  if (!(await disk.exists(copies))) return
  for (const file of await disk.list(copies)) await disk.remove(`${copies}/${file}`)
}

export interface BackupSource {
  files: SourceFile[]
  /** The first offset that none of the files has. */
  nextOffset: number
  release: () => Promise<void>
}

/** Called where no commit and no merge is under way. `folder` is the data folder. */
export async function takeSnapshot({
  folder,
  disk,
  catalogue,
  segments,
  coldFolder,
}: {
  folder: string
  disk: Disk
  catalogue: Catalogue
  segments: SegmentSet
  /** Where cold files are folders' files, and belong to the backup; undefined: in a bucket. */
  coldFolder: Objects | undefined
}): Promise<BackupSource> {
  const copies = `${folder}/${BACKUP_FOLDER}`
  await removeCopies(disk, folder)
  await disk.makeFolder(copies)
  const all = segments.all()
  const kept = all.filter((segment) => !segment.isCold || coldFolder !== undefined)
  const unpin = segments.pin(kept)
  const release = async (): Promise<void> => {
    unpin()
    await removeCopies(disk, folder)
  }
  try {
    await copyFile(disk, `${folder}/state.bin`, `${copies}/state.bin`)
    await catalogue.copyTo(`${copies}/catalogue.db`)
    const files = [
      await onDisk(disk, { path: 'catalogue.db', at: copies }),
      await onDisk(disk, { path: 'state.bin', at: copies }),
    ]
    for (const { file, bytes, crc, isCold } of kept) {
      // A file of a format without checksum has only its name.
      const version = crc === undefined ? undefined : String(crc)
      if (!isCold) {
        const path = `segments/${file}`
        files.push({ ...(await onDisk(disk, { path, at: folder })), bytes, version })
        continue
      }
      const read = (from: number, to: number) => coldFolder!.get(file, { from, to })
      files.push({ path: `cold/${pathOfObject(file)}`, bytes, version, read })
    }
    return { files, nextOffset: catalogue.coveredOffset + 1, release }
  } catch (error) {
    await release()
    throw error
  }
}

/** A file that is read piece by piece when its turn comes. */
export async function onDisk(
  disk: Disk,
  { path, at }: { path: string; at: string },
): Promise<SourceFile> {
  const file = await disk.open(`${at}/${path}`, 'read')
  const bytes = await file.size().finally(() => file.close())
  const read = async (from: number, to: number): Promise<Uint8Array> => {
    const open = await disk.open(`${at}/${path}`, 'read')
    try {
      const piece = new Uint8Array(to - from)
      const count = await open.read(piece, from)
      return piece.subarray(0, count)
    } finally {
      await open.close()
    }
  }
  return { path, bytes, version: undefined, read }
}

async function copyFile(disk: Disk, from: string, to: string): Promise<void> {
  const source = await disk.open(from, 'read')
  const target = await disk.open(to, 'create')
  try {
    const piece = new Uint8Array(COPY_BYTES)
    for (let at = 0; ;) {
      const count = await source.read(piece, at)
      if (count === 0) return
      await target.write(piece.subarray(0, count), at)
      at += count
    }
  } finally {
    await source.close()
    await target.close()
  }
}
