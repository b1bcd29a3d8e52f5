/** Hours and days of readings in their order, hours of fleets, and which of them are kept. */
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

/** `values` are all of the window, and a view: it is gone behind the call. */
type ConsumeWindow = (row: Float64Array, values: Float64Array) => void

/** Hours and days, from readings. */
export class WindowSums {
  readonly #consume: ConsumeWindow
  /** Of the day that is summed up. */
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
      const values = new Float64Array(this.#count * 2)
      values.set(this.#values)
      this.#values = values
    }
    this.#values[this.#count++] = value
    addReading(this.#hour!, timeUs, value)
  }

  #endHour(): void {
    if (this.#hour === undefined) return
    addPartial(this.#day!, this.#hour)
    this.#consume(this.#hour, this.#values.subarray(this.#hourAt, this.#count))
    this.#hour = undefined
  }

  /** Behind the last of them. */
  end(): void {
    this.#endHour()
    if (this.#day !== undefined) this.#consume(this.#day, this.#values.subarray(0, this.#count))
    this.#day = undefined
    this.#count = 0
    this.#hourEndUs = -Infinity
    this.#series = -1
  }
}

/** What all series of a fleet had in an hour. */
export class FleetSums {
  readonly #fleetOf: (series: number) => number
  /** By start, by fleet. */
  readonly #sums = new Map<number, Map<number, { row: Float64Array; sketch: Sketch | undefined }>>()

  constructor(fleetOf: (series: number) => number) {
    this.#fleetOf = fleetOf
  }

  /** An hour of a series. */
  add(row: Float64Array, values: Float64Array): void {
    const sketch = this.#addRow(row)
    for (const value of values) sketch.add(value)
  }

  addSketched(row: Float64Array, sketch: Uint8Array): void {
    this.#addRow(row).addBytes(sketch)
  }

  #addRow(row: Float64Array): Sketch {
    const sum = this.#sum(this.#fleetOf(row[PARTIAL_SERIES]!), row[PARTIAL_START_MS]!)
    addPartial(sum.row, row)
    return (sum.sketch ??= new Sketch())
  }

  /** Of an hour in which there may be nothing, that is told. */
  begin(fleet: number, startMs: number): void {
    this.#sum(fleet, startMs)
  }

  #sum(fleet: number, startMs: number) {
    let ofHour = this.#sums.get(startMs)
    if (ofHour === undefined) this.#sums.set(startMs, (ofHour = new Map()))
    const known = ofHour.get(fleet)
    if (known !== undefined) return known
    const row = emptyPartial({ series: fleet, windowMs: HOUR_MS, startMs })
    const sum: { row: Float64Array; sketch: Sketch | undefined } = { row, sketch: undefined }
    ofHour.set(fleet, sum)
    return sum
  }

  keepIn(kept: KeptRows): void {
    for (const ofHour of this.#sums.values()) {
      for (const { row, sketch } of ofHour.values()) kept.keep(row, () => sketch?.toBytes())
    }
  }
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

export function sketchOf(values: Float64Array): Uint8Array | undefined {
  const sketch = new Sketch()
  for (const value of values) sketch.add(value)
  return sketch.toBytes()
}
