/**
 * Readings as columns of a Parquet file:
 *
 *   series    int32        its number in the catalogue
 *   time      timestamp    event time, whole milliseconds
 *   micros    int32        what is left of it, 0 to 999 µs
 *   mantissa  int64, null  the value is mantissa / 10^scale, bit by bit,
 *   scale     int8         unless scale is -1:
 *   real      double, null then it stands here
 *
 * Rows are sorted by series and time. They are cut into *blocks*; each column begins a new page
 * with each block. Within a block only the mantissas have more pages, one for each long run of a
 * series: differences between two series are large, and a page of one series has none.
 *
 * In SQL: SELECT series, epoch_ms(time) * 1000 + micros AS time_us,
 *                coalesce(real, mantissa / power(10, scale)) AS value FROM 'readings-*.parquet'
 */
import type { Column } from '../parquet/parquet.ts'

export const READING_COLUMNS: readonly Column[] = [
  { name: 'series', type: 'int32', hasBounds: true },
  { name: 'time', type: 'int64', meaning: 'time', hasBounds: true },
  { name: 'micros', type: 'int32', hasBounds: true },
  { name: 'mantissa', type: 'int64', isOptional: true },
  { name: 'scale', type: 'int32', meaning: 'int8', hasBounds: true },
  { name: 'real', type: 'double', isOptional: true },
]
export const SERIES = 0
export const TIME = 1
export const MICROS = 2
export const MANTISSA = 3
export const SCALE = 4
export const REAL = 5

/**
 * Rows of a block at most. In larger blocks more of a device's series find their times in the one
 * before (measured in docs/decisions/0006-segment-encoding.md), but a question decodes a whole
 * block's times.
 */
export const BLOCK_ROWS = 1 << 16

/** Rows sorted by series and time. */
export interface ReadingRun {
  series: Int32Array
  timeUs: Float64Array
  value: Float64Array
}
