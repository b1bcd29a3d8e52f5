/** The rows of a batch as PostgreSQL takes them, and which months they need. */
import {
  PARTIAL_COUNT,
  PARTIAL_FIRST,
  PARTIAL_FIRST_TIME_US,
  PARTIAL_IS_LATE,
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
import { CopyRows } from './copy.ts'
import { contains, type Span } from '../query/query.ts'
import { monthOf, monthStartMs } from './month-partitions.ts'
import type { SeriesIds, WrittenReadings } from './postgres.ts'
import { OLDEST_MS } from './rollup-tables.ts'
import type { Month } from './time-tables.ts'
import type { ErasedSeries } from './writer-tombstones.ts'

const READING_BYTES = 42
/** A NULL, or the length of a text. */
const TEXT_LENGTH_BYTES = 4
const PARTIAL_BYTES = 200
const NONE: readonly Span[] = []

export const READING_COLUMNS = 'series, device_hash, time_us, value'
export const PARTIAL_COLUMNS =
  'series, window_ms, start_ms, is_late, count, sum, min, max, mean, squares, first, first_us, last, last_us'

export interface EncodedRows {
  rows: CopyRows
  months: Set<Month>
  /** Left out: not finite, before 2000 or from `timeMaxMs` on. */
  refused: number
  /** Left out: it was erased. */
  erased: number
  /** Of the rows; Infinity and -Infinity of none. */
  oldestMs: number
  newestMs: number
}

export interface RowLimits {
  timeMaxMs: number
  erased: ErasedSeries
}

/** The months of rows that come one after the other, nearly all in the same. */
class MonthWatch {
  readonly months = new Set<Month>()
  oldestMs = Infinity
  newestMs = -Infinity
  #startMs = Infinity
  #endMs = -Infinity

  note(timeMs: number): void {
    if (timeMs < this.oldestMs) this.oldestMs = timeMs
    if (timeMs > this.newestMs) this.newestMs = timeMs
    if (timeMs >= this.#startMs && timeMs < this.#endMs) return
    const month = monthOf(timeMs)
    this.#startMs = monthStartMs(month)
    this.#endMs = monthStartMs(month + 1)
    this.months.add(month)
  }
}

/** More rows are not sorted: a place must fit beside an id into 53 bits. */
const SORTED_MAX = 2 ** 21

/**
 * The places of the rows, by series, within a series in the order of the batch. Rows of a series
 * then meet the same page of the index, and lie together where queries read them.
 */
function bySeries({ count, series }: WrittenReadings, ids: Int32Array): Float64Array {
  const places = Float64Array.from({ length: count }, (_, row) => row)
  if (count > SORTED_MAX) return places
  for (let row = 0; row < count; row++) places[row]! += ids[series[row]!]! * SORTED_MAX
  places.sort()
  for (let row = 0; row < count; row++) places[row]! %= SORTED_MAX
  return places
}

/** READING_COLUMNS, and `text_value` behind them if there are texts. */
export function encodeReadings(
  readings: WrittenReadings,
  series: SeriesIds,
  { timeMaxMs, erased }: RowLimits,
): EncodedRows {
  const { count, timeUs, value, texts } = readings
  const { ids, hashes } = series
  const rows = new CopyRows(texts === undefined ? 4 : 5)
  rows.reserve(count, READING_BYTES + (texts === undefined ? 0 : TEXT_LENGTH_BYTES))
  const watch = new MonthWatch()
  const left = { refused: 0, erased: 0 }
  for (const row of bySeries(readings, ids)) {
    const timeMs = timeUs[row]! / 1000
    // Said this way around, NaN is refused too.
    if (!(timeMs >= OLDEST_MS && timeMs < timeMaxMs && Number.isFinite(value[row]!))) {
      left.refused++
      continue
    }
    const index = readings.series[row]!
    if (erased.size > 0 && contains(erased.get(index) ?? NONE, timeUs[row]!)) {
      left.erased++
      continue
    }
    watch.note(timeMs)
    rows.row()
    rows.integer(ids[index]!)
    rows.integer(hashes[index]!)
    rows.long(timeUs[row]!)
    rows.double(value[row]!)
    if (texts !== undefined) rows.text(texts[row])
  }
  const { months, oldestMs, newestMs } = watch
  return { rows, months, ...left, oldestMs, newestMs }
}

/** PARTIAL_COLUMNS, and the row's place in the batch behind them. */
export function encodePartials(
  partials: Float64Array,
  series: SeriesIds,
  { timeMaxMs, erased }: RowLimits,
): EncodedRows {
  const count = partials.length / PARTIAL_STRIDE
  const rows = new CopyRows(PARTIAL_STRIDE + 1)
  rows.reserve(count, PARTIAL_BYTES)
  const watch = new MonthWatch()
  const left = { refused: 0, erased: 0 }
  for (let row = 0; row < count; row++) {
    const partial = partials.subarray(row * PARTIAL_STRIDE, (row + 1) * PARTIAL_STRIDE)
    const startMs = partial[PARTIAL_START_MS]!
    const endMs = startMs + partial[PARTIAL_WINDOW_MS]!
    if (!(endMs > OLDEST_MS && startMs < timeMaxMs) || partial.some(Number.isNaN)) {
      left.refused++
      continue
    }
    const [startUs, endUs] = [startMs * 1000, endMs * 1000]
    const spans = erased.get(partial[PARTIAL_SERIES]!) ?? NONE
    // It holds, or held, something erased: readings tell its window.
    if (spans.some((span) => span.startUs < endUs && startUs < span.endUs)) {
      left.erased++
      continue
    }
    watch.note(startMs)
    rows.row()
    rows.integer(series.ids[partial[PARTIAL_SERIES]!]!)
    rows.integer(partial[PARTIAL_WINDOW_MS]!)
    rows.long(startMs)
    rows.boolean(partial[PARTIAL_IS_LATE] === 1)
    rows.long(partial[PARTIAL_COUNT]!)
    rows.double(partial[PARTIAL_SUM]!)
    rows.double(partial[PARTIAL_MIN]!)
    rows.double(partial[PARTIAL_MAX]!)
    rows.double(partial[PARTIAL_MEAN]!)
    rows.double(partial[PARTIAL_SQUARES]!)
    rows.double(partial[PARTIAL_FIRST]!)
    rows.long(partial[PARTIAL_FIRST_TIME_US]!)
    rows.double(partial[PARTIAL_LAST]!)
    rows.long(partial[PARTIAL_LAST_TIME_US]!)
    rows.integer(row)
  }
  const { months, oldestMs, newestMs } = watch
  return { rows, months, ...left, oldestMs, newestMs }
}
