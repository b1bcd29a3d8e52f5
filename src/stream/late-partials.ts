/**
 * Late partials: a reading whose window was emitted, but whose window's end plus the allowed
 * lateness the watermark has not passed. Each is an upsert: a frame that touched it emits its whole
 * value once. Their number is bounded; what does not fit is recomputed from storage instead.
 */
import { type PartialRows, writeMoments } from './partial-rows.ts'
import * as words from './stream.ts'

const STRIDE = words.PARTIAL_STRIDE
/** While a row is held, these places carry its moments as in windows.ts: sums from a pivot. */
const PIVOT = words.PARTIAL_SUM
const OFFSETS = words.PARTIAL_MEAN
/** Rows grow by doubling from here, so that a calm stream holds almost nothing. */
const ROWS_MIN = 256

export class LatePartials {
  readonly #rowsMax: number
  readonly #rows: PartialRows
  #table = new Float64Array(ROWS_MIN * STRIDE)
  #isTouched = new Uint8Array(ROWS_MIN)
  #rowCount = 0
  #free: number[] = []
  #touched: number[] = []
  /** Per size: window start (ms) → series → row. A window's rows expire together. */
  readonly #windows: Map<number, Map<number, number>>[]
  readonly #windowsMs: readonly number[]
  /** True when something changed since the last checkpoint. */
  isChanged = false

  constructor(windowsMs: readonly number[], rowsMax: number, rows: PartialRows) {
    this.#windowsMs = windowsMs
    this.#rowsMax = rowsMax
    this.#rows = rows
    this.#windows = windowsMs.map(() => new Map())
  }

  get count(): number {
    return this.#rowCount - this.#free.length
  }

  get bytesHeld(): number {
    return this.#table.byteLength
  }

  /** Counts a late reading into window `startMs` of size `k`; false when there is no room. */
  add(k: number, startMs: number, series: number, time: number, value: number): boolean {
    const row = this.#find(k, startMs, series)
    if (row === -1) return false
    this.isChanged = true
    if (this.#isTouched[row] === 0) {
      this.#isTouched[row] = 1
      this.#touched.push(row)
    }
    addToRow(this.#table, row * STRIDE, time, value)
    return true
  }

  /** Emits every partial that was touched since the last flush, in order of the first touch. */
  flush(): void {
    for (const row of this.#touched) this.#emit(row)
    this.#touched.length = 0
  }

  /** Forgets the windows of size `k` that start at or before `throughMs`. */
  expire(k: number, throughMs: number): void {
    const windows = this.#windows[k]!
    for (const [start, rows] of windows) {
      if (start > throughMs) continue
      // What this frame touched is emitted before it goes; all of it, so that the order is kept.
      this.flush()
      for (const row of rows.values()) {
        this.#table[row * STRIDE + words.PARTIAL_COUNT] = 0
        this.#free.push(row)
      }
      windows.delete(start)
      this.isChanged = true
    }
  }

  /** Live rows for a checkpoint. Call between frames only: what is touched must be flushed. */
  snapshot(): Float64Array<ArrayBuffer> {
    const snapshot = new Float64Array(this.count * STRIDE)
    let to = 0
    for (let row = 0; row < this.#rowCount; row++) {
      const from = row * STRIDE
      if (this.#table[from + words.PARTIAL_COUNT] === 0) continue
      snapshot.set(this.#table.subarray(from, from + STRIDE), to)
      to += STRIDE
    }
    return snapshot
  }

  /** Takes over a snapshot's rows of wanted series whose window size is still in the plan. */
  restore(snapshot: Float64Array, wanted: ReadonlySet<number>): void {
    for (let from = 0; from < snapshot.length; from += STRIDE) {
      if (!wanted.has(snapshot[from + words.PARTIAL_SERIES]!)) {
        this.isChanged = true
        continue
      }
      const k = this.#windowsMs.indexOf(snapshot[from + words.PARTIAL_WINDOW_MS]!)
      if (k === -1) continue
      const startMs = snapshot[from + words.PARTIAL_START_MS]!
      const row = this.#find(k, startMs, snapshot[from + words.PARTIAL_SERIES]!)
      if (row !== -1) this.#table.set(snapshot.subarray(from, from + STRIDE), row * STRIDE)
    }
  }

  #find(k: number, startMs: number, series: number): number {
    const windows = this.#windows[k]!
    let window = windows.get(startMs)
    const known = window?.get(series)
    if (known !== undefined) return known
    const row = this.#take()
    if (row === -1) return -1
    if (window === undefined) windows.set(startMs, (window = new Map()))
    window.set(series, row)
    const at = row * STRIDE
    this.#table.fill(0, at, at + STRIDE)
    this.#table[at + words.PARTIAL_SERIES] = series
    this.#table[at + words.PARTIAL_WINDOW_MS] = this.#windowsMs[k]!
    this.#table[at + words.PARTIAL_START_MS] = startMs
    this.#table[at + words.PARTIAL_IS_LATE] = 1
    return row
  }

  #take(): number {
    const free = this.#free.pop()
    if (free !== undefined) return free
    if (this.#rowCount === this.#rowsMax) return -1
    if (this.#rowCount === this.#isTouched.length) {
      const grown = Math.min(this.#rowCount * 2, Math.max(this.#rowsMax, ROWS_MIN))
      const table = new Float64Array(grown * STRIDE)
      table.set(this.#table)
      const isTouched = new Uint8Array(grown)
      isTouched.set(this.#isTouched)
      this.#table = table
      this.#isTouched = isTouched
    }
    return this.#rowCount++
  }

  #emit(row: number): void {
    if (this.#isTouched[row] === 0) return
    this.#isTouched[row] = 0
    const rows = this.#rows.reserve(1)
    const from = row * STRIDE
    const to = this.#rows.next()
    rows.set(this.#table.subarray(from, from + STRIDE), to)
    writeMoments(rows, to, {
      count: rows[to + words.PARTIAL_COUNT]!,
      pivot: rows[to + PIVOT]!,
      offsets: rows[to + OFFSETS]!,
      squares: rows[to + words.PARTIAL_SQUARES]!,
    })
  }
}

/** As `addToWindow`, on a row of the emitted shape. */
function addToRow(table: Float64Array, at: number, time: number, value: number): void {
  const count = table[at + words.PARTIAL_COUNT]! + 1
  const isOnly = count === 1
  if (isOnly) table[at + PIVOT] = value
  const offset = value - table[at + PIVOT]!
  table[at + words.PARTIAL_COUNT] = count
  table[at + OFFSETS] = table[at + OFFSETS]! + offset
  table[at + words.PARTIAL_SQUARES] = table[at + words.PARTIAL_SQUARES]! + offset * offset
  if (isOnly || value < table[at + words.PARTIAL_MIN]!) table[at + words.PARTIAL_MIN] = value
  if (isOnly || value > table[at + words.PARTIAL_MAX]!) table[at + words.PARTIAL_MAX] = value
  if (isOnly || time < table[at + words.PARTIAL_FIRST_TIME_US]!) {
    table[at + words.PARTIAL_FIRST] = value
    table[at + words.PARTIAL_FIRST_TIME_US] = time
  }
  if (isOnly || time > table[at + words.PARTIAL_LAST_TIME_US]!) {
    table[at + words.PARTIAL_LAST] = value
    table[at + words.PARTIAL_LAST_TIME_US] = time
  }
}
