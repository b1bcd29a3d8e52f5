/**
 * Whole objects as files of a folder of this machine, for readers that know files only. They stay
 * for the next reader, as long as there is room.
 *
 * C1 What is lent is whole, has the checksum that was said, and stays until it is given back.
 * C2 Files together never have more than `bytesMax`: what nobody has goes, least recently used
 *    first. Who asks for more at once is refused; who asks while others have too much waits.
 * C3 An object is fetched once, however many ask for it. What failed is tried again by the next.
 * C4 A copy of an object that is no longer current goes when it is given back, or by sweep().
 */
import { crc32 } from 'node:zlib'
import { WeirError } from '../errors/errors.ts'
import type { Disk } from '../world/world.ts'
import type { Objects } from './objects.ts'

/** Of one request: what is in memory of an object that is fetched. */
const PIECE_BYTES = 8 << 20
/** Objects that are fetched at once for one who asks. */
const AT_ONCE = 4

export interface CopiedObject {
  key: string
  bytes: number
  /** CRC32 of the whole. */
  crc: number
}

export interface LentCopies {
  /** In the order in which they were asked for. */
  paths: string[]
  /** Once. */
  giveBack: () => void
}

export interface ObjectCopiesParts {
  objects: Pick<Objects, 'get'>
  disk: Disk
  /** It is there, empty, and nobody else can look into it. */
  folder: string
  bytesMax: number
  /** False: nobody will ask for it again, and what it holds may have been erased. */
  isCurrent: (key: string) => boolean
}

interface Copy extends CopiedObject {
  path: string
  /** Who has it, or waits for it, or fetches it. */
  users: number
  /** Undefined until somebody begins. */
  fetched: Promise<void> | undefined
}

export class ObjectCopies {
  readonly #parts: ObjectCopiesParts
  /** By key, in the order of their last use. */
  readonly #copies = new Map<string, Copy>()
  readonly #waiting = new Set<() => void>()
  #numbers = 0

  constructor(parts: ObjectCopiesParts) {
    this.#parts = parts
  }

