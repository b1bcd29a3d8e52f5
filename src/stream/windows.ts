/**
 * Tumbling windows in event time. Each reading updates one window of the smallest size; a larger one
 * is the merge of the smaller on-time partials as they close (exact, by Chan's formula), plus late
 * readings that still find it open.
 *
 * How many can be open at once? A window is closed when the watermark reaches its end - 1 ms, and no
 * event time is further ahead of the watermark than the allowed disorder. So the smallest windows
 * that are open lie within disorder + size, which is ceil(disorder / size) + 1 of them; window
 * number modulo that count is the slot. Larger windows take only readings from before the smallest
 * open window, so one slot each is enough: that of the window in which the emitted part ends.
 *
 * Every slot lists the series that opened a window in it, so closing touches those and no others.
 */
import type { PartialRows } from './partial-rows.ts'
import {
  CHUNK_MASK,
  CHUNK_SHIFT,
  SERIES_PER_CHUNK,
  type SeriesState,
  WINDOW_STRIDE,
  WINDOWS_AT,
} from './series-state.ts'
import * as words from './stream.ts'

const COUNT = 0
const SUM = 1
const MIN = 2
const MAX = 3
const MEAN = 4
const SQUARES = 5
const LAST = 6
const LAST_TIME = 7

/** Flink's rule in µs: [start, end) is emitted when the watermark reaches end - 1 ms. */
const CLOSING_US = 1000

/**
 * Adds one reading to the window at `at`, whose first value lives at `firstAt`; true when this opened
 * the window. Mean and centred squares by Welford (1962), so that a large mean costs no digits.
 */
export function addToWindow(
  chunk: Float64Array,
  at: number,
  firstAt: number,
  time: number,
  value: number,
): boolean {
  const count = chunk[at + COUNT]! + 1
  chunk[at + COUNT] = count
  if (count === 1) {
    chunk[at + SUM] = value
    chunk[at + MIN] = value
    chunk[at + MAX] = value
    chunk[at + MEAN] = value
    chunk[at + SQUARES] = 0
    chunk[at + LAST] = value
    chunk[at + LAST_TIME] = time
    chunk[firstAt] = value
    chunk[firstAt + 1] = time
    return true
  }
  chunk[at + SUM] = chunk[at + SUM]! + value
  if (value < chunk[at + MIN]!) chunk[at + MIN] = value
  if (value > chunk[at + MAX]!) chunk[at + MAX] = value
  const offset = value - chunk[at + MEAN]!
  const mean = chunk[at + MEAN]! + offset / count
  chunk[at + MEAN] = mean
  chunk[at + SQUARES] = chunk[at + SQUARES]! + offset * (value - mean)
  if (time > chunk[at + LAST_TIME]!) {
    chunk[at + LAST] = value
    chunk[at + LAST_TIME] = time
  } else if (time < chunk[firstAt + 1]!) {
    chunk[firstAt] = value
    chunk[firstAt + 1] = time
  }
  return false
}

/** The series with an open window in one slot, in order of opening. */
class OpenSeries {
  #series = new Uint32Array(64)
  #count = 0

