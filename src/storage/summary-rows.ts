/** Partials of hours and days: of readings in their order, or of finer partials. */
import type { ReadingRows } from '../query/query.ts'
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
import { HOUR_MS } from './rollup-coverage.ts'

const HOUR_US = HOUR_MS * 1000

/** Of hours, from readings. */
export class HourRows {
  #rows: Float64Array[] = []
  #hour: Float64Array | undefined
  #hourEndUs = 0
  #series = -1
  #timeUs = NaN

  /** Of equal identities the first write comes first, and counts. */
  add({ count, series, timeUs, value }: ReadingRows): void {
    for (let row = 0; row < count; row++) {
      const time = timeUs[row]!
      const isSame = series[row] === this.#series
      if (isSame && time === this.#timeUs) continue
      if (!isSame || time >= this.#hourEndUs) this.#begin(series[row]!, time)
      this.#timeUs = time
      put(this.#hour!, time, value[row]!)
    }
  }

  #begin(series: number, timeUs: number): void {
    const hour = Math.floor(timeUs / HOUR_US)
    this.#series = series
    this.#hourEndUs = (hour + 1) * HOUR_US
    this.#hour = emptyPartial({ series, windowMs: HOUR_MS, startMs: hour * HOUR_MS })
    this.#rows.push(this.#hour)
  }

  /** In the order of series and time. */
  take(): Float64Array[] {
    const rows = this.#rows
    this.#rows = []
    this.#series = -1
    return rows
  }
}

/** What lies in one window and has one number becomes one partial. */
export class PartialSums {
  readonly #windowMs: number
  readonly #numberOf: (series: number) => number
  /** By start, by number. */
  readonly #sums = new Map<number, Map<number, Float64Array>>()
  /** In the order in which they were begun. */
  readonly rows: Float64Array[] = []

  constructor(windowMs: number, numberOf: (series: number) => number = (series) => series) {
    this.#windowMs = windowMs
    this.#numberOf = numberOf
  }

  add(rows: Iterable<Float64Array>): this {
    for (const row of rows) {
      const startMs = Math.floor(row[PARTIAL_START_MS]! / this.#windowMs) * this.#windowMs
      addPartial(this.sum(this.#numberOf(row[PARTIAL_SERIES]!), startMs), row)
    }
    return this
  }

  /** Empty when there was nothing yet. */
  sum(series: number, startMs: number): Float64Array {
    let ofWindow = this.#sums.get(startMs)
    if (ofWindow === undefined) this.#sums.set(startMs, (ofWindow = new Map()))
    const known = ofWindow.get(series)
    if (known !== undefined) return known
    const row = emptyPartial({ series, windowMs: this.#windowMs, startMs })
    ofWindow.set(series, row)
    this.rows.push(row)
    return row
  }
}

function emptyPartial(key: { series: number; windowMs: number; startMs: number }): Float64Array {
  const row = new Float64Array(PARTIAL_STRIDE)
  row[PARTIAL_SERIES] = key.series
  row[PARTIAL_WINDOW_MS] = key.windowMs
  row[PARTIAL_START_MS] = key.startMs
  return row
}

/** As the stream's windows do it: Welford, so that squares do not cancel. */
function put(row: Float64Array, timeUs: number, value: number): void {
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
function addPartial(into: Float64Array, row: Float64Array): void {
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
