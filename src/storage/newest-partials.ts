/** Partials of one window size, of each key the newest: rows of several segments and of memory. */
import {
  PARTIAL_IS_LATE,
  PARTIAL_SERIES,
  PARTIAL_START_MS,
  PARTIAL_STRIDE,
} from '../stream/stream.ts'

export class NewestPartials {
  #rows = new Float64Array(64 * PARTIAL_STRIDE)
  #offsets = new Float64Array(64)
  readonly #sketches: (Uint8Array | undefined)[] = []
  /** By series, with late ones apart: by start, the place. */
  readonly #places = new Map<number, Map<number, number>>()
  count = 0

  /** Of equal offsets the first row counts. True: its key is new. */
  add(row: Float64Array, offset: number, sketch?: Uint8Array): boolean {
    const key = row[PARTIAL_SERIES]! * 2 + row[PARTIAL_IS_LATE]!
    let starts = this.#places.get(key)
    if (starts === undefined) this.#places.set(key, (starts = new Map()))
    const known = starts.get(row[PARTIAL_START_MS]!)
    if (known !== undefined && this.#offsets[known]! >= offset) return false
    const place = known ?? this.#reserve()
    this.#offsets[place] = offset
    this.#rows.set(row, place * PARTIAL_STRIDE)
    if (sketch !== undefined || known !== undefined) this.#sketches[place] = sketch
    if (known === undefined) starts.set(row[PARTIAL_START_MS]!, place)
    return known === undefined
  }

  #reserve(): number {
    if (this.count === this.#offsets.length) {
      const rows = new Float64Array(this.#rows.length * 2)
      rows.set(this.#rows)
      this.#rows = rows
      const offsets = new Float64Array(this.#offsets.length * 2)
      offsets.set(this.#offsets)
      this.#offsets = offsets
    }
    return this.count++
  }

  /** Views, in the order in which their keys came, with their sketches. */
  each(consume: (row: Float64Array, sketch?: Uint8Array) => void): void {
    for (let place = 0; place < this.count; place++) {
      const row = this.#rows.subarray(place * PARTIAL_STRIDE, (place + 1) * PARTIAL_STRIDE)
      consume(row, this.#sketches[place])
    }
  }
}
