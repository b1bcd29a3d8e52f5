/**
 * Makes the next segment ahead of need, from a recycled file or a new one.
 *
 * A file goes through its states by renames, each durable before the next step begins:
 *   spare (right size, contents of no meaning)  →  header written and synced  →  segment
 *   segment  →  trimmed: spare, or removed when there are enough spares
 * So a file named `.segment` always had a durable header, and a power cut at any step leaves either
 * a spare or an empty segment, which the next open makes a spare.
 *
 * A sequence is never used twice for a segment that holds entries, and the salt is derived from it:
 * what a recycled file held before is never taken for new. With randomness the salt is also a
 * secret: nobody can hide a forged entry in a payload for the search behind a torn one to find.
 */
import { join } from 'node:path'
import { WeirError } from '../errors/errors.ts'
import type { Disk, Random } from '../world/world.ts'
import {
  SEGMENT_SUFFIX,
  SPARE_SUFFIX,
  blankSegment,
  encodeSegmentHeader,
  fileName,
  type Segment,
} from './segment.ts'

export interface PoolSettings {
  disk: Disk
  random: Random | undefined
  folder: string
  segmentBytes: number
  /** Files kept for reuse; more are removed. */
  sparesMax: number
}

export class SegmentPool {
  readonly #settings: PoolSettings
  readonly #spares: string[]
  #nextSequence: number
  #prepared: Promise<Segment> | undefined
  #keepsSpares = true
  /** File work goes one after the other; appends never wait for it, unless they need a segment. */
  #work: Promise<unknown> = Promise.resolve()

  constructor(settings: PoolSettings, state: { spares: string[]; nextSequence: number }) {
    this.#settings = settings
    this.#spares = state.spares
    this.#nextSequence = state.nextSequence
  }

  /** Spares and the prepared segment. */
  get fileCount(): number {
    return this.#spares.length + (this.#prepared === undefined ? 0 : 1)
  }

  /** An empty, durable segment. Throws LOG_DISK_FULL, or what the disk threw. */
  take(): Promise<Segment> {
    this.prepareAhead()
    const prepared = this.#prepared!
    this.#prepared = undefined
    return prepared
  }

  /** Begins to make the next segment. A failure is shown to the next take() that waits for it. */
  prepareAhead(): void {
    if (this.#prepared !== undefined) return
    const prepared = this.#enqueue(() => this.#prepare())
    this.#prepared = prepared
    prepared.catch(() => {
      if (this.#prepared === prepared) this.#prepared = undefined
    })
  }

  /** Frees a segment's file. Resolves once that is durable. */
  recycle(segment: Segment): Promise<void> {
    return this.#enqueue(async () => {
      const { disk, folder, segmentBytes, sparesMax } = this.#settings
      const bytes = await segment.file.size()
      await segment.file.close()
      const path = join(folder, segment.name)
      const spare = fileName(segment.sequence, SPARE_SUFFIX)
      const hasRoom = this.#keepsSpares && this.#spares.length < sparesMax
      const isKept = hasRoom && bytes === segmentBytes
      await (isKept ? disk.rename(path, join(folder, spare)) : disk.remove(path))
      await disk.syncFolder(folder)
      if (isKept) this.#spares.push(spare)
    })
  }

  /**
   * Until keepSpares() each file is made anew, so that it holds nothing of another. Resolves once
   * those that are kept, and the one made ahead, are gone for good.
   */
  dropSpares(): Promise<void> {
    this.#keepsSpares = false
    const ahead = this.#prepared
    this.#prepared = undefined
    return this.#enqueue(async () => {
      const { disk, folder } = this.#settings
      const prepared = await ahead?.catch(() => undefined)
      await prepared?.file.close()
      const names = this.#spares.splice(0).concat(prepared?.name ?? [])
      for (const name of names) await disk.remove(join(folder, name))
      await disk.syncFolder(folder)
    })
  }

  /** What is trimmed from now on is kept again; what was trimmed before is gone then. */
  keepSpares(): Promise<void> {
    return this.#enqueue(async () => {
      this.#keepsSpares = true
    })
  }

  async close(): Promise<void> {
    const prepared = await this.#prepared?.catch(() => undefined)
    await this.#work
    await prepared?.file.close()
  }

  #enqueue<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#work.then(work)
    this.#work = result.catch(() => undefined)
    return result
  }

  async #prepare(): Promise<Segment> {
    const { disk, folder, random, segmentBytes } = this.#settings
    const sequence = this.#nextSequence++
    const spare = this.#spares.pop() ?? (await this.#makeSpare(sequence))
    const name = fileName(sequence, SEGMENT_SUFFIX)
    const salt = random === undefined ? sequence : integerOf(random.bytes(6))
    const file = await disk.open(join(folder, spare), 'write')
    try {
      await file.write(encodeSegmentHeader({ sequence, salt, segmentBytes }), 0)
      await file.sync()
      await disk.rename(join(folder, spare), join(folder, name))
      await disk.syncFolder(folder)
    } catch (error) {
      await file.close()
      await disk.remove(join(folder, spare))
      throw error
    }
    return blankSegment({ name, sequence, salt, file })
  }

  async #makeSpare(sequence: number): Promise<string> {
    const { disk, folder, segmentBytes } = this.#settings
    // Asked first, so that a full disk does not cost 64 MiB of zeroes at each attempt.
    if ((await disk.freeBytes(folder)) < segmentBytes) throw new WeirError('LOG_DISK_FULL')
    const name = fileName(sequence, SPARE_SUFFIX)
    const file = await disk.open(join(folder, name), 'create')
    try {
      await file.allocate(segmentBytes)
      await file.close()
    } catch (error) {
      await file.close()
      await disk.remove(join(folder, name))
      throw error
    }
    return name
  }
}

/** Six bytes as an integer below 2^48. */
const integerOf = (bytes: Uint8Array): number =>
  bytes.reduce((integer, byte) => integer * 256 + byte, 0)
