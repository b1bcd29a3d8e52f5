/**
 * Readings as files: written, merged and read block by block. Those that DuckDB wrote before
 * decision 0006 are read by it still; a merge rewrites them first.
 */
import { WeirError } from '../errors/errors.ts'
import type { Wanted } from '../query/query.ts'
import type { Clock, Disk } from '../world/world.ts'
import { Lane } from './lane.ts'
import type { OldReadings } from './old-readings.ts'
import { PageTables } from './page-tables.ts'
import { BlockRoom } from './reading-block.ts'
import { FileCursor, mergeCursors, RowsCursor } from './reading-cursor.ts'
import {
  DENSE,
  QUICK,
  ReadingFileWriter,
  type Effort,
  type WrittenReadings,
} from './reading-file-writer.ts'
import { ReadingFile, type SeriesRows } from './reading-file.ts'
import type { SortedReadings } from './recent-readings.ts'
import {
  publishSegment,
  temporaryName,
  type ColdReader,
  type ColdWanted,
  type SegmentRows,
  type WhatToRead,
  type WrittenFile,
} from './segment-files.ts'
import type { Box, Segment } from './segment-set.ts'
import { Turns, type Pace } from './turns.ts'

/**
 * A commit of more rows was not made because its time had come, but because memory fills: then CPU
 * is for ingesting.
 */
const QUICK_ROWS = 4_000_000
/** Written and flushed at a time, so that the log's flushes never queue behind a whole segment. */
const FLUSH_BYTES = 2 << 20

export interface ReadingFilesParts {
  folder: string
  disk: Disk
  clock: Clock
  pace: Pace
  old: OldReadings
  cold: ColdReader
  /** Queries that read at once; more wait. */
  concurrency: number
  /** For long work: throws when the process stops. */
  throwIfAbandoned: () => void
}

export class ReadingFiles {
  readonly #parts: ReadingFilesParts
  readonly #tables: PageTables
  /** One for each query under way; who comes later waits. */
  readonly #rooms: Lane<BlockRoom>

  constructor(parts: ReadingFilesParts) {
    this.#parts = parts
    this.#tables = new PageTables(parts.folder, parts.disk)
    this.#rooms = new Lane(Array.from({ length: parts.concurrency }, () => new BlockRoom()))
  }

