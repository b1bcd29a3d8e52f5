/** Rows of PARTIAL_STRIDE float64 that grow as one frame's partials are emitted. */
import {
  PARTIAL_COUNT,
  PARTIAL_MEAN,
  PARTIAL_SQUARES,
  PARTIAL_STRIDE,
  PARTIAL_SUM,
} from './stream.ts'

const ROWS_AT_FIRST = 256

export class PartialRows {
  #rows = new Float64Array(ROWS_AT_FIRST * PARTIAL_STRIDE)
  #count = 0

  get count(): number {
    return this.#count
  }

  /** Makes room for `count` more rows; returns the array and leaves the cursor where it was. */
  reserve(count: number): Float64Array {
    const needed = (this.#count + count) * PARTIAL_STRIDE
    if (needed > this.#rows.length) {
      const grown = new Float64Array(Math.max(needed, this.#rows.length * 2))
      grown.set(this.#rows.subarray(0, this.#count * PARTIAL_STRIDE))
      this.#rows = grown
    }
    return this.#rows
  }

  /** The position of the next row, whose room was reserved. */
  next(): number {
    return this.#count++ * PARTIAL_STRIDE
  }

  /** All rows, valid until the next one; starts anew. */
  drain(): Float64Array {
    const drained = this.#rows.subarray(0, this.#count * PARTIAL_STRIDE)
    this.#count = 0
    return drained
  }

  /**
   * All rows as one array of their own, or undefined; starts anew. Those of a fleet whose windows
   * closed are many MB: they are handed over as they are.
   */
  take(): Float64Array<ArrayBuffer> | undefined {
    if (this.#count === 0) return undefined
    const length = this.#count * PARTIAL_STRIDE
    this.#count = 0
    if (this.#rows.length === ROWS_AT_FIRST * PARTIAL_STRIDE) return this.#rows.slice(0, length)
    const taken = this.#rows.subarray(0, length)
    this.#rows = new Float64Array(ROWS_AT_FIRST * PARTIAL_STRIDE)
    return taken
  }
}

/** A window's moments as they are kept: sums of offsets from a pivot, and of their squares. */
interface Moments {
  count: number
  pivot: number
  offsets: number
  squares: number
}

/** Turns moments into what a partial says: count, sum, mean and centred sum of squares. */
export function writeMoments(
  rows: Float64Array,
  at: number,
  { count, pivot, offsets, squares }: Moments,
): void {
  rows[at + PARTIAL_COUNT] = count
  rows[at + PARTIAL_SUM] = count * pivot + offsets
  rows[at + PARTIAL_MEAN] = pivot + offsets / count
  rows[at + PARTIAL_SQUARES] = Math.max(0, squares - (offsets * offsets) / count)
}
