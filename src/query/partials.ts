/** Rows of PARTIAL_* places that sum up readings, and each other, as the stream's windows do. */
import {
  PARTIAL_COUNT,
  PARTIAL_FIRST,
  PARTIAL_FIRST_TIME_US,
  PARTIAL_LAST,
  PARTIAL_LAST_TIME_US,
  PARTIAL_MAX,
  PARTIAL_MEAN,
  PARTIAL_MIN,
  PARTIAL_SERIES,
  PARTIAL_SQUARES,
  PARTIAL_START_MS,
  PARTIAL_STRIDE,
  PARTIAL_SUM,
  PARTIAL_WINDOW_MS,
} from '../stream/stream.ts'

export function emptyPartial(key: {
  series: number
  windowMs: number
  startMs: number
}): Float64Array {
  const row = new Float64Array(PARTIAL_STRIDE)
  row[PARTIAL_SERIES] = key.series
  row[PARTIAL_WINDOW_MS] = key.windowMs
  row[PARTIAL_START_MS] = key.startMs
  return row
}

/** In the order of their times. By Welford, so that squares do not cancel. */
export function addReading(row: Float64Array, timeUs: number, value: number): void {
  const count = ++row[PARTIAL_COUNT]!
  row[PARTIAL_SUM]! += value
  if (count === 1) {
    row[PARTIAL_MIN] = value
    row[PARTIAL_MAX] = value
    row[PARTIAL_FIRST] = value
    row[PARTIAL_FIRST_TIME_US] = timeUs
  }
  if (value < row[PARTIAL_MIN]!) row[PARTIAL_MIN] = value
  if (value > row[PARTIAL_MAX]!) row[PARTIAL_MAX] = value
  const delta = value - row[PARTIAL_MEAN]!
  row[PARTIAL_MEAN]! += delta / count
  row[PARTIAL_SQUARES]! += delta * (value - row[PARTIAL_MEAN]!)
  row[PARTIAL_LAST] = value
  row[PARTIAL_LAST_TIME_US] = timeUs
}

/** Chan et al. (1979). Of equal times the first that came counts. */
export function addPartial(into: Float64Array, row: Float64Array): void {
  const added = row[PARTIAL_COUNT]!
  if (added === 0) return
  const had = into[PARTIAL_COUNT]!
  const delta = row[PARTIAL_MEAN]! - into[PARTIAL_MEAN]!
  into[PARTIAL_COUNT] = had + added
  into[PARTIAL_SUM]! += row[PARTIAL_SUM]!
  into[PARTIAL_MEAN]! += (delta * added) / (had + added)
  into[PARTIAL_SQUARES]! += row[PARTIAL_SQUARES]! + (delta * delta * had * added) / (had + added)
  if (had === 0 || row[PARTIAL_MIN]! < into[PARTIAL_MIN]!) into[PARTIAL_MIN] = row[PARTIAL_MIN]!
  if (had === 0 || row[PARTIAL_MAX]! > into[PARTIAL_MAX]!) into[PARTIAL_MAX] = row[PARTIAL_MAX]!
  if (had === 0 || row[PARTIAL_FIRST_TIME_US]! < into[PARTIAL_FIRST_TIME_US]!) {
    into[PARTIAL_FIRST] = row[PARTIAL_FIRST]!
    into[PARTIAL_FIRST_TIME_US] = row[PARTIAL_FIRST_TIME_US]!
  }
  if (had === 0 || row[PARTIAL_LAST_TIME_US]! > into[PARTIAL_LAST_TIME_US]!) {
    into[PARTIAL_LAST] = row[PARTIAL_LAST]!
    into[PARTIAL_LAST_TIME_US] = row[PARTIAL_LAST_TIME_US]!
  }
}
