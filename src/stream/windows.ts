/**
 * Tumbling windows in event time. Each reading updates one window of the smallest size; a larger
 * one is the merge of the smaller on-time partials as they close, plus late
 * readings that still find it open.
 *
 * How many can be open at once? A window is closed when the watermark reaches its end - 1 ms, and
 * no event time is further ahead of the watermark than the allowed disorder. So the smallest
 * windows that are open lie within disorder + size, which is ceil(disorder / size) + 1 of them;
 * window number modulo that count is the slot. Larger windows take only readings from before the
 * smallest open window, so one slot each is enough: that of the window in which the emitted part
 * ends.
 *
 * Every slot lists the series that opened a window in it, so closing touches those and no others.
 */
import { type PartialRows, writeMoments } from './partial-rows.ts'
import {
  CHUNK_MASK,
  CHUNK_SHIFT,
  COLD_WINDOWS_AT,
  HOT_WINDOWS_AT,
  SERIES_PER_CHUNK,
  type SeriesState,
  WINDOW_STRIDE,
} from './series-state.ts'
import type { ClosedWindows } from './stream.ts'
import * as words from './stream.ts'

/** Places in a window. */
const COUNT = 0
/** The first value to arrive; the sums are of offsets from it. */
const PIVOT = 1
const MIN = 2
const MAX = 3
const OFFSETS = 4
const SQUARES = 5
const LAST = 6
const LAST_TIME = 7

/** Flink's rule in µs: [start, end) is emitted when the watermark reaches end - 1 ms. */
const CLOSING_US = 1000

/**
 * Adds one reading to the window at `at` of `chunk`, whose first value is at `firstAt` of `firsts`;
 * true when this opened the window. Sums are of offsets from the pivot: a large mean costs no
 * digits, and as the pivot is one of the values, its squares exceed the centred ones by a factor of
 * count at most, so that much precision is the most that an outlier as pivot can cost.
 */
