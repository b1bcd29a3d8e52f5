/**
 * Whether the page indexes of a readings file say what is in its pages. Pages carry checksums; the
 * tail's is in the catalogue, and without one a flipped bit in a bound would hide rows.
 */
import type { PageTable } from '../parquet/parquet.ts'
import { SERIES, TIME } from './reading-columns.ts'
import type { SegmentRows } from './segment-files.ts'

export class TailCheck {
  readonly #series: PageTable
  readonly #times: PageTable
  #row = 0
  #block = 0
  #bounds = { leastSeries: Infinity, mostSeries: -Infinity, leastMs: Infinity, mostMs: -Infinity }

  constructor(tables: readonly PageTable[]) {
    this.#series = tables[SERIES]!
    this.#times = tables[TIME]!
  }

  /** All rows, in the order of the file. Throws RangeError. */
  add({ count, series, timeUs }: SegmentRows): void {
    for (let row = 0; row < count; row++) {
      if (this.#row === this.#series.firstRow[this.#block + 1]) this.#endBlock()
      const bounds = this.#bounds
      const ms = Math.floor(timeUs[row]! / 1000)
      bounds.leastSeries = Math.min(bounds.leastSeries, series[row]!)
      bounds.mostSeries = Math.max(bounds.mostSeries, series[row]!)
      bounds.leastMs = Math.min(bounds.leastMs, ms)
      bounds.mostMs = Math.max(bounds.mostMs, ms)
      this.#row++
    }
  }

  /** Throws RangeError. */
  finish(): void {
    this.#endBlock()
    const { count, firstRow } = this.#series
    if (this.#block !== count || this.#row !== firstRow[count]) throw differ()
  }

  #endBlock(): void {
    const at = this.#block++
    const { leastSeries, mostSeries, leastMs, mostMs } = this.#bounds
    const isRight =
      this.#series.least[at] === leastSeries &&
      this.#series.most[at] === mostSeries &&
      this.#times.least[at] === leastMs &&
      this.#times.most[at] === mostMs
    if (!isRight) throw differ()
    this.#bounds = {
      ...{ leastSeries: Infinity, mostSeries: -Infinity, leastMs: Infinity, mostMs: -Infinity },
    }
  }
}

const differ = (): RangeError => new RangeError('its page indexes differ from its pages')
