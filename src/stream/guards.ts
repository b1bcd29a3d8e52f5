/**
 * What the hot path looks at of a series that rules watch, in half a cache line:
 *
 *   low | high | last value | number of its rule set
 *
 * A reading from low to high breaches nothing and changes nothing, and only becomes the last value.
 * NaN for both has every reading looked at: the first one, and all while something goes on.
 */
import { SERIES_RULED } from './series-flags.ts'

export const GUARD_STRIDE = 4
export const LOW = 0
export const HIGH = 1
export const LAST = 2
export const SET = 3

export const LAST_CHUNK = 1024

export class Guards {
  readonly table: Float64Array
  /** 1 where last values changed since the last checkpoint, by 1,024 series. */
  readonly changed: Uint8Array
  readonly #flags: Uint8Array
  #count = 0

  constructor(seriesMax: number, flags: Uint8Array) {
    this.#flags = flags
    this.table = new Float64Array(seriesMax * GUARD_STRIDE)
    this.changed = new Uint8Array(Math.ceil(seriesMax / LAST_CHUNK))
  }

  /** Only what is written is there. */
  get bytesHeld(): number {
    return this.#count * GUARD_STRIDE * 8
  }

  setOf(series: number): number {
    return this.table[series * GUARD_STRIDE + SET]!
  }

  lastOf(series: number): number {
    return this.table[series * GUARD_STRIDE + LAST]!
  }

  setLast(series: number, value: number): void {
    this.table[series * GUARD_STRIDE + LAST] = value
    this.changed[series >> 10] = 1
  }

  /** The series has other rules: none of them knows of any reading. */
  bind(series: number, set: number): void {
    const { table } = this
    const at = series * GUARD_STRIDE
    if (table[at + SET] === 0) table[at + LAST] = NaN
    table[at + SET] = set
    this.#count = Math.max(this.#count, series + 1)
    if (set === 0) this.#flags[series]! &= ~SERIES_RULED
    else this.#flags[series]! |= SERIES_RULED
    this.open(series)
  }

  /** Every reading is to be looked at. */
  open(series: number): void {
    const at = series * GUARD_STRIDE
    this.table[at + LOW] = NaN
    this.table[at + HIGH] = NaN
  }

  forget(series: number): void {
    this.open(series)
    this.table[series * GUARD_STRIDE + LAST] = NaN
    this.changed[series >> 10] = 1
  }

  /** Last values that changed since the last call, by chunks of series. */
  takeChanged(): [number, Float64Array<ArrayBuffer>][] {
    const taken: [number, Float64Array<ArrayBuffer>][] = []
    for (const [chunk, isChanged] of this.changed.entries())
      if (isChanged === 1) {
        const place = (row: number): number => (chunk * LAST_CHUNK + row) * GUARD_STRIDE + LAST
        const rows = Float64Array.from({ length: LAST_CHUNK }, (_, row) => this.table[place(row)]!)
        taken.push([chunk, rows])
      }
    this.changed.fill(0)
    return taken
  }

  /** Takes over a chunk, of the series that are watched. */
  restore(chunk: number, source: Float64Array): void {
    for (const [row, value] of source.entries()) {
      const at = (chunk * LAST_CHUNK + row) * GUARD_STRIDE
      if (this.table[at + SET]! > 0) this.table[at + LAST] = value
    }
    this.changed[chunk] = 1
  }
}
