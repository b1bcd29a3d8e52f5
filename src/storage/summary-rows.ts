/** Partials of the hours of a day, and of the day, of readings in the order of series and time. */
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

const HOUR_US = 3_600_000_000

export class SummaryRows {
  readonly #dayMs: number
  #rows: Float64Array[] = []
  #hour: Float64Array | undefined
  #day: Float64Array | undefined
  #hourEndUs = 0
  #series = -1
  #timeUs = NaN

  constructor(dayMs: number) {
    this.#dayMs = dayMs
  }

  /** Of equal identities the first write comes first, and counts. */
  add({ count, series, timeUs, value }: ReadingRows): void {
    for (let row = 0; row < count; row++) {
      const time = timeUs[row]!
      if (series[row] === this.#series && time === this.#timeUs) continue
      if (series[row] !== this.#series) this.#begin(series[row]!)
      if (this.#hour === undefined || time >= this.#hourEndUs) this.#beginHour(time)
      this.#timeUs = time
      put(this.#hour!, time, value[row]!)
      put(this.#day!, time, value[row]!)
    }
  }

  #begin(series: number): void {
    this.#series = series
    this.#hour = undefined
    this.#day = this.#row(86_400_000, this.#dayMs)
  }

  #beginHour(timeUs: number): void {
    const hour = Math.floor(timeUs / HOUR_US)
    this.#hourEndUs = (hour + 1) * HOUR_US
    this.#hour = this.#row(3_600_000, (hour * HOUR_US) / 1000)
  }

  #row(windowMs: number, startMs: number): Float64Array {
    const row = new Float64Array(PARTIAL_STRIDE)
    row[PARTIAL_SERIES] = this.#series
    row[PARTIAL_WINDOW_MS] = windowMs
    row[PARTIAL_START_MS] = startMs
    this.#rows.push(row)
    return row
  }

  take(): Float64Array[] {
    const rows = this.#rows
    this.#rows = []
    return rows
  }
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
