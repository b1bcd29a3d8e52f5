/**
 * Windows that must be computed from stored readings, as ranges per series. A range spans whole
 * windows of the largest size, so that it covers the window of every size that holds the reading.
 * Neighbours in arrival order merge: a year's import of one series is one range a frame.
 */
import type { DirtyRange } from './stream.ts'

export class DirtyRanges {
  readonly #largestMs: number
  #ranges: DirtyRange[] = []
  /** The range that a series' last mark fell into. */
  readonly #last = new Map<number, DirtyRange>()

  constructor(largestMs: number) {
    this.#largestMs = largestMs
  }

  /** All windows of `series` that hold event time `eventUs`. */
  mark(series: number, eventUs: number): void {
    this.markRange(series, eventUs, eventUs)
  }

  /** All windows of `series` that hold event times in [fromUs, throughUs]. */
  markRange(series: number, fromUs: number, throughUs: number): void {
    const size = this.#largestMs
    const fromMs = Math.floor(fromUs / 1000 / size) * size
    const toMs = (Math.floor(throughUs / 1000 / size) + 1) * size
    const last = this.#last.get(series)
    if (last !== undefined && fromMs <= last.toMs && toMs >= last.fromMs) {
      last.fromMs = Math.min(last.fromMs, fromMs)
      last.toMs = Math.max(last.toMs, toMs)
      return
    }
    const range = { series, fromMs, toMs }
    this.#last.set(series, range)
    this.#ranges.push(range)
  }

  /** All ranges since the last call. */
  take(): DirtyRange[] {
    const taken = this.#ranges
    this.#ranges = []
    this.#last.clear()
    return taken
  }
}