  /**
   * All of them at once, each key once. Errors: QUERY_LIMIT_EXCEEDED for their bytes, those of
   * Objects.get(), DATA_FILE_DAMAGED, what the disk throws, the signal's reason.
   */
  async lend(wanted: readonly CopiedObject[], signal?: AbortSignal): Promise<LentCopies> {
    const { bytesMax } = this.#parts
    const bytes = sizeOf(wanted)
    if (bytes > bytesMax) throw tooLarge(wanted.length, bytes, bytesMax)
    while (this.#usedBeside(wanted) + bytes > bytesMax) await this.#givenBack(signal)
    signal?.throwIfAborted()
    const copies = wanted.map((one) => this.#use(one))
    const giveBack = (): void => copies.forEach((copy) => this.#leave(copy))
    try {
      await this.#makeRoom()
      await this.#fetchAll(copies, signal)
    } catch (error) {
      giveBack()
      throw error
    }
    return { paths: copies.map(({ path }) => path), giveBack }
  }

  /** Bytes of what others use. */
  #usedBeside(wanted: readonly CopiedObject[]): number {
    const own = new Set(wanted.map(({ key }) => key))
    const used = [...this.#copies.values()].filter(({ key, users }) => users > 0 && !own.has(key))
    return sizeOf(used)
  }

  #givenBack(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const wake = (): void => {
        this.#waiting.delete(wake)
        signal?.removeEventListener('abort', leave)
        resolve()
      }
      const leave = (): void => {
        this.#waiting.delete(wake)
        reject(signal!.reason as Error)
      }
      if (signal?.aborted === true) return leave()
      this.#waiting.add(wake)
      signal?.addEventListener('abort', leave, { once: true })
    })
  }

  #use(one: CopiedObject): Copy {
    const known = this.#copies.get(one.key)
    const path = `${this.#parts.folder}/object-${this.#numbers++}.parquet`
    const copy: Copy = known ?? { ...one, path, users: 0, fetched: undefined }
    copy.users++
    this.#copies.delete(one.key)
    this.#copies.set(one.key, copy)
    return copy
  }

  #leave(copy: Copy): void {
    copy.users--
    void this.#drop(copy)
    for (const wake of this.#waiting) wake()
  }

  /** What is lent goes later. */
  async sweep(): Promise<void> {
    await Promise.all(Array.from(this.#copies.values(), (copy) => this.#drop(copy)))
  }

  /** Unless somebody has it, or may ask for it. */
  async #drop(copy: Copy): Promise<void> {
    if (copy.users > 0 || this.#parts.isCurrent(copy.key)) return
    if (this.#copies.get(copy.key) === copy) this.#copies.delete(copy.key)
    await this.#remove(copy.path)
  }

  async #makeRoom(): Promise<void> {
    let bytes = sizeOf(this.#copies.values())
    const going: Copy[] = []
    for (const copy of this.#copies.values()) {
      if (bytes <= this.#parts.bytesMax) break
      if (copy.users > 0) continue
      bytes -= copy.bytes
      going.push(copy)
      this.#copies.delete(copy.key)
    }
    await Promise.all(going.map(({ path }) => this.#remove(path)))
  }

  async #fetchAll(copies: readonly Copy[], signal: AbortSignal | undefined): Promise<void> {
    const waiting = copies.values()
    let hasFailed = false
    const lane = async (): Promise<void> => {
      for (const copy of waiting) {
        if (hasFailed) return
        signal?.throwIfAborted()
        copy.fetched ??= this.#fetch(copy)
        await copy.fetched.catch((error: unknown) => {
          hasFailed = true
          throw error
        })
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, lane))
  }

  /** Goes on when its first user goes: others may wait for it. */
  async #fetch(copy: Copy): Promise<void> {
    copy.users++
    try {
      await this.#write(copy)
    } catch (error) {
      if (this.#copies.get(copy.key) === copy) this.#copies.delete(copy.key)
      await this.#remove(copy.path)
      throw error
    } finally {
      this.#leave(copy)
    }
  }

  async #write({ key, bytes, crc, path }: Copy): Promise<void> {
    const { objects, disk } = this.#parts
    const file = await disk.open(path, 'create')
    try {
      // What somebody left under this name may be longer.
      await file.truncate(0)
      let sum = 0
      for (let from = 0; from < bytes; from += PIECE_BYTES) {
        const to = Math.min(bytes, from + PIECE_BYTES)
        const piece = await objects.get(key, { from, to }).catch((cause: unknown) => {
          throw named(cause, key)
        })
        if (piece.length !== to - from) throw damaged(key, `it ends at ${from + piece.length}`)
        sum = crc32(piece, sum)
        await file.write(piece, from)
      }
      if (sum !== crc) throw damaged(key, 'it fails its checksum')
    } finally {
      await file.close()
    }
  }

  async #remove(path: string): Promise<void> {
    await this.#parts.disk.remove(path).catch(() => undefined)
  }
}

const sizeOf = (all: Iterable<{ bytes: number }>): number => {
  let sum = 0
  for (const { bytes } of all) sum += bytes
  return sum
}

/** With the object's key. */
const named = (cause: unknown, key: string): unknown =>
  cause instanceof WeirError
    ? new WeirError(cause.code, cause.message, { details: { ...cause.details, key }, cause })
    : cause

const damaged = (key: string, problem: string): WeirError =>
  new WeirError('DATA_FILE_DAMAGED', `${key} in the object store: ${problem}`)

const tooLarge = (count: number, bytes: number, bytesMax: number): WeirError =>
  new WeirError(
    'QUERY_LIMIT_EXCEEDED',
    `It needs ${count} files of the bucket with ${bytes} bytes, more than ${bytesMax}: narrow ts, device_id or metric`,
    { details: { limit: bytesMax } },
  )
