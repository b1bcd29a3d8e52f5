/**
 * Backups: the files of a data folder, as they were at one moment, in an object store (a folder or
 * a bucket), and back from there.
 *
 *   pieces/<sha256>       stretches of files, each once, whatever is in how many backups
 *   backups/<time>.json   a backup: which pieces make which files. Put last: it is the commit
 *
 * B1 writeBackup() resolves once everything is durable in the store. One that ended in between is
 *    no backup; what it has put is used by the next.
 * B2 A file that is as it was in the newest backup is not read again.
 * B3 restoreBackup() gives back every file byte for byte, or throws BACKUP_DAMAGED; nothing of it
 *    counts before all is there.
 */
import { createHash } from 'node:crypto'
import { WeirError } from '../errors/errors.ts'
import { eachObject, type Objects } from '../objects/objects.ts'
import type { Clock } from '../world/world.ts'

const FORMAT = 1
const PIECE_BYTES = 32 << 20
const BACKUPS = 'backups/'
export const PIECES = 'pieces/'

/** A file that does not change while it is read. */
export interface SourceFile {
  /** Below the data folder. */
  path: string
  bytes: number
  /** Two files of one path with the same are the same; undefined: it must be read to know. */
  version: string | undefined
  read: (from: number, to: number) => Promise<Uint8Array>
}

interface BackupFile {
  path: string
  bytes: number
  version: string | undefined
  pieces: { sha256: string; bytes: number }[]
}

export interface Backup {
  format: number
  /** RFC 3339. */
  createdAt: string
  /** What the restored folder's log begins with. */
  nextOffset: number
  files: BackupFile[]
}

export interface BackupProgress {
  filesDone: number
  filesTotal: number
  bytesDone: number
  bytesTotal: number
  /** Of these, put now; the others were there from backups before. */
  bytesCopied: number
}

/** Returns the backup's name. Errors: OBJECTS_UNAVAILABLE, OBJECTS_REFUSED, what reading throws. */
export async function writeBackup({
  objects,
  files,
  nextOffset,
  clock,
  progress,
}: {
  objects: Objects
  files: readonly SourceFile[]
  nextOffset: number
  clock: Clock
  progress: (progress: BackupProgress) => void
}): Promise<string> {
  const newest = (await listBackups(objects)).at(-1)
  const before = newest === undefined ? undefined : await readBackup(objects, newest)
  const known = new Map(before?.files.map((file) => [keyOf(file), file]))
  const done: BackupProgress = {
    ...{ filesDone: 0, filesTotal: files.length, bytesDone: 0, bytesCopied: 0 },
    bytesTotal: files.reduce((sum, { bytes }) => sum + bytes, 0),
  }
  const stored: BackupFile[] = []
  for (const file of files) {
    const same = file.version === undefined ? undefined : known.get(keyOf(file))
    const { pieces, copied } =
      same === undefined ? await putPieces(objects, file) : { pieces: same.pieces, copied: 0 }
    stored.push({ path: file.path, bytes: file.bytes, version: file.version, pieces })
    done.filesDone++
    done.bytesDone += file.bytes
    done.bytesCopied += copied
    progress({ ...done })
  }
  const createdAt = new Date(clock.nowUs() / 1000).toISOString()
  const backup: Backup = { format: FORMAT, createdAt, nextOffset, files: stored }
  const name = createdAt.replaceAll(/[-:]/g, '')
  const bytes = Buffer.from(JSON.stringify(backup))
  await objects.put(backupKey(name), bytes, { ifAbsent: true })
  return name
}

const keyOf = ({ path, bytes, version }: Pick<BackupFile, 'path' | 'bytes' | 'version'>): string =>
  JSON.stringify([path, bytes, version])

const pieceKey = (sha256: string): string => `${PIECES}${sha256}`

const backupKey = (name: string): string => `${BACKUPS}${name}.json`

const hashOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

async function putPieces(
  objects: Objects,
  file: SourceFile,
): Promise<{ pieces: BackupFile['pieces']; copied: number }> {
  const pieces: BackupFile['pieces'] = []
  let copied = 0
  for (let from = 0; from < file.bytes; from += PIECE_BYTES) {
    const bytes = await file.read(from, Math.min(file.bytes, from + PIECE_BYTES))
    const sha256 = hashOf(bytes)
    pieces.push({ sha256, bytes: bytes.length })
    const there = await objects.head(pieceKey(sha256))
    if (there?.bytes === bytes.length) continue
    await objects.put(pieceKey(sha256), bytes)
    copied += bytes.length
  }
  return { pieces, copied }
}

/** Names, the oldest first. */
export async function listBackups(objects: Objects): Promise<string[]> {
  const names: string[] = []
  for await (const { key } of eachObject(objects, BACKUPS)) {
    names.push(key.slice(BACKUPS.length).replace(/\.json$/, ''))
  }
  return names
}

/** Its pieces stay. */
export const removeBackup = (objects: Objects, name: string): Promise<void> =>
  objects.delete(backupKey(name))

/** Errors: BACKUP_MISSING, BACKUP_DAMAGED, DATA_FORMAT_NEWER. */
export async function readBackup(objects: Objects, name: string): Promise<Backup> {
  const bytes = await objects.get(backupKey(name)).catch((error: WeirError) => {
    if (error.code !== 'OBJECT_MISSING') throw error
    throw new WeirError('BACKUP_MISSING', `there is no backup ${name}`)
  })
  let backup: Backup
  try {
    backup = JSON.parse(Buffer.from(bytes).toString()) as Backup
  } catch (cause) {
    throw new WeirError('BACKUP_DAMAGED', `${name} cannot be read`, { cause })
  }
  if (backup.format > FORMAT) {
    throw new WeirError('DATA_FORMAT_NEWER', `the backup ${name} has format ${backup.format}`)
  }
  return backup
}

/** Hands out every file's pieces in order. Errors: BACKUP_DAMAGED, and those of the store. */
export async function restoreBackup(
  objects: Objects,
  backup: Backup,
  write: (file: { path: string; bytes: number }, piece: Uint8Array, at: number) => Promise<void>,
): Promise<void> {
  for (const file of backup.files) {
    let at = 0
    for (const { sha256, bytes } of file.pieces) {
      const piece = await objects.get(pieceKey(sha256)).catch((error: WeirError) => {
        if (error.code !== 'OBJECT_MISSING') throw error
        throw new WeirError('BACKUP_DAMAGED', `a piece of ${file.path} is gone: ${sha256}`)
      })
      if (piece.length !== bytes || hashOf(piece) !== sha256) {
        throw new WeirError('BACKUP_DAMAGED', `a piece of ${file.path} is not what was put`)
      }
      await write(file, piece, at)
      at += bytes
    }
    if (at !== file.bytes) {
      throw new WeirError('BACKUP_DAMAGED', `${file.path} has ${at} bytes, not ${file.bytes}`)
    }
  }
}
