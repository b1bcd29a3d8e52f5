/**
 * The storage port: takes what the stream emits, keeps it for years, answers questions.
 *
 * T1 After commit() of a checkpoint resolves, everything output up to its offset is durable: a
 *    restart hands out that checkpoint, and the log before it may be trimmed.
 * T2 A commit is atomic: segments, rollups, events and the checkpoint count together or not at all.
 * T3 A reading that was output is visible to queries at once, and exactly once, also while and
 *    after it moves from memory into a segment, and however often its entry is output again.
 * T4 Of readings with one identity (series, event time) the one with the lowest offset wins.
 */
import type { Definitions } from '../batch/batch.ts'
import type { Checkpoint, StreamOutput } from '../stream/stream.ts'

export interface Recovered {
  /** The first offset that storage has not seen; the log is replayed from here. */
  nextOffset: number
  /** All parts of the latest state; empty on a fresh folder. */
  state: Checkpoint['parts']
  /**
   * When, and only when, the state was damaged and could not be handed out: by series, the highest
   * event time that is stored (NaN: none). At or below it nobody can tell a repeat.
   */
  floors: Float64Array | undefined
  definitions: Definitions
}

export interface StorageStatistics {
  readingsInMemory: number
  readingsStored: number
  segmentCount: number
  segmentsDamaged: number
  /** Segments below their target size that wait to be merged. */
  mergeDebt: number
  /** All hours before it are summed up; undefined: none is. */
  summedUpToUs: number | undefined
  bytesOnDisk: number
  /** Since the start. */
  commits: number
  lastCommitAtUs: number
  lastCommitOffset: number
  deadLetters: number
  seriesCount: number
  /** Of questions: those that were answered from what is kept, and the others. */
  answers: { hits: number; misses: number; bytes: number }
}

/** Told of what somebody should know. */
export interface StorageListener {
  /** Nothing is lost: it is tried again. */
  mergeFailed: (cause: unknown) => void
  /** It is set aside: no answer holds what it held. */
  segmentDamaged: (segment: { file: string; problem: string; readings: number }) => void
  /**
   * Told by recover() when, and only when, it hands out floors. Rules and detectors start anew;
   * windows are computed from readings.
   */
  stateLost: (problem: string) => void
  /** An anomaly or a dead letter is left out of answers. */
  eventDamaged: (problem: string) => void
  /** Readings of this time went to the object store, or are no longer kept. */
  aged: (aged: { moved: number; deleted: number; startUs: number; endUs: number }) => void
  /** Nothing is lost: it is tried again. */
  agingFailed: (cause: unknown) => void
}

export interface Storage {
  recover(): Promise<Recovered>
  /** Synchronous and cheap: into memory. */
  output(output: StreamOutput): void
  /** Called right after the output() of `checkpoint.offset`; one commit at a time. */
  commit(checkpoint: Checkpoint): Promise<void>
  /**
   * Everything before this offset was acknowledged: until it was output, answers say that something
   * is missing (`meta.completeness`). For a restart that replays the log behind open doors.
   */
  expect(nextOffset: number): void
  /** Readings of before, µs, may be deleted for their age where they are to be exported first. */
  confirmExported(beforeUs: number): Promise<void>
  /** Until merges, and what is due for its age, are done. */
  settle(): Promise<void>
  statistics(): StorageStatistics
  close(): Promise<void>
}
