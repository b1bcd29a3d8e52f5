/**
 * Hot storage on PostgreSQL 15 or later: the tables that writers of a cluster fill and queries
 * read.
 *
 * P1 What one write() holds is there as a whole or not at all, and the offset of its topic with it.
 * P2 The first write of an identity (series, event time) wins, inside a batch and between batches.
 * P3 A writer whose lease was claimed by another gets STORAGE_FENCED and has written nothing.
 * P4 A batch that does not begin where the last one ended is not written; its writer hears from
 *    where to go on.
 * P5 What is written again, from any offset on, leads to the same rows.
 * P6 What was erased (`tombstones.ts`) is not written, wherever it comes from.
 */
import type { DeadLetter, ValueKind, SeriesName } from '../batch/batch.ts'
import type { AnomalyEvent } from '../stream/stream.ts'
import type { SeriesIds } from './series-ids.ts'
import type { CutTable } from './time-tables.ts'

export { SeriesIds } from './series-ids.ts'

/** `series.kind` by name. */
export const KIND_CODES = { number: 0, boolean: 1, text: 2 } as const satisfies Record<
  ValueKind,
  number
>

/** A series, and where its device belongs. */
export interface PlacedSeries extends SeriesName {
  /** murmur2 of `tenant/device`, signed 32 bit: the same for all series of a device. */
  deviceHash: number
}

/**
 * Of several hot storages (stores), the devices of one: unsigned device hashes, both included. The
 * ranges of all have every hash once.
 */
export interface HashRange {
  from: number
  to: number
}

/** `deviceHash` is signed, as in PlacedSeries. */
export function isInRange({ from, to }: HashRange, deviceHash: number): boolean {
  const hash = deviceHash >>> 0
  return hash >= from && hash <= to
}

/** The right to write under a name, until somebody else claims it. */
export interface Lease {
  readonly name: string
  /** Rises with each claim of the name. */
  readonly epoch: number
  /**
   * Aborted when the connection that holds the name is gone: anyone may claim it from then on.
   * Until one does, writes succeed.
   */
  readonly lost: AbortSignal
  /** Lets the next one claim it. May be called again. */
  release(): Promise<void>
}

/** Columns; a row's series is an index of `WriterBatch.series`. */
export interface WrittenReadings {
  count: number
  series: Uint32Array
  /** Integers. */
  timeUs: Float64Array
  /** Booleans 0 or 1, texts 0. */
  value: Float64Array
  /** The value of a text; undefined where the row is none, or when there are no texts at all. */
  texts: readonly (string | undefined)[] | undefined
}

/** What lies at [fromOffset, nextOffset) of one partition of a topic, decoded. */
export interface WriterBatch {
  topic: string
  partition: number
  /** Where the last batch ended, even if the topic has nothing there any more. */
  fromOffset: number
  nextOffset: number
  /** What the rows' series are; the same object for all batches of a partition. */
  series: SeriesIds
  /** In the order of the topic. */
  readings?: WrittenReadings
  /** Rows of PARTIAL_STRIDE in the order of the topic; PARTIAL_SERIES is an index of `series`. */
  partials?: Float64Array
  /** `series` is an index of `WriterBatch.series`; [fromMs, toMs). */
  dirty?: readonly { series: number; fromMs: number; toMs: number }[]
  coverage?: readonly Coverage[]
  anomalies?: readonly Omit<AnomalyEvent, 'series'>[]
  deadLetters?: readonly TopicDeadLetter[]
}

/**
 * The partials of a partition, and of the one that it was a part of in the generation before, tell
 * everything of windows in [fromMs, watermarkMs + 1). Neither ever goes back.
 */
export interface Coverage {
  generation: number
  partition: number
  /** How many the generation has. */
  partitions: number
  /**
   * Undefined: what was said before, of it or of the one that it was a part of; if nothing was,
   * from behind the watermark on.
   */
  fromMs: number | undefined
  watermarkMs: number
}

export interface TopicDeadLetter extends DeadLetter {
  partition: number
  offset: number
}

export interface WriteResult {
  /** False when the batch does not begin at the stored offset (P4). */
  isWritten: boolean
  /** Where the next batch must begin. */
  nextOffset: number
  /** Readings whose identity was there already. */
  duplicates: number
  /** Rows left out: not finite, before 2000, or too far ahead of the clock. */
  refusedReadings: number
  refusedPartials: number
  refusedAnomalies: number
  /** Left out because what was said then was erased (P6). */
  erasedReadings: number
}

export interface PostgresWriter {
  /** What readings and partials are kept as, since their tables were made. */
  readonly tables: 'months' | 'hypertables'
  /** Undefined while somebody else holds the name. Errors: STORAGE_UNAVAILABLE. */
  claim(name: string): Promise<Lease | undefined>
  /** Where to go on, by partition; those never written are absent. Errors: STORAGE_UNAVAILABLE. */
  offsets(topic: string): Promise<Map<number, number>>
  /**
   * One batch of a partition at a time; those of others may be under way. After STORAGE_UNAVAILABLE
   * the batch may or may not be there: write it again, and the result tells where to go on.
   * Errors: STORAGE_UNAVAILABLE, STORAGE_FENCED.
   */
  write(lease: Lease, batch: WriterBatch): Promise<WriteResult>
  /**
   * Retention: drops the months, or chunks, of readings and partials that end at or before
   * `timeMs`, beside writers and queries; it waits for those under way. Returns how many tables
   * went. `only`: of that table alone. What failed half way ends with the next call. Errors:
   * STORAGE_UNAVAILABLE.
   */
  dropBefore(timeMs: number, only?: CutTable): Promise<number>
  /**
   * Compresses the chunks that end at or before `timeMs`, one after the other; writers wait for the
   * one under way. Nothing happens to months. Errors: STORAGE_UNAVAILABLE.
   */
  compressBefore(timeMs: number): Promise<void>
  /** What is under way ends first; leases are released. May be called again. */
  close(): Promise<void>
}
