/**
 * The lake: all readings as plain Parquet in an object store, for any tool that reads it.
 *
 *   readings/tenant=…/type=…/year=2026/month=7/<set>-<epoch>-<version>-<number>.parquet
 *   manifest/<set>/<version>     what counts: the files of one commit, and up to which offsets
 *   pending/<set>/<epoch>        files that a writer puts now, so that its loose ends are found
 *
 * One writer has one *set* of the log's partitions. It collects their readings, and with commit()
 * sorts them by series and time, says which files come, puts them, and then the next version of its
 * manifest: that put is the commit. Versions have no gaps and are put only where none is, so of two
 * writers of a set one loses: opening a set takes the next version, with a higher epoch, and
 * whoever had it before is refused (LAKE_FENCED) at its next commit and takes its files back.
 *
 * L1 commit() resolves once all that was appended before is durable and counts, with the offsets
 *    that it covers. Whoever goes on from the offsets of open() loses no row and doubles none,
 *    wherever the process or the store ended: files that no manifest lists are swept at open().
 * L2 Of two writers of a set, or of two sets that share a partition, only the one opened last
 *    commits.
 * L3 While the store is away nothing is forgotten: commit() throws OBJECTS_UNAVAILABLE and can be
 *    called again. `hasRoom` says when to stop reading the log; beyond it append() takes nothing
 *    and throws LAKE_BACKLOG_FULL.
 * L4 Every value and every time to the microsecond is read back as it was, by other readers too.
 * L5 What stands beside an offset (`taken`) is part of the same commit, and goes where the offset
 *    goes: through tries, restarts, and from set to set.
 * L6 What was erased is in no file that a writer puts: an erasure takes each set, so that its
 *    writer begins anew and asks what was erased; files that are there are written anew under
 *    their keys (`erase-commits.ts`).
 *
 * A tool that lists the folder itself sees files of a commit before they count, for the seconds
 * until it ends, or until the next open() when the process ended within them.
 */
import type { SeriesName } from '../batch/batch.ts'
import type { Objects } from '../objects/objects.ts'
import type { Clock, Random } from '../world/world.ts'

export { isPlainFolder, TIME as LAKE_TIME } from './lake-columns.ts'
export { dimensionsOf, encodeLakeFile } from './lake-file.ts'
export { readLakeRows, readLakeTables, type LakeFileSource, type LakeRows } from './lake-reader.ts'
export { refreshStatement } from './ddl.ts'
export { openLakeWriter } from './lake-writer.ts'
export { committedSets, commitFiles, type CommittedSet } from './commit-files.ts'
export { eraseFromCommits } from './erase-commits.ts'
export { readWholeFile } from './whole-file.ts'
export { folderAt, type Run, type SortedReadings } from './sorted-readings.ts'

export interface TopicOffset {
  topic: string
  partition: number
  /** Of the first entry that is not covered. */
  nextOffset: number
  /** What else its reader wants to find again, in words of its own. */
  taken?: string
}

/** The same of a batch. */
export interface BatchOffset extends Omit<TopicOffset, 'taken'> {
  /** Asked when a commit begins, unless a later batch of the partition is in it. May throw. */
  taken?: () => string
}

/** Readings without duplicates, as columns. Read until append() returns, and not kept. */
export interface LakeBatch {
  /** What `series` stands for: places in here. It may come again, and with more, which is fast. */
  names: readonly SeriesName[]
  count: number
  series: ArrayLike<number>
  /** Event time, µs since 1970. */
  timeUs: ArrayLike<number>
  /** Booleans are 0 or 1; of a text its place in `texts`. */
  value: ArrayLike<number>
  texts: readonly string[]
  /** Where to go on in the log behind this batch. */
  offsets: readonly BatchOffset[]
}

export interface LakeLimits {
  /** A commit is due with so many readings, */
  commitReadings: number
  /** or so long after the first of them. */
  commitIntervalMs: number
  /** Readings in memory, beyond which nothing more is taken. 20 B each, twice that in a commit. */
  readingsHeldMax: number
}

export interface LakeAccess {
  objects: Objects
  clock: Clock
  random: Random
  /** Its name: lower case letters, digits and `_`. */
  set: string
  /** What it will append: other sets that had one of these are refused from now on. */
  partitions: readonly { topic: string; partition: number }[]
  limits: LakeLimits
  /** Asked once the set is taken, so that whatever was erased before is in it (L6). */
  erased?: () => Promise<ErasedTimes>
}

/** What was erased of a device: event times in µs, in order and apart, the ends excluded. */
export type ErasedTimes = (
  tenant: string,
  deviceId: string,
) => readonly { startUs: number; endUs: number }[]

export interface LakeWriter {
  /** Where to read on: what the last commit covers. A partition without one has no rows yet. */
  readonly offsets: readonly TopicOffset[]
  /** Readings that wait for a commit. */
  readonly held: number
  readonly hasRoom: boolean
  readonly isDue: boolean
  /**
   * Returns how many were taken: all but what was erased. Errors: LAKE_BACKLOG_FULL, LAKE_FENCED.
   */
  append(batch: LakeBatch): number
  /**
   * One at a time. Without new readings it does nothing. Errors: OBJECTS_UNAVAILABLE,
   * OBJECTS_REFUSED, LAKE_FENCED.
   */
  commit(): Promise<readonly TopicOffset[]>
}
