/**
 * Window partials that no segment holds yet: rows of PARTIAL_STRIDE numbers in arrival order, and
 * a chain through the rows of each series. A later row of a key replaces the earlier one.
 */
import {
  PARTIAL_IS_LATE,
  PARTIAL_SERIES,
  PARTIAL_START_MS,
  PARTIAL_STRIDE,
  PARTIAL_WINDOW_MS,
} from '../stream/stream.ts'

const NO_ROW = -1

export class RecentPartials {
  #rows = new Float64Array(64 * PARTIAL_STRIDE)
  #previous = new Int32Array(64)
  readonly #newest = new Map<number, number>()
  count = 0

  append(partials: Float64Array): void {
    const added = partials.length / PARTIAL_STRIDE
    this.#reserve(this.count + added)
    this.#rows.set(partials, this.count * PARTIAL_STRIDE)
    for (let row = this.count; row < this.count + added; row++) {
      const series = this.#rows[row * PARTIAL_STRIDE + PARTIAL_SERIES]!
      this.#previous[row] = this.#newest.get(series) ?? NO_ROW
      this.#newest.set(series, row)
    }
    this.count += added
  }

  #reserve(count: number): void {
    let capacity = this.#previous.length
    if (count <= capacity) return
    while (capacity < count) capacity *= 2
    const rows = new Float64Array(capacity * PARTIAL_STRIDE)
    const previous = new Int32Array(capacity)
    rows.set(this.#rows)
    previous.set(this.#previous)
    this.#rows = rows
    this.#previous = previous
  }

  /** Calls back for each row below `limit` of one series, newest first; rows are views. */
  walk(series: number, limit: number, visit: (row: Float64Array) => void): void {
    let row = this.#newest.get(series) ?? NO_ROW
    while (row !== NO_ROW) {
      if (row < limit) visit(this.row(row))
      row = this.#previous[row]!
    }
  }

  row(index: number): Float64Array {
    return this.#rows.subarray(index * PARTIAL_STRIDE, (index + 1) * PARTIAL_STRIDE)
  }
}

/** The newest row of each key, sorted by window, series, start, on-time before late. */
export function settlePartials(parts: readonly RecentPartials[]): Float64Array[] {
  const rows: Float64Array[] = []
  for (const part of parts) {
    for (let row = 0; row < part.count; row++) rows.push(part.row(row))
  }
  rows.sort(compareKeys)
  // The sort is stable, so the last of equal keys is the newest.
  return rows.filter((row, at) => at + 1 === rows.length || compareKeys(row, rows[at + 1]!) !== 0)
}

const KEY = [PARTIAL_WINDOW_MS, PARTIAL_SERIES, PARTIAL_START_MS, PARTIAL_IS_LATE] as const

function compareKeys(a: Float64Array, b: Float64Array): number {
  for (const column of KEY) {
    const difference = a[column]! - b[column]!
    if (difference !== 0) return difference
  }
  return 0
}
