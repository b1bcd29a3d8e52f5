/**
 * The log on files: an append-only run of segment files (`segment.ts`) of checksummed entries
 * (`entry.ts`), flushed in groups. Why our own and not LMDB or SQLite: docs/decisions/0001.
 *
 * Group commit: one group at a time is written and synced; what is appended meanwhile is the next
 * group. A group lies in one segment and is one write of one piece: headers and payloads are
 * gathered in a buffer first, since a copy of 300 KB costs 12 µs and a second write 100.
 */
import { crc32 } from 'node:zlib'
import { WeirError } from '../errors/errors.ts'
import type { Disk, Random } from '../world/world.ts'
import { ENTRY_HEADER_BYTES, encodeEntry, entryBytes } from './entry.ts'
import type { Log, LogEntry, LogStatistics } from './log.ts'
import { openSegments, type OpenedSegments } from './open-segments.ts'
import { SEGMENT_DATA_START, type Segment, type SegmentIndex } from './segment.ts'
import { SegmentPool } from './segment-pool.ts'
import { readEntries } from './segment-read.ts'
import { walkSegment } from './segment-walk.ts'

interface FileLogOptions {
  /** Size of each segment file, a multiple of 4,096. An entry must fit into one. */
  segmentBytes?: number
  /** Trimmed files kept for reuse, so that a steady log never allocates. */
  sparesMax?: number
  /** A group is not grown beyond this; a larger entry is a group of its own. */
  groupBytesMax?: number
}

/** 64 MiB: a second at full speed; making one takes 50 ms. Spares bridge 8 s between trims. */
const DEFAULTS = { segmentBytes: 64 << 20, sparesMax: 8, groupBytesMax: 8 << 20 }

export interface FileLogSettings {
  disk: Disk
  /** Makes the salts unpredictable; wanted wherever payloads come from strangers. */
  random?: Random
  folder: string
  /**
   * Offsets below this are taken: where the log ends earlier, its end was lost, and it goes on from
   * here in a new segment. What is missing is damage to a reader.
   */
  nextOffsetMin?: number
  options?: FileLogOptions
}

/**
 * Opens the log in `folder`, or begins one. One process and one instance per folder.
 * Throws DATA_FILE_DAMAGED, DATA_FORMAT_NEWER, LOG_DISK_FULL, LOG_FLUSH_FAILED.
 */
export async function openFileLog(settings: FileLogSettings): Promise<FileLog> {
  try {
    return await openLog(settings)
  } catch (cause) {
    throw isDiskFull(cause) ? new WeirError('LOG_DISK_FULL', undefined, { cause }) : cause
  }
}

async function openLog(settings: FileLogSettings): Promise<FileLog> {
  const { disk, random, folder, nextOffsetMin = 0 } = settings
  const options = { ...DEFAULTS, ...settings.options }
  const { segmentBytes, sparesMax } = options
  const opened = await openSegments(disk, folder, segmentBytes)
  const pool = new SegmentPool({ disk, random, folder, segmentBytes, sparesMax }, opened)
  const newest = opened.segments.at(-1)
  const nextOffset = newest && newest.baseOffset + newest.index!.positions.length
  if (nextOffset === undefined || nextOffset < nextOffsetMin) {
    const fresh = { baseOffset: nextOffsetMin, index: emptyIndex() }
    opened.segments.push({ ...(await pool.take()), ...fresh })
    opened.endPosition = SEGMENT_DATA_START
  }
  pool.prepareAhead()
  return new FileLog(opened, pool, options)
}

/** The largest entry that a segment of this size takes. */
export const entryBytesMax = (segmentBytes: number): number =>
  segmentBytes - SEGMENT_DATA_START - ENTRY_HEADER_BYTES

interface Waiting {
  bytes: Uint8Array
  crc: number
  resolve: (offset: number) => void
  reject: (error: WeirError) => void
}

const emptyIndex = (): SegmentIndex => ({ positions: [], payloadBytes: [] })

const isDiskFull = (error: unknown): boolean =>
  (error instanceof WeirError && error.code === 'LOG_DISK_FULL') ||
  ['ENOSPC', 'EDQUOT'].includes((error as { code?: string }).code ?? '')