  push(series: number): void {
    if (this.#count === this.#series.length) {
      const grown = new Uint32Array(this.#count * 2)
      grown.set(this.#series)
      this.#series = grown
    }
    this.#series[this.#count++] = series
  }

  /** All, ascending (the same after a restore, and kind to the memory); starts anew. */
  takeSorted(): Uint32Array {
    const taken = this.#series.subarray(0, this.#count)
    this.#count = 0
    return taken.sort()
  }

  clear(): void {
    this.#count = 0
  }
}

/** Slots that the smallest window size needs under this disorder (see the top of this file). */
export const slotsNeeded = (sizeUs: number, disorderUs: number): number =>
  Math.ceil(disorderUs / sizeUs) + 1

export class Windows {
  /** Sizes in µs, ascending. */
  readonly sizesUs: readonly number[]
  /** Per size: windows that start before this were emitted. -Infinity at first. */
  readonly emittedUpToUs: Float64Array
  readonly slots: number
  readonly #state: SeriesState
  readonly #rows: PartialRows
  readonly #open: OpenSeries[]

  constructor(sizesUs: readonly number[], slots: number, state: SeriesState, rows: PartialRows) {
    this.sizesUs = sizesUs
    this.slots = slots
    this.#state = state
    this.#rows = rows
    this.emittedUpToUs = new Float64Array(sizesUs.length).fill(-Infinity)
    this.#open = Array.from({ length: state.slotCount }, () => new OpenSeries())
  }

  /** The slot of the smallest window that holds `eventUs`, or -1 when that one was emitted. */
  slotOf(eventUs: number): number {
    const size = this.sizesUs[0]!
    const index = Math.floor(eventUs / size)
    const emittedUpToUs = this.emittedUpToUs[0]!
    if (index * size < emittedUpToUs) return -1
    if (index - emittedUpToUs / size >= this.slots)
      throw new RangeError('an event time is further ahead of the watermark than the disorder')
    return index % this.slots
  }

  /** Notes that `series` has an open window in `slot`. */
  opened(slot: number, series: number): void {
    this.#open[slot]!.push(series)
  }

  /** A late reading that the larger size `k` still takes on time. */
  addLate(k: number, series: number, eventUs: number, value: number): void {
    const chunk = this.#state.chunks[series >> CHUNK_SHIFT]!
    const base = (series & CHUNK_MASK) * this.#state.stride
    const slot = this.#slotOfLarger(k)
    const at = base + this.#state.windowAt(slot)
    if (addToWindow(chunk, at, base + this.#state.firstAt(slot), eventUs, value))
      this.opened(slot, series)
  }

  /** The watermark from which on something is to be closed. */
  get closesAtUs(): number {
    return this.emittedUpToUs[0]! + this.sizesUs[0]! - CLOSING_US
  }

  /** Emits every window that `watermarkUs` passed, each once, in order of their ends. */
  closeThrough(watermarkUs: number): void {
    const size = this.sizesUs[0]!
    const upToUs = Math.floor((watermarkUs + CLOSING_US) / size) * size
    const fromUs = this.emittedUpToUs[0]!
    for (let i = 0; i < this.slots && fromUs > -Infinity; i++) {
      const startUs = fromUs + i * size
      if (startUs >= upToUs) break
      this.#closeLargerBefore(startUs)
      this.#closeSmallest(startUs)
    }
    this.#closeLargerBefore(upToUs)
    this.emittedUpToUs[0] = upToUs
  }

  /** Rebuilds the lists of open windows from restored records. */
  rebuild(): void {
    for (const list of this.#open) list.clear()
    const { chunks, stride, slotCount } = this.#state
    for (const [index, chunk] of chunks.entries()) {
      if (chunk === undefined) continue
      for (let row = 0; row < SERIES_PER_CHUNK; row++)
        for (let slot = 0; slot < slotCount; slot++)
          if (chunk[row * stride + WINDOWS_AT + slot * WINDOW_STRIDE + COUNT]! > 0)
            this.opened(slot, index * SERIES_PER_CHUNK + row)
    }
  }

  #slotOfLarger(k: number): number {
    return this.slots + k - 1
  }

  #closeSmallest(startUs: number): void {
    const slot = (startUs / this.sizesUs[0]!) % this.slots
    const series = this.#open[slot]!.takeSorted()
    this.#emit(0, slot, startUs, series)
    for (let k = 1; k < this.sizesUs.length; k++)
      for (const one of series) this.#feed(this.#slotOfLarger(k), slot, one)
    this.#clear(slot, series)
  }

  /** Closes the larger windows that end at or before `upToUs`. */
  #closeLargerBefore(upToUs: number): void {
    for (let k = 1; k < this.sizesUs.length; k++) {
      const size = this.sizesUs[k]!
      const openUs = this.emittedUpToUs[k]!
      if (upToUs < openUs + size) continue
      if (openUs > -Infinity) {
        const slot = this.#slotOfLarger(k)
        const series = this.#open[slot]!.takeSorted()
        this.#emit(k, slot, openUs, series)
        this.#clear(slot, series)
      }
      this.emittedUpToUs[k] = Math.floor(upToUs / size) * size
    }
  }

  #emit(k: number, slot: number, startUs: number, series: Uint32Array): void {
    const { chunks, stride } = this.#state
    const hot = this.#state.windowAt(slot)
    const first = this.#state.firstAt(slot)
    const rows = this.#rows.reserve(series.length)
    const windowMs = this.sizesUs[k]! / 1000
    for (const one of series) {
      const chunk = chunks[one >> CHUNK_SHIFT]!
      const base = (one & CHUNK_MASK) * stride
      const at = base + hot
      const to = this.#rows.next()
      rows[to + words.PARTIAL_SERIES] = one
      rows[to + words.PARTIAL_WINDOW_MS] = windowMs
      rows[to + words.PARTIAL_START_MS] = startUs / 1000
      rows[to + words.PARTIAL_IS_LATE] = 0
      rows[to + words.PARTIAL_COUNT] = chunk[at + COUNT]!
      rows[to + words.PARTIAL_SUM] = chunk[at + SUM]!
      rows[to + words.PARTIAL_MIN] = chunk[at + MIN]!
      rows[to + words.PARTIAL_MAX] = chunk[at + MAX]!
      rows[to + words.PARTIAL_MEAN] = chunk[at + MEAN]!
      rows[to + words.PARTIAL_SQUARES] = chunk[at + SQUARES]!
      rows[to + words.PARTIAL_FIRST] = chunk[base + first]!
      rows[to + words.PARTIAL_FIRST_TIME_US] = chunk[base + first + 1]!
      rows[to + words.PARTIAL_LAST] = chunk[at + LAST]!
      rows[to + words.PARTIAL_LAST_TIME_US] = chunk[at + LAST_TIME]!
    }
  }

  /** Merges the window in slot `from` into the larger one in slot `to` (Chan et al., 1979). */
  #feed(to: number, from: number, series: number): void {
    const chunk = this.#state.chunks[series >> CHUNK_SHIFT]!
    const base = (series & CHUNK_MASK) * this.#state.stride
    const a = base + this.#state.windowAt(to)
    const b = base + this.#state.windowAt(from)
    const firstA = base + this.#state.firstAt(to)
    const firstB = base + this.#state.firstAt(from)
    const countA = chunk[a + COUNT]!
    if (countA === 0) {
      for (let i = 0; i < WINDOW_STRIDE; i++) chunk[a + i] = chunk[b + i]!
      chunk[firstA] = chunk[firstB]!
      chunk[firstA + 1] = chunk[firstB + 1]!
      this.opened(to, series)
      return
    }
    const countB = chunk[b + COUNT]!
    const count = countA + countB
    const offset = chunk[b + MEAN]! - chunk[a + MEAN]!
    chunk[a + SQUARES] =
      chunk[a + SQUARES]! + chunk[b + SQUARES]! + offset * offset * ((countA * countB) / count)
    chunk[a + MEAN] = chunk[a + MEAN]! + offset * (countB / count)
    chunk[a + COUNT] = count
    chunk[a + SUM] = chunk[a + SUM]! + chunk[b + SUM]!
    chunk[a + MIN] = Math.min(chunk[a + MIN]!, chunk[b + MIN]!)
    chunk[a + MAX] = Math.max(chunk[a + MAX]!, chunk[b + MAX]!)
    if (chunk[b + LAST_TIME]! > chunk[a + LAST_TIME]!) {
      chunk[a + LAST] = chunk[b + LAST]!
      chunk[a + LAST_TIME] = chunk[b + LAST_TIME]!
    }
    if (chunk[firstB + 1]! < chunk[firstA + 1]!) {
      chunk[firstA] = chunk[firstB]!
      chunk[firstA + 1] = chunk[firstB + 1]!
    }
  }

  #clear(slot: number, series: Uint32Array): void {
    const { chunks, stride, changed } = this.#state
    const hot = this.#state.windowAt(slot)
    for (const one of series) {
      chunks[one >> CHUNK_SHIFT]![(one & CHUNK_MASK) * stride + hot + COUNT] = 0
      changed[one >> CHUNK_SHIFT] = 1
    }
  }
}
