/**
 * The port behind which segments are files. `parquet-files.ts` is Parquet on the real disk;
 * `plain-files.ts` is a few lines over any disk, for tests and simulation.
 *
 * F1 A write or merge resolves only once the file would survive a power cut, under its name.
 * F2 What was written is read back row for row: readings in the order of (series, time, file name)
 *    when asked for sorted, in any order otherwise.
 * F3 A merge holds every identity once: of equal readings the one of the lowest offset, of equal
 *    partials that of the highest.
 */
import type { Span, Wanted } from '../query/query.ts'
import type { Disk } from '../world/world.ts'
import { fileChecksum, type FileChecksum } from './file-checksum.ts'
import type { SeriesRows } from './reading-file.ts'
import type { SortedReadings } from './recent-readings.ts'
import type { WhyLeftOut } from './left-out.ts'
import type { Box, Segment } from './segment-set.ts'

export interface SegmentRows {
  count: number
  series: Int32Array
  timeUs: Float64Array
  value: Float64Array
}

/**
 * Told of a cold file that its bucket has frozen, or has no more: its rows, or the rest of them,
 * are left out. Who gives none gets OBJECT_FROZEN or OBJECT_MISSING instead.
 */
export type LeaveOut = (segment: Segment, why: WhyLeftOut) => void

export interface ColdWanted {
  wanted: readonly Wanted[]
  leaveOut?: LeaveOut | undefined
}

/** Files in the object store, which both adapters read among their own. */
export interface ColdReader {
  /** Each file's rows together, and each series of it in order. */
  read(segments: readonly Segment[], what: ColdWanted): AsyncGenerator<SeriesRows>
  /** Of one file, each series in order. */
  rows(segment: Segment, what: ColdWanted): AsyncGenerator<SeriesRows>
}

export const NO_COLD_FILES: ColdReader = {
  // eslint-disable-next-line require-yield
  read: async function* () {
    throw new TypeError('there is no object store')
  },
  // eslint-disable-next-line require-yield
  rows: async function* () {
    throw new TypeError('there is no object store')
  },
}

/** What the catalogue keeps of a file. */
export type WrittenFile = Omit<
  Segment,
  'kind' | 'file' | 'firstOffset' | 'lastOffset' | 'hasUnverified'
>

/** Of values of partials: see Sketch. */
export type SketchesByRow = ReadonlyMap<Float64Array, Uint8Array>

export interface PartialsWanted {
  series: readonly number[]
  windowMs: number
  span: Span
  /** With those that there are. */
  hasSketches?: boolean
}

export interface WhatToRead extends ColdWanted {
  /** By series and time, however the files lie. */
  isSorted: boolean
  signal?: AbortSignal | undefined
}

export interface SegmentFiles {
  writeReadings(file: string, sorted: SortedReadings): Promise<WrittenFile>
  /**
   * `offset` is the checkpoint's: of one key the row with the highest offset counts. With sketches
   * the file has a column for them.
   */
  writePartials(
    file: string,
    rows: readonly Float64Array[],
    also: { offset: number; sketches?: SketchesByRow },
  ): Promise<WrittenFile>
  /**
   * The rows of `run`, which is in the order of its offsets, that lie in the box. Undefined, and no
   * file, when there are none.
   */
  mergeReadings(file: string, run: readonly Segment[], box: Box): Promise<WrittenFile | undefined>
  mergeRollups(file: string, run: readonly Segment[], box: Box): Promise<WrittenFile | undefined>
  /** `consume` may throw to end it; once the signal is aborted no further file is opened. */
  readReadings(
    segments: readonly Segment[],
    what: WhatToRead,
    consume: (rows: SegmentRows) => void,
  ): Promise<void>
  /** All series of a file of readings, in order. */
  seriesOf(segment: Segment): Promise<Iterable<number>>
  /** Calls back for each row of one window size; `offset` says which of equal keys is newer. */
  readPartials(
    segments: readonly Segment[],
    what: PartialsWanted,
    consume: (row: Float64Array, offset: number, sketch?: Uint8Array) => void,
  ): Promise<void>
  /** Ends what is under way, and refuses what comes: the process stops, and the log has it all. */
  abandon(): void
  close(): void
}

/** Where a segment is written before it counts. */
export const temporaryName = (file: string): string => `${file}.tmp`

/**
 * Makes a written file durable under its name: the file, then its name. Whoever made it need not
 * have flushed it. Returns its length and checksum.
 */
export async function publishSegment(
  disk: Disk,
  folder: string,
  file: string,
): Promise<FileChecksum> {
  const path = `${folder}/${file}`
  await flushFile(disk, temporaryName(path))
  const checksum = await fileChecksum(disk, temporaryName(path))
  await disk.rename(temporaryName(path), path)
  await disk.syncFolder(folder)
  return checksum
}

export async function flushFile(disk: Disk, path: string): Promise<void> {
  const handle = await disk.open(path, 'write')
  await handle.sync().finally(() => handle.close())
}