export class FileLog implements Log {
  readonly #segments: Segment[]
  readonly #pool: SegmentPool
  readonly #options: Required<FileLogOptions>
  #active: Segment
  #index: SegmentIndex
  #endPosition: number
  #isFileOver = false
  #run: number
  #queue: Waiting[] = []
  #flushing: Promise<void> | undefined
  #failure: WeirError | undefined
  #closing: Promise<void> | undefined
  #stage: Uint8Array = new Uint8Array(0)
  #entriesAppended = 0
  #bytesAppended = 0
  #flushes = 0

  constructor(opened: OpenedSegments, pool: SegmentPool, options: Required<FileLogOptions>) {
    this.#segments = opened.segments
    this.#pool = pool
    this.#options = options
    this.#active = opened.segments.at(-1)!
    this.#index = this.#active.index!
    this.#endPosition = opened.endPosition
    this.#run = opened.run
  }

  get firstOffset(): number {
    return this.#segments[0]!.baseOffset
  }

  get nextOffset(): number {
    return this.#active.baseOffset + this.#index.positions.length
  }

  get statistics(): LogStatistics {
    return {
      entriesAppended: this.#entriesAppended,
      bytesAppended: this.#bytesAppended,
      flushes: this.#flushes,
      segmentCount: this.#segments.length,
      bytesOnDisk: (this.#segments.length + this.#pool.fileCount) * this.#options.segmentBytes,
    }
  }

  append(bytes: Uint8Array): Promise<number> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    if (this.#closing !== undefined)
      return Promise.reject(new WeirError('GATEWAY_SHUTTING_DOWN', 'The log is closed'))
    const bytesMax = entryBytesMax(this.#options.segmentBytes)
    if (bytes.length > bytesMax)
      return Promise.reject(
        new WeirError('LOG_ENTRY_TOO_LARGE', `${bytes.length} bytes; at most ${bytesMax} fit`),
      )
    return new Promise((resolve, reject) => {
      this.#queue.push({ bytes, crc: crc32(bytes), resolve, reject })
      this.#flushing ??= this.#flushAll()
    })
  }

  async read(
    fromOffset: number,
    bytesMax: number,
    into?: Uint8Array<ArrayBuffer>,
  ): Promise<LogEntry[]> {
    for (;;) {
      const offset = Math.max(fromOffset, this.firstOffset)
      if (offset >= this.nextOffset) return []
      const at = this.#segments.findLastIndex((segment) => segment.baseOffset <= offset)
      const segment = this.#segments[at]!
      try {
        const index = await this.#indexOf(segment, this.#segments[at + 1]?.baseOffset)
        return await readEntries(segment, index, { offset, bytesMax, into })
      } catch (error) {
        // A file may be recycled under a reader of trimmed entries: go on with what is left.
        if (offset >= this.firstOffset) throw error
      }
    }
  }

  async trim(beforeOffset: number): Promise<void> {
    if (this.#closing !== undefined) return
    const recycled: Promise<void>[] = []
    // The segment of the last entry stays: it is what remembers nextOffset.
    const end = Math.min(beforeOffset, this.nextOffset - 1)
    while (this.#segments.length > 1 && this.#segments[1]!.baseOffset <= end)
      recycled.push(this.#pool.recycle(this.#segments.shift()!))
    await Promise.all(recycled)
  }

  /**
   * The next entry begins a file, so that all before it can be trimmed. From now on no file holds
   * anything of one that was trimmed, until keepSpares().
   */
  async beginAfresh(): Promise<void> {
    await this.#pool.dropSpares()
    this.#isFileOver = true
  }

  /** What was trimmed before is gone then. */
  keepSpares(): Promise<void> {
    return this.#pool.keepSpares()
  }

  async restartAt(offset: number): Promise<void> {
    if (offset < this.nextOffset) throw new RangeError(`the log ends at ${this.nextOffset}`)
    const forgotten = this.#segments.splice(0)
    await this.#begin(offset)
    await Promise.all(forgotten.map((segment) => this.#pool.recycle(segment)))
  }

  close(): Promise<void> {
    this.#closing ??= this.#closeFiles()
    return this.#closing
  }

  async #closeFiles(): Promise<void> {
    await this.#flushing
    await this.#pool.close()
    for (const segment of this.#segments) await segment.file.close()
  }

  async #indexOf(segment: Segment, endOffset: number | undefined): Promise<SegmentIndex> {
    if (segment.index !== undefined) return segment.index
    segment.indexing ??= walkSegment(segment, { endOffset, isCheckingPayloads: false })
      .then((walk) => (segment.index = walk.index))
      .finally(() => (segment.indexing = undefined))
    return segment.indexing
  }

  /** Flushes group after group until nobody waits. */
  async #flushAll(): Promise<void> {
    // So that the assignment of #flushing comes before its end, and calls of one turn are a group.
    await Promise.resolve()
    while (this.#queue.length > 0) await this.#flushGroup()
    // In the same turn as the look at the queue: an append in between would wait for ever.
    this.#flushing = undefined
  }

  async #flushGroup(): Promise<void> {
    let group: Waiting[] = []
    try {
      if (this.#failure !== undefined) throw this.#failure
      await this.#makeRoom(entryBytes(this.#queue[0]!.bytes.length))
      group = this.#takeGroup()
      await this.#writeGroup(group)
    } catch (error) {
      const refused = group.length > 0 ? group : this.#queue.splice(0)
      const refusal = this.#judge(error)
      for (const waiting of refused) waiting.reject(refusal)
    }
  }

  /** Goes on to the next segment if the entry does not fit; usually that was made ahead. */
  async #makeRoom(bytes: number): Promise<void> {
    const isOver = this.#isFileOver && this.#index.positions.length > 0
    if (!isOver && this.#endPosition + bytes <= this.#options.segmentBytes) return
    await this.#begin(this.nextOffset)
  }

  /** Goes on in a new segment, whose first entry gets this offset. */
  async #begin(baseOffset: number): Promise<void> {
    const next = await this.#pool.take()
    this.#index = emptyIndex()
    this.#active = Object.assign(next, { baseOffset, index: this.#index })
    this.#segments.push(next)
    this.#isFileOver = false
    this.#endPosition = SEGMENT_DATA_START
    this.#pool.prepareAhead()
  }

  /** As many of those that wait, in order, as fit into the segment and the limit. */
  #takeGroup(): Waiting[] {
    const { segmentBytes, groupBytesMax } = this.#options
    const bytesMax = Math.min(segmentBytes - this.#endPosition, groupBytesMax)
    let bytes = entryBytes(this.#queue[0]!.bytes.length)
    let count = 1
    for (; count < this.#queue.length; count++) {
      bytes += entryBytes(this.#queue[count]!.bytes.length)
      if (bytes > bytesMax) break
    }
    return this.#queue.splice(0, count)
  }

  async #writeGroup(group: Waiting[]): Promise<void> {
    const { salt, file, baseOffset } = this.#active
    const index = this.#index
    const firstIndex = index.positions.length
    const piece = this.#stageOf(group.reduce((sum, { bytes }) => sum + entryBytes(bytes.length), 0))
    let end = 0
    const positions = group.map(({ bytes, crc }, place) => {
      const position = this.#endPosition + end
      const at = firstIndex + place
      const header = { salt, offset: baseOffset + at, index: at, place, run: this.#run }
      const sizes = { payloadBytes: bytes.length, payloadCrc: crc }
      end += encodeEntry(piece.subarray(end), { ...header, ...sizes }, bytes)
      return position
    })
    await file.write(piece, this.#endPosition)
    await file.sync().catch((cause: unknown) => {
      throw new WeirError('LOG_FLUSH_FAILED', undefined, { cause })
    })
    this.#endPosition += end
    this.#flushes++
    for (const [place, { bytes, resolve }] of group.entries()) {
      index.positions.push(positions[place]!)
      index.payloadBytes.push(bytes.length)
      this.#entriesAppended++
      this.#bytesAppended += bytes.length
      resolve(baseOffset + firstIndex + place)
    }
  }

  /** A buffer of that length; kept for the next group unless it is exceptionally large. */
  #stageOf(bytes: number): Uint8Array {
    if (bytes > this.#options.groupBytesMax) return new Uint8Array(bytes)
    if (bytes > this.#stage.length) this.#stage = new Uint8Array(bytes * 2)
    return this.#stage.subarray(0, bytes)
  }

  /**
   * What a failure means. A full disk passes: the next append writes over what this one left, in a
   * new run. Anything else is for good: after a failed flush the kernel may call pages clean that
   * it never wrote, so a second flush would prove nothing.
   */
  #judge(error: unknown): WeirError {
    if (this.#failure !== undefined) return this.#failure
    this.#run++
    if (isDiskFull(error)) return new WeirError('LOG_DISK_FULL', undefined, { cause: error })
    const isFlush = error instanceof WeirError && error.code === 'LOG_FLUSH_FAILED'
    this.#failure = isFlush ? error : new WeirError('LOG_FLUSH_FAILED', undefined, { cause: error })
    return this.#failure
  }
}
