/**
 * A device's windows, made by the stream's own code. They close when those of a fleet do in which
 * somebody always says something: the watermark is the clock less the allowed disorder. (In a fleet
 * that falls silent it may be later, by the idle timeout at most.)
 */
import type { SeriesDefinition } from '../batch/batch.ts'
import { PartialRows } from '../stream/partial-rows.ts'
import { CHUNK_MASK, CHUNK_SHIFT, SeriesState } from '../stream/series-state.ts'
import { PARTIAL_STRIDE } from '../stream/stream.ts'
import { Watermark } from '../stream/watermark.ts'
import { addToWindow, slotAt, slotsNeeded, Windows } from '../stream/windows.ts'
import type { BacktestQuestion } from './backtest.ts'

export class ReplayWindows {
  readonly #rows = new PartialRows()
  readonly #state: SeriesState
  readonly #windows: Windows
  readonly #disorderUs: number
  readonly #isWindowed: readonly boolean[]
  /** All that was added is in windows that end by then. */
  #openUntilUs = -Infinity

  constructor({ time, windowsMs }: BacktestQuestion['plan'], series: readonly SeriesDefinition[]) {
    const sizesUs = windowsMs.map((ms) => ms * 1000)
    this.#disorderUs = new Watermark(time).disorderUs
    const slots = slotsNeeded(sizesUs[0]!, this.#disorderUs)
    this.#state = new SeriesState(series.length, { slots, sizes: sizesUs.length })
    this.#windows = new Windows(sizesUs, this.#state, this.#rows)
    this.#isWindowed = series.map(({ kind }) => kind !== 'text')
  }

  /** When something is to be closed; Infinity while no window is open. */
  get closingUs(): number {
    const { closesAtUs } = this.#windows
    return closesAtUs <= this.#openUntilUs ? closesAtUs + this.#disorderUs : Infinity
  }

  add(series: number, atUs: number, value: number): void {
    if (!this.#isWindowed[series]) return
    // What was not closed for want of a window is behind it all the same.
    if (this.closingUs === Infinity) this.#windows.closeThrough(atUs - this.#disorderUs)
    const windows = this.#windows
    const slot = windows.slotOf(atUs)
    const { hot, cold, hotStride, coldStride } = this.#state
    const index = series >> CHUNK_SHIFT
    const chunk = hot[index] ?? this.#state.wake(index)
    const at = (series & CHUNK_MASK) * hotStride + slotAt(slot)
    const firstAt = (series & CHUNK_MASK) * coldStride + this.#state.firstAt(slot)
    if (addToWindow(chunk, at, cold[index]!, firstAt, atUs, value)) windows.opened(slot, series)
    const largestUs = windows.sizesUs.at(-1)!
    this.#openUntilUs = (Math.floor(atUs / largestUs) + 1) * largestUs
  }

  /** Closes what the clock has passed; undefined when no window had a reading. */
  close(atUs: number): Float64Array | undefined {
    this.#windows.closeThrough(atUs - this.#disorderUs)
    return this.#rows.take()
  }

  rowsIn(rows: Float64Array): number {
    return rows.length / PARTIAL_STRIDE
  }
}
