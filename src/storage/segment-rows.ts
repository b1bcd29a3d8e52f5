/** Segments as rows of the catalogue's table. */
import type { SQLInputValue } from 'node:sqlite'
import { withCrc, type Row } from '../sqlite/sqlite.ts'
import { SEGMENT_KINDS, type Segment } from './segment-set.ts'

/** Values of `segments.format`: rollups, and readings before decision 0006; readings since. */
const SEGMENT_BY_DUCKDB = 1
const SEGMENT_OWN = 2

/** Of files here and in the object store alike, in the order of the columns. */
export const boundsValues = (s: Segment): SQLInputValue[] => [
  ...[s.firstOffset, s.lastOffset, s.rows, s.bytes],
  ...[s.minSeries, s.maxSeries, s.minTimeUs, s.maxTimeUs, Number(s.hasUnverified)],
]

export const boundsOf = (row: Row) => ({
  firstOffset: Number(row['first_offset']),
  lastOffset: Number(row['last_offset']),
  rows: Number(row['row_count']),
  bytes: Number(row['bytes']),
  minSeries: Number(row['min_series']),
  maxSeries: Number(row['max_series']),
  minTimeUs: Number(row['min_time_us']),
  maxTimeUs: Number(row['max_time_us']),
  hasUnverified: row['has_unverified'] === 1,
})

/** In the order of the columns, the checksum last. */
export const segmentValues = (s: Segment): SQLInputValue[] =>
  withCrc(
    ...[s.file, s.kind, ...boundsValues(s)],
    ...[s.tail === undefined ? SEGMENT_BY_DUCKDB : SEGMENT_OWN],
    ...[s.tail?.bytes ?? 0, s.tail?.crc ?? 0],
    s.crc ?? null,
  )

export const segmentOf = (row: Row): Segment => ({
  kind: SEGMENT_KINDS.find((kind) => kind === row['kind']) ?? 'readings',
  isCold: false,
  file: String(row['file']),
  ...boundsOf(row),
  tail:
    row['format'] === SEGMENT_BY_DUCKDB
      ? undefined
      : { bytes: Number(row['tail_bytes']), crc: Number(row['tail_crc']) },
  crc: row['file_crc'] === null ? undefined : Number(row['file_crc']),
})
