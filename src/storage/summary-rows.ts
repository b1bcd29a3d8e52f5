/** Hours and days of readings in their order, and which of them are kept. */
import { addPartial, addReading, emptyPartial, Sketch, type ReadingRows } from '../query/query.ts'
import {
  PARTIAL_COUNT,
  PARTIAL_SERIES,
  PARTIAL_START_MS,
  PARTIAL_WINDOW_MS,
} from '../stream/stream.ts'
import { DAY_MS, HOUR_MS } from './rollup-coverage.ts'

/** So many times smaller than its readings is what is kept. */
const GAIN = 4
/** Of a row in a file without its sketch, about: see docs/decisions/0018. */
const ROW_BYTES = 45
/** In place of a row's count: it is not told here, whatever was said of it before. */
const UNTOLD = -1

/** All of a window, in the order of times; views, which are gone behind the call. */
export interface WindowReadings {
  timeUs: Float64Array
  value: Float64Array
}

type ConsumeWindow = (row: Float64Array, readings: WindowReadings) => void

/** Hours and days, from readings. */
export class WindowSums {
  readonly #consume: ConsumeWindow
  /** Of the day that is summed up. */
  #times = new Float64Array(1024)
  #values = new Float64Array(1024)
  #count = 0
  #hourAt = 0
  #hour: Float64Array | undefined
  #day: Float64Array | undefined
  #hourEndUs = -Infinity
  #dayEndUs = -Infinity
  #series = -1
  #timeUs = NaN

  constructor(consume: ConsumeWindow) {
    this.#consume = consume
  }

  /** In the order of series and time; of equal identities the first counts. */
  add({ count, series, timeUs, value }: ReadingRows): void {
    for (let row = 0; row < count; row++) {
      const time = timeUs[row]!
      const isSame = series[row] === this.#series
      if (isSame && time === this.#timeUs) continue
      if (!isSame || time >= this.#dayEndUs) this.#beginDay(series[row]!, time)
      if (time >= this.#hourEndUs) this.#beginHour(time)
      this.#timeUs = time
      this.#put(time, value[row]!)
    }
  }

  #beginDay(series: number, timeUs: number): void {
    this.end()
    const day = Math.floor(timeUs / (DAY_MS * 1000))
    this.#series = series
    this.#dayEndUs = (day + 1) * DAY_MS * 1000
    this.#day = emptyPartial({ series, windowMs: DAY_MS, startMs: day * DAY_MS })
  }

  #beginHour(timeUs: number): void {
    this.#endHour()
    const hour = Math.floor(timeUs / (HOUR_MS * 1000))
    this.#hourEndUs = (hour + 1) * HOUR_MS * 1000
    const key = { series: this.#series, windowMs: HOUR_MS, startMs: hour * HOUR_MS }
    this.#hour = emptyPartial(key)
    this.#hourAt = this.#count
  }

  #put(timeUs: number, value: number): void {
    if (this.#count === this.#values.length) {
      this.#times = grown(this.#times)
      this.#values = grown(this.#values)
    }
    this.#times[this.#count] = timeUs
    this.#values[this.#count++] = value
    addReading(this.#hour!, timeUs, value)
  }

  #endHour(): void {
    if (this.#hour === undefined) return
    addPartial(this.#day!, this.#hour)
    this.#consume(this.#hour, this.#readingsFrom(this.#hourAt))
    this.#hour = undefined
  }

  #readingsFrom(first: number): WindowReadings {
    const [timeUs, value] = [this.#times, this.#values]
    return {
      timeUs: timeUs.subarray(first, this.#count),
      value: value.subarray(first, this.#count),
    }
  }

  /** Behind the last of them. */
  end(): void {
    this.#endHour()
    if (this.#day !== undefined) this.#consume(this.#day, this.#readingsFrom(0))
    this.#day = undefined
    this.#count = 0
    this.#hourEndUs = -Infinity
    this.#series = -1
  }
}

function grown(column: Float64Array): Float64Array<ArrayBuffer> {
  const larger = new Float64Array(column.length * 2)
  larger.set(column)
  return larger
}

/** Rows that are several times smaller than what they sum up, with their sketches if they are. */
export class KeptRows {
  readonly #readingBytes: number
  /** Keys that are told by rows of before. */
  readonly #known = new Set<string>()
  rows: Float64Array[] = []
  sketches = new Map<Float64Array, Uint8Array>()

  /** `readingBytes`: of a reading in the files. */
  constructor(readingBytes: number) {
    this.#readingBytes = readingBytes
  }

  /** What is not kept of it now is no longer to be told by it. */
  replaces(row: Float64Array): void {
    if (row[PARTIAL_COUNT] !== UNTOLD) this.#known.add(keyOf(row))
  }

  keep(row: Float64Array, sketch: () => Uint8Array | undefined): void {
    const count = row[PARTIAL_COUNT]!
    const room = (count * this.#readingBytes) / GAIN - ROW_BYTES
    if (count > 0 && room < 0) return
    this.rows.push(row)
    this.#known.delete(keyOf(row))
    const bytes = count > 0 ? sketch() : undefined
    if (bytes !== undefined && bytes.length <= room) this.sketches.set(row, bytes)
  }

  /** All of them or none: they sum up `count` readings. */
  keepTogether(rows: readonly Float64Array[], count: number): void {
    if (rows.length * ROW_BYTES * GAIN > count * this.#readingBytes) return
    this.rows.push(...rows)
    for (const row of rows) this.#known.delete(keyOf(row))
  }

  /** In place of rows that were replaced by nothing. */
  untell(): void {
    for (const key of this.#known) {
      const [series, windowMs, startMs] = key.split(':').map(Number) as [number, number, number]
      const row = emptyPartial({ series, windowMs, startMs })
      row[PARTIAL_COUNT] = UNTOLD
      this.rows.push(row)
    }
    this.#known.clear()
  }

  take(): { rows: Float64Array[]; sketches: Map<Float64Array, Uint8Array> } {
    const { rows, sketches } = this
    this.rows = []
    this.sketches = new Map()
    return { rows, sketches }
  }
}

const keyOf = (row: Float64Array): string =>
  `${row[PARTIAL_SERIES]}:${row[PARTIAL_WINDOW_MS]}:${row[PARTIAL_START_MS]}`

export function sketchOf({ value }: WindowReadings): Uint8Array | undefined {
  const sketch = new Sketch()
  for (const one of value) sketch.add(one)
  return sketch.toBytes()
}