  async write(file: string, sorted: SortedReadings): Promise<WrittenFile> {
    const effort = sorted.count > QUICK_ROWS ? QUICK : DENSE
    const written = await this.#writeTemporary(file, effort, async (target) => {
      for (let from = 0; from < sorted.count;) {
        if (target.room === 0) await target.writeBlock()
        const to = Math.min(sorted.count, from + target.room)
        target.add(sorted, from, to)
        from = to
      }
    })
    return this.#publish(file, written)
  }

  /** See SegmentFiles.mergeReadings(). */
  async merge(file: string, run: readonly Segment[], box: Box): Promise<WrittenFile | undefined> {
    const written = await this.#writeTemporary(file, DENSE, async (target) => {
      const sources: Source[] = []
      try {
        for (const segment of run) sources.push(await this.#source(segment))
        const cursors = await Promise.all(sources.map(({ rows }) => FileCursor.start(rows, box)))
        await mergeCursors(cursors, { keepsRepeats: false }, (rows) => addRows(target, rows))
      } finally {
        for (const source of sources) await source.close()
      }
    })
    if (written.rows > 0) return this.#publish(file, written)
    const { folder, disk } = this.#parts
    await disk.remove(`${folder}/${temporaryName(file)}`)
    return undefined
  }

  async #publish(file: string, written: WrittenReadings): Promise<WrittenFile> {
    const { folder, disk } = this.#parts
    const { crc } = await publishSegment(disk, folder, file)
    return { ...written, crc }
  }

  async #writeTemporary(
    file: string,
    effort: Effort,
    fill: (target: ReadingFileWriter) => Promise<void>,
  ): Promise<WrittenReadings> {
    const { folder, disk, clock, pace, throwIfAbandoned } = this.#parts
    const handle = await disk.open(`${folder}/${temporaryName(file)}`, 'create')
    const turns = new Turns(clock, pace)
    let unflushed = 0
    const write = async (bytes: Uint8Array, position: number): Promise<void> => {
      await handle.write(bytes, position)
      unflushed += bytes.length
      if (unflushed < FLUSH_BYTES) return
      unflushed = 0
      await handle.sync()
    }
    const pause = (): Promise<void> | undefined => {
      throwIfAbandoned()
      return turns.isDue ? turns.yield() : undefined
    }
    try {
      // An attempt that failed may have left a longer one.
      await handle.truncate(0)
      const target = new ReadingFileWriter({ effort, write, pause })
      await fill(target)
      return await target.finish()
    } finally {
      await handle.close()
    }
  }

  /** A segment to merge: ours as it is, DuckDB's rewritten into a file of its own. */
  async #source(segment: Segment): Promise<Source> {
    if (segment.tail !== undefined) {
      const rows = await this.#open(segment, new BlockRoom())
      return { rows, close: () => rows.close() }
    }
    const { folder, disk, old } = this.#parts
    const renewed = `${segment.file}.renewed`
    const file = temporaryName(renewed)
    const { bytes, tail } = await this.#writeTemporary(renewed, QUICK, (target) =>
      old.readAll(segment, async (rows) => {
        if (rows.count > target.room) await target.writeBlock()
        target.add(rows, 0, rows.count)
      }),
    )
    const rows = await this.#open({ ...segment, file, bytes, tail }, new BlockRoom())
    const close = async (): Promise<void> => {
      await rows.close()
      await disk.remove(`${folder}/${file}`)
    }
    return { rows, close }
  }

  /** Errors: QUERY_FAILED, DATA_FILE_DAMAGED. `consume` may throw to end it. */
  async read(
    segments: readonly Segment[],
    { wanted, isSorted, signal, leaveOut }: WhatToRead,
    consume: (rows: SegmentRows) => void,
  ): Promise<void> {
    if (segments.length === 0 || wanted.length === 0) return
    const inOrder = wanted.toSorted((a, b) => a.series - b.series)
    const cold = segments.filter(({ isCold }) => isCold)
    const own = segments.filter(({ tail, isCold }) => tail !== undefined && !isCold)
    const others = segments.filter(({ tail }) => tail === undefined)
    try {
      if (isSorted) {
        return await this.#rooms.use(() => {
          signal?.throwIfAborted()
          return this.#readSorted(segments, { wanted: inOrder, leaveOut }, consume)
        })
      }
      if (others.length > 0) await this.#parts.old.read(others, wanted, consume)
      await this.#rooms.use((room) =>
        this.#readEach(own, { wanted: inOrder, room, signal }, consume),
      )
      if (cold.length === 0) return
      for await (const rows of this.#parts.cold.read(cold, { wanted: inOrder, leaveOut })) {
        this.#parts.throwIfAbandoned()
        consume(toRows(rows))
      }
    } catch (cause) {
      if (cause instanceof WeirError || signal?.aborted === true) throw cause
      throw new WeirError('QUERY_FAILED', undefined, { cause })
    }
  }

  /** See SegmentFiles.seriesOf(). */
  async seriesOf(segment: Segment): Promise<Iterable<number>> {
    const found = new Set<number>()
    if (segment.tail === undefined) {
      await this.#parts.old.readAll(segment, (rows) => {
        for (let row = 0; row < rows.count; row++) found.add(rows.series[row]!)
        return Promise.resolve()
      })
      return found
    }
    const file = await this.#open(segment, new BlockRoom())
    try {
      for (let block = 0; block < file.blockCount; block++) {
        for (const series of await file.seriesOf(block)) found.add(series)
        this.#parts.throwIfAbandoned()
      }
    } finally {
      await file.close()
    }
    return found
  }

  async #readEach(
    segments: readonly Segment[],
    {
      wanted,
      room,
      signal,
    }: { wanted: readonly Wanted[]; room: BlockRoom; signal: AbortSignal | undefined },
    consume: (rows: SegmentRows) => void,
  ): Promise<void> {
    for (const segment of segments) {
      signal?.throwIfAborted()
      const file = await this.#open(segment, room)
      try {
        for await (const rows of file.rows(wanted)) {
          this.#parts.throwIfAbandoned()
          consume(toRows(rows))
        }
      } finally {
        await file.close()
      }
    }
  }

  /** By series and time: all segments are open at once, and each has one block in memory. */
  async #readSorted(
    segments: readonly Segment[],
    what: ColdWanted,
    consume: (rows: SegmentRows) => void,
  ): Promise<void> {
    const files: ReadingFile[] = []
    try {
      const cursors: RowsCursor[] = []
      for (const segment of segments) {
        cursors.push(await RowsCursor.start(await this.#rowsOf(segment, what, files)))
      }
      await mergeCursors(cursors, { keepsRepeats: true }, (rows) => {
        this.#parts.throwIfAbandoned()
        consume(toRows(rows))
        return undefined
      })
    } finally {
      for (const file of files) await file.close()
    }
  }

  /** In the order of `wanted`; a file that is opened for it is added to `files`. */
  async #rowsOf(
    segment: Segment,
    what: ColdWanted,
    files: ReadingFile[],
  ): Promise<AsyncGenerator<SeriesRows>> {
    const { wanted } = what
    if (segment.isCold) return this.#parts.cold.rows(segment, what)
    if (segment.tail === undefined) return this.#parts.old.rows(segment, wanted)
    const file = await this.#open(segment, new BlockRoom())
    files.push(file)
    return file.rows(wanted)
  }

  /** Its rows are in `room` while they are read. */
  async #open(segment: Segment, room: BlockRoom): Promise<ReadingFile> {
    const { folder, disk } = this.#parts
    const tables = await this.#tables.get(segment)
    return ReadingFile.open(disk, `${folder}/${segment.file}`, { tables, room })
  }
}

interface Source {
  rows: ReadingFile
  close(): Promise<void>
}

/** Takes a stretch; whatever fills a block is written first. */
function addRows(target: ReadingFileWriter, rows: SeriesRows): Promise<void> | undefined {
  if (rows.to - rows.from > target.room) return addInPieces(target, rows)
  target.add(rows, rows.from, rows.to)
  return undefined
}

async function addInPieces(target: ReadingFileWriter, rows: SeriesRows): Promise<void> {
  for (let from = rows.from; from < rows.to;) {
    if (target.room === 0) await target.writeBlock()
    const to = Math.min(rows.to, from + target.room)
    target.add(rows, from, to)
    from = to
  }
}

function toRows({ series, timeUs, value, from, to }: SeriesRows): SegmentRows {
  return {
    count: to - from,
    series: new Int32Array(to - from).fill(series),
    timeUs: timeUs.subarray(from, to),
    value: value.subarray(from, to),
  }
}
