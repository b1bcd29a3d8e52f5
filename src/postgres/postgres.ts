/**
 * Hot storage on PostgreSQL 15 or later: the tables that writers of a cluster fill and queries read.
 *
 * P1 What one write() holds is there as a whole or not at all, and the offset of its topic with it.
 * P2 The first write of an identity (series, event time) wins, inside a batch and between batches.
 * P3 A writer whose lease was claimed by another gets STORAGE_FENCED and has written nothing.
 * P4 A batch that does not begin where the last one ended is not written.
 * P5 What is written again, from any offset on, leads to the same rows.
 */

/** Where the tables are. */
export interface PostgresPlace {
  /** `postgresql://user:password@host:port/database`. */
  url: string
  /** Made when it is not there. Shared with the control store, if that is on PostgreSQL too. */
  schema: string
}

/** `series.kind` by name. */
export const KIND_CODES = { number: 0, boolean: 1, text: 2 } as const
