/**
 * For back-tests: a device's windows, made by the stream's own code. They close when those of a
 * fleet do in which somebody always says something: the watermark is the clock less the allowed
 * disorder. (In a fleet that falls silent it may be later, by the idle timeout at most.)
 */
import type { SeriesDefinition } from '../batch/batch.ts'
import type { Plan, Rule } from '../pipeline/pipeline.ts'
import { PartialRows } from './partial-rows.ts'
import { CHUNK_MASK, CHUNK_SHIFT, SeriesState } from './series-state.ts'
import { Watermark } from './watermark.ts'
import { addToWindow, slotAt, slotsNeeded, Windows } from './windows.ts'

/** Flink's rule: a window is emitted when the watermark reaches its end - 1 ms. */
const CLOSING_US = 1000

export class ReplayWindows {
  readonly #rows = new PartialRows()
  readonly #state: SeriesState
  readonly #windows: Windows
  readonly #disorderUs: number
  readonly #isWindowed: readonly boolean[]
  /** Places of the sizes that rules look at; the others are closed without a stop. */
  readonly #used: readonly number[]
  #newestUs = -Infinity

  constructor(
    { time, windowsMs }: Pick<Plan, 'time' | 'windowsMs'>,
    { rules, series }: { rules: readonly Rule[]; series: readonly SeriesDefinition[] },
  ) {
    const sizesUs = windowsMs.map((ms) => ms * 1000)
    this.#disorderUs = new Watermark(time).disorderUs
    const slots = slotsNeeded(sizesUs[0]!, this.#disorderUs)
    this.#state = new SeriesState(series.length, { slots, sizes: sizesUs.length })
    this.#windows = new Windows(sizesUs, this.#state, this.#rows)
    this.#isWindowed = series.map(({ kind }) => kind !== 'text')
    this.#used = [...windowsMs.keys()].filter((k) =>
      rules.some(({ windowMs }) => windowMs === windowsMs[k]),
    )
  }

  /** When a window is to be closed that rules look at; Infinity while none has readings. */
  get closingUs(): number {
    const { sizesUs, emittedUpToUs } = this.#windows
    let closingUs = Infinity
    for (const k of this.#used) {
      const startUs = emittedUpToUs[k]!
      if (startUs === -Infinity || this.#newestUs < startUs) continue
      closingUs = Math.min(closingUs, startUs + sizesUs[k]!)
    }
    return closingUs - CLOSING_US + this.#disorderUs
  }

  /** The clock has been stopped at every closing before. */
  add(series: number, atUs: number, value: number): void {
    if (!this.#isWindowed[series]) return
    const windows = this.#windows
    if (atUs - this.#disorderUs >= windows.closesAtUs) {
      windows.closeThrough(atUs - this.#disorderUs)
      this.#rows.drain()
    }
    const slot = windows.slotOf(atUs)
    const { hot, cold, hotStride, coldStride } = this.#state
    const index = series >> CHUNK_SHIFT
    const chunk = hot[index] ?? this.#state.wake(index)
    const at = (series & CHUNK_MASK) * hotStride + slotAt(slot)
    const firstAt = (series & CHUNK_MASK) * coldStride + this.#state.firstAt(slot)
    if (addToWindow(chunk, at, cold[index]!, firstAt, atUs, value)) windows.opened(slot, series)
    this.#newestUs = atUs
  }

  /** Partials of what the clock has passed, valid until the next call. */
  close(atUs: number): Float64Array {
    this.#windows.closeThrough(atUs - this.#disorderUs)
    return this.#rows.drain()
  }
}
