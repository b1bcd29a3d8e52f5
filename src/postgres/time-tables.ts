/**
 * How `reading` and `window_partial` are cut by time, so that what is old goes as a whole: into
 * months (`month-partitions.ts`), or by TimescaleDB (`hypertables.ts`) where its extension was
 * there when the tables were made. Nothing else knows which.
 */
import type pg from 'pg'

/** Of each table the column by which it is cut, and how many of its units are a millisecond. */
export const CUT_TABLES = {
  reading: { column: 'time_us', unitsPerMs: 1000 },
  window_partial: { column: 'start_ms', unitsPerMs: 1 },
} as const

export type CutTable = keyof typeof CUT_TABLES

/** A UTC month as a number: 12 × year + month of the year from 0. */
export type Month = number

/** In which months rows are that are about to be written. */
export type NeededMonths = Partial<Record<CutTable, ReadonlySet<Month> | undefined>>

export interface TimeTables {
  readonly kind: 'months' | 'hypertables'
  /** Makes room for rows of these months. `client` is in no transaction. */
  prepare(client: pg.ClientBase, needed: NeededMonths): Promise<void>
  /** What was prepared may be gone: the next prepare() looks again. */
  forget(): void
  /**
   * Drops what ends at or before `timeMs`, beside writers and queries; of one table, or of both.
   * Returns how many tables went. `client` is in no transaction.
   */
  dropBefore(client: pg.ClientBase, timeMs: number, only?: CutTable): Promise<number>
  /** Compresses what ends at or before `timeMs`, where that can be. The same client. */
  compressBefore(client: pg.ClientBase, timeMs: number): Promise<void>
}