export function addToWindow(
  chunk: Float64Array,
  at: number,
  firsts: Float64Array,
  firstAt: number,
  time: number,
  value: number,
): boolean {
  const count = chunk[at + COUNT]! + 1
  chunk[at + COUNT] = count
  if (count === 1) {
    chunk[at + PIVOT] = value
    chunk[at + MIN] = value
    chunk[at + MAX] = value
    chunk[at + OFFSETS] = 0
    chunk[at + SQUARES] = 0
    chunk[at + LAST] = value
    chunk[at + LAST_TIME] = time
    firsts[firstAt] = value
    firsts[firstAt + 1] = time
    return true
  }
  if (value < chunk[at + MIN]!) chunk[at + MIN] = value
  if (value > chunk[at + MAX]!) chunk[at + MAX] = value
  const offset = value - chunk[at + PIVOT]!
  chunk[at + OFFSETS] = chunk[at + OFFSETS]! + offset
  chunk[at + SQUARES] = chunk[at + SQUARES]! + offset * offset
  if (time > chunk[at + LAST_TIME]!) {
    chunk[at + LAST] = value
    chunk[at + LAST_TIME] = time
  } else if (time < firsts[firstAt + 1]!) {
    firsts[firstAt] = value
    firsts[firstAt + 1] = time
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

/** Place of a slot's window of the smallest size in the hot record. */
export const slotAt = (slot: number): number => HOT_WINDOWS_AT + slot * WINDOW_STRIDE
/** Place of the one window of size `k` > 0 in the cold record. */
const largerAt = (k: number): number => COLD_WINDOWS_AT + (k - 1) * WINDOW_STRIDE

export class Windows {
  /** Sizes in µs, ascending. */
  readonly sizesUs: readonly number[]
  /** Per size: windows that start before this were emitted. -Infinity at first. */
  readonly emittedUpToUs: Float64Array
  readonly slots: number
  readonly #state: SeriesState
  readonly #rows: PartialRows
  readonly #open: OpenSeries[]
  #hasClosed = false

  constructor(sizesUs: readonly number[], state: SeriesState, rows: PartialRows) {
    const { slots, sizes } = state.layout
    this.sizesUs = sizesUs
    this.slots = slots
    this.#state = state
    this.#rows = rows
    this.emittedUpToUs = new Float64Array(sizesUs.length).fill(-Infinity)
    this.#open = Array.from({ length: slots + sizes - 1 }, () => new OpenSeries())
  }

  /** The slot of the smallest window that holds `eventUs`, or -1 when that one was emitted. */
  slotOf(eventUs: number): number {
    const size = this.sizesUs[0]!
    const index = Math.floor(eventUs / size)
    const emittedUpToUs = this.emittedUpToUs[0]!
    if (index * size < emittedUpToUs) return -1
    if (index - emittedUpToUs / size >= this.slots)
      throw new RangeError('an event time is further ahead of the watermark than the disorder')
    return this.#slotOfIndex(index)
  }

  /** Notes that `series` has an open window in `slot`. */
  opened(slot: number, series: number): void {
    this.#open[slot]!.push(series)
  }

  /** A late reading that the larger size `k` still takes on time. */
  addLate(k: number, series: number, eventUs: number, value: number): void {
    const cold = this.#state.cold[series >> CHUNK_SHIFT]!
    const base = (series & CHUNK_MASK) * this.#state.coldStride
    const slot = this.#slotOfLarger(k)
    const firstAt = base + this.#state.firstAt(slot)
    if (addToWindow(cold, base + largerAt(k), cold, firstAt, eventUs, value))
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
    this.#hasClosed = true
  }

  /** Up to where each size is closed, unless nothing was since the last call. */
  takeClosed(): ClosedWindows[] {
    if (!this.#hasClosed) return []
    this.#hasClosed = false
    return this.sizesUs.map((size, k) => ({
      windowMs: size / 1000,
      beforeMs: this.emittedUpToUs[k]! / 1000,
    }))
  }

  /** Rebuilds the lists of open windows from restored records. */
  rebuild(): void {
    for (const list of this.#open) list.clear()
    const { hot, cold, hotStride, coldStride } = this.#state
    for (const [index, chunk] of hot.entries()) {
      if (chunk === undefined) continue
      for (let row = 0; row < SERIES_PER_CHUNK; row++) {
        const series = index * SERIES_PER_CHUNK + row
        for (let slot = 0; slot < this.slots; slot++)
          if (chunk[row * hotStride + slotAt(slot) + COUNT]! > 0) this.opened(slot, series)
        for (let k = 1; k < this.sizesUs.length; k++)
          if (cold[index]![row * coldStride + largerAt(k) + COUNT]! > 0)
            this.opened(this.#slotOfLarger(k), series)
      }
    }
  }

  /** Modulo, as a small integer: `%` of large numbers would cost more than the window itself. */
  #slotOfIndex(index: number): number {
    return (index - Math.floor(index / this.slots) * this.slots) | 0
  }

  #slotOfLarger(k: number): number {
    return this.slots + k - 1
  }

  #closeSmallest(startUs: number): void {
    const slot = this.#slotOfIndex(startUs / this.sizesUs[0]!)
    const series = this.#open[slot]!.takeSorted()
    const { hot, hotStride } = this.#state
    const place = { planes: hot, stride: hotStride, at: slotAt(slot), slot }
    this.#emit(0, place, startUs, series)
    for (let k = 1; k < this.sizesUs.length; k++) for (const one of series) this.#feed(k, slot, one)
    this.#clear(place, series)
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
        const { cold, coldStride } = this.#state
        const place = { planes: cold, stride: coldStride, at: largerAt(k), slot }
        this.#emit(k, place, openUs, series)
        this.#clear(place, series)
      }
      this.emittedUpToUs[k] = Math.floor(upToUs / size) * size
    }
  }

  #emit(k: number, place: Place, startUs: number, series: Uint32Array): void {
    const { cold, coldStride } = this.#state
    const { planes, stride } = place
    const first = this.#state.firstAt(place.slot)
    const rows = this.#rows.reserve(series.length)
    const windowMs = this.sizesUs[k]! / 1000
    for (const one of series) {
      const chunk = planes[one >> CHUNK_SHIFT]!
      const at = (one & CHUNK_MASK) * stride + place.at
      const firsts = cold[one >> CHUNK_SHIFT]!
      const firstAt = (one & CHUNK_MASK) * coldStride + first
      const to = this.#rows.next()
      rows[to + words.PARTIAL_SERIES] = one
      rows[to + words.PARTIAL_WINDOW_MS] = windowMs
      rows[to + words.PARTIAL_START_MS] = startUs / 1000
      rows[to + words.PARTIAL_IS_LATE] = 0
      rows[to + words.PARTIAL_MIN] = chunk[at + MIN]!
      rows[to + words.PARTIAL_MAX] = chunk[at + MAX]!
      writeMoments(rows, to, {
        count: chunk[at + COUNT]!,
        pivot: chunk[at + PIVOT]!,
        offsets: chunk[at + OFFSETS]!,
        squares: chunk[at + SQUARES]!,
      })
      rows[to + words.PARTIAL_FIRST] = firsts[firstAt]!
      rows[to + words.PARTIAL_FIRST_TIME_US] = firsts[firstAt + 1]!
      rows[to + words.PARTIAL_LAST] = chunk[at + LAST]!
      rows[to + words.PARTIAL_LAST_TIME_US] = chunk[at + LAST_TIME]!
    }
  }

  /** Merges the smallest window in `slot` into the window of size `k`. */
  #feed(k: number, slot: number, series: number): void {
    const larger = this.#slotOfLarger(k)
    const hot = this.#state.hot[series >> CHUNK_SHIFT]!
    const cold = this.#state.cold[series >> CHUNK_SHIFT]!
    const coldBase = (series & CHUNK_MASK) * this.#state.coldStride
    const a = coldBase + largerAt(k)
    const b = (series & CHUNK_MASK) * this.#state.hotStride + slotAt(slot)
    const firstA = coldBase + this.#state.firstAt(larger)
    const firstB = coldBase + this.#state.firstAt(slot)
    const countA = cold[a + COUNT]!
    if (countA === 0) {
      for (let i = 0; i < WINDOW_STRIDE; i++) cold[a + i] = hot[b + i]!
      cold[firstA] = cold[firstB]!
      cold[firstA + 1] = cold[firstB + 1]!
      this.opened(larger, series)
      return
    }
    // B's sums are moved to A's pivot, which is one of the merged values and so as good as any.
    const count = hot[b + COUNT]!
    const offsets = hot[b + OFFSETS]!
    const shift = hot[b + PIVOT]! - cold[a + PIVOT]!
    cold[a + COUNT] = countA + count
    cold[a + OFFSETS] = cold[a + OFFSETS]! + offsets + count * shift
    cold[a + SQUARES] =
      cold[a + SQUARES]! + hot[b + SQUARES]! + shift * (2 * offsets + count * shift)
    cold[a + MIN] = Math.min(cold[a + MIN]!, hot[b + MIN]!)
    cold[a + MAX] = Math.max(cold[a + MAX]!, hot[b + MAX]!)
    if (hot[b + LAST_TIME]! > cold[a + LAST_TIME]!) {
      cold[a + LAST] = hot[b + LAST]!
      cold[a + LAST_TIME] = hot[b + LAST_TIME]!
    }
    if (cold[firstB + 1]! < cold[firstA + 1]!) {
      cold[firstA] = cold[firstB]!
      cold[firstA + 1] = cold[firstB + 1]!
    }
  }

  #clear(place: Place, series: Uint32Array): void {
    for (const one of series) {
      const index = one >> CHUNK_SHIFT
      place.planes[index]![(one & CHUNK_MASK) * place.stride + place.at + COUNT] = 0
      this.#state.changed[index] = 1
    }
  }
}

/** Where the windows of one slot are: `at` of each record of a plane. */
interface Place {
  planes: SeriesState['hot']
  stride: number
  at: number
  slot: number
}
