/** Files of statements of SQL, on the storage's thread: they stay until a statement is done. */
import { WeirError } from '../errors/errors.ts'
import { ObjectCopies, type CopiedObject } from '../objects/object-copies.ts'
import { pathOfObject, type Objects } from '../objects/objects.ts'
import type { EmbeddedStorage } from '../storage/embedded-storage.ts'
import type { Segment } from '../storage/segment-set.ts'
import {
  SQL_FOLDER,
  type ColdPaths,
  type SqlFiles,
  type SqlQuestion,
} from '../storage/sql-files.ts'
import type { Disk } from '../world/world.ts'
import { isoTime } from './iso-time.ts'

export interface StatementFilesParts {
  storage: Pick<EmbeddedStorage, 'sqlFiles' | 'isNamed'>
  /** The data folder. */
  folder: string
  disk: Disk
  /** Where cold files are: a bucket, or a folder of this machine. */
  objects: Objects
  isBucket: boolean
  /** Of copies of a bucket's files. */
  bytesMax: number
}

export class StatementFiles {
  readonly #parts: StatementFilesParts
  readonly #copies: ObjectCopies
  readonly #releases = new Map<number, () => void>()
  #next = 0

  constructor(parts: StatementFilesParts) {
    this.#parts = parts
    const folder = `${parts.folder}/${SQL_FOLDER}`
    this.#copies = new ObjectCopies({ ...parts, folder, isCurrent: parts.storage.isNamed })
  }

  /** Errors: QUERY_LIMIT_EXCEEDED, OBJECT_FROZEN, DATA_FILE_DAMAGED, and those of the bucket. */
  async open(
    question: SqlQuestion,
    signal?: AbortSignal,
  ): Promise<{ id: number; files: Omit<SqlFiles, 'release'> }> {
    const { storage, folder, isBucket } = this.#parts
    const paths: ColdPaths = isBucket ? (files) => this.#lend(files, signal) : this.#inPlace
    const { release, ...files } = await storage.sqlFiles(folder, paths, question)
    const id = this.#next++
    this.#releases.set(id, release)
    return { id, files }
  }

  /** Copies of what was erased go; those of a statement that runs with it. */
  sweep(): Promise<void> {
    return this.#copies.sweep()
  }

  close(id: number): void {
    this.#releases.get(id)?.()
    this.#releases.delete(id)
  }

  readonly #inPlace: ColdPaths = async (files) => ({
    paths: files.map(({ file }) => `${this.#parts.folder}/cold/${pathOfObject(file)}`),
    release: () => {},
  })

  async #lend(files: readonly Segment[], signal: AbortSignal | undefined): ReturnType<ColdPaths> {
    const wanted = files.map(({ file, bytes, crc }): CopiedObject => ({
      key: file,
      bytes,
      crc: crc!,
    }))
    try {
      const { paths, giveBack } = await this.#copies.lend(wanted, signal)
      return { paths, release: giveBack }
    } catch (error) {
      throw toldOf(error, files)
    }
  }
}

/** An answer without some of its readings would look like one with all. */
function toldOf(error: unknown, files: readonly Segment[]): unknown {
  if (!(error instanceof WeirError)) return error
  if (error.code === 'OBJECT_MISSING') {
    return new WeirError('DATA_FILE_DAMAGED', `the object store has it not: ${error.message}`)
  }
  if (error.code !== 'OBJECT_FROZEN') return error
  const file = files.find(({ file }) => file === error.details['key'])
  if (file === undefined) return error
  const [from, to] = [file.minTimeUs, file.maxTimeUs].map(isoTime)
  const detail = `Readings of ${from} to ${to} are in the archive of the bucket: leave them out by ts, device_id or metric, or ask for them back`
  return new WeirError('OBJECT_FROZEN', detail, { cause: error })
}
