/**
 * Per-series state in flat memory, in chunks of 1,024 series, each of two planes of float64.
 *
 *   hot record    header 8   highest event time | last ingest time | recent count | 5 recent times
 *                 windows    8 a slot of the smallest size (see windows.ts)
 *   cold record   ring 64    the highest event times, ascending from the oldest to the newest place
 *                 memory 8   floor | place of the newest | count | spare
 *                 windows    8 a larger size
 *                 firsts     2 a slot of any size: first value | its time
 *
 * What costs is not arithmetic but memory: a reading of 30,000 series lands on lines, and worse on
 * pages, that no cache holds. So a reading in order touches two lines of one small hot record
 * (192 B: header and open window), and the cold one only every sixth time, when the header's five
 * recent event times spill into the ring. A chunk none of whose series spoke for the state's TTL
 * goes to sleep: only its floors stay, 8 B a series.
 */
export const SERIES_PER_CHUNK = 1024
export const CHUNK_SHIFT = 10
export const CHUNK_MASK = SERIES_PER_CHUNK - 1
export const WINDOW_STRIDE = 8

/** Places in a hot record. */
export const HIGHEST = 0
export const LAST_INGEST = 1
export const RECENT_COUNT = 2
export const RECENT_AT = 3
export const RECENT_LENGTH = 5
export const HOT_WINDOWS_AT = 8

/**
 * Places in a cold record. The ring's length is a power of two, so that places wrap with a mask.
 */
export const RING_LENGTH = 64
/** The highest event time that was ever dropped from the ring. */
export const FLOOR = RING_LENGTH
export const NEWEST = RING_LENGTH + 1
export const COUNT = RING_LENGTH + 2
export const COLD_WINDOWS_AT = RING_LENGTH + 8

/**
 * Bytes to skip so that records begin at a cache line: allocators put large blocks 16 B behind one.
 * Where that is not so, nothing breaks; a window then costs a line more.
 */
const ALIGNMENT_BYTES = 48

export function allocateAligned(length: number): Float64Array<ArrayBuffer> {
  return new Float64Array(new ArrayBuffer(length * 8 + 64), ALIGNMENT_BYTES, length)
}

/** Float64 of one record, given the slots of the smallest size and the number of sizes. */
export interface Layout {
  slots: number
  sizes: number
}
const hotStride = ({ slots }: Layout): number => HOT_WINDOWS_AT + slots * WINDOW_STRIDE
const coldStride = ({ slots, sizes }: Layout): number =>
  (COLD_WINDOWS_AT + (sizes - 1) * WINDOW_STRIDE + (slots + sizes - 1) * 2 + 7) & ~7

export class SeriesState {
  readonly layout: Layout
  /** Multiples of 8, a cache line. */
  readonly hotStride: number
  readonly coldStride: number
  /** By `series >> CHUNK_SHIFT`; undefined while unborn or asleep. */
  readonly hot: (Float64Array<ArrayBuffer> | undefined)[]
  readonly cold: (Float64Array<ArrayBuffer> | undefined)[]
  /** 1 where a chunk changed since the last checkpoint. */
  readonly changed: Uint8Array
  /** Chunks below this index were born. */
  bornCount = 0
  /** Floors of sleeping chunks. */
  readonly #asleep: (Float64Array<ArrayBuffer> | undefined)[]

  constructor(seriesMax: number, layout: Layout) {
    const chunkCount = Math.ceil(seriesMax / SERIES_PER_CHUNK)
    this.layout = layout
    this.hotStride = hotStride(layout)
    this.coldStride = coldStride(layout)
    this.hot = Array.from({ length: chunkCount }, () => undefined)
    this.cold = Array.from({ length: chunkCount }, () => undefined)
    this.#asleep = Array.from({ length: chunkCount }, () => undefined)
    this.changed = new Uint8Array(chunkCount)
  }

  /** Place of a slot's first value and time in the cold record; larger sizes follow the slots. */
  firstAt(slot: number): number {
    return COLD_WINDOWS_AT + (this.layout.sizes - 1) * WINDOW_STRIDE + slot * 2
  }

  /** The highest event time of a series, µs; -Infinity before the first. */
  newestOf(series: number): number {
    const index = series >> CHUNK_SHIFT
    const row = series & CHUNK_MASK
    return (
      this.hot[index]?.[row * this.hotStride + HIGHEST] ?? this.#asleep[index]?.[row] ?? -Infinity
    )
  }

  /** Makes an unborn or sleeping chunk ready for use; returns its hot plane. */
  wake(index: number): Float64Array<ArrayBuffer> {
    const hot = allocateAligned(SERIES_PER_CHUNK * this.hotStride)
    const cold = allocateAligned(SERIES_PER_CHUNK * this.coldStride)
    const floors = this.#asleep[index]
    for (let row = 0; row < SERIES_PER_CHUNK; row++) {
      const floor = floors?.[row] ?? -Infinity
      hot[row * this.hotStride + HIGHEST] = floor
      cold[row * this.coldStride + FLOOR] = floor
    }
    this.hot[index] = hot
    this.cold[index] = cold
    this.#asleep[index] = undefined
    this.changed[index] = 1
    this.bornCount = Math.max(this.bornCount, index + 1)
    return hot
  }

  /**
   * Drops the memory of a chunk's series that were silent since `beforeUs` (ingest time): their
   * floor rises to their highest event time. Calls `forget` for each. A chunk left without memory
   * and open windows falls asleep.
   */
  expire(index: number, beforeUs: number, forget: (series: number) => void): void {
    const hot = this.hot[index]
    const cold = this.cold[index]
    if (hot === undefined || cold === undefined) return
    let isIdle = true
    for (let row = 0; row < SERIES_PER_CHUNK; row++) {
      const base = row * this.hotStride
      const coldBase = row * this.coldStride
      const isRemembered = hot[base + RECENT_COUNT]! + cold[coldBase + COUNT]! > 0
      const isOpen = this.#hasWindow(hot, cold, row)
      if (isOpen || (isRemembered && hot[base + LAST_INGEST]! >= beforeUs)) isIdle = false
      else if (isRemembered) {
        cold[coldBase + FLOOR] = Math.max(cold[coldBase + FLOOR]!, hot[base + HIGHEST]!)
        cold[coldBase + COUNT] = 0
        hot[base + RECENT_COUNT] = 0
        this.changed[index] = 1
        forget(index * SERIES_PER_CHUNK + row)
      }
    }
    if (isIdle) this.#sleep(index, cold)
  }

  /** The gateway's clock was set: nobody was silent for that. */
  shift(stepUs: number, nowUs: number): void {
    for (const [index, hot] of this.hot.entries()) {
      if (hot === undefined) continue
      for (let at = LAST_INGEST; at < hot.length; at += this.hotStride)
        hot[at] = Math.min(hot[at]! + stepUs, nowUs)
      this.changed[index] = 1
    }
  }

  /** A checkpoint's part: the floors of a sleeping chunk, or its planes one after the other. */
  snapshot(index: number): Float64Array<ArrayBuffer> {
    const hot = this.hot[index]
    const cold = this.cold[index]
    if (hot === undefined || cold === undefined) return this.#asleep[index]!.slice()
    const both = new Float64Array(hot.length + cold.length)
    both.set(hot)
    both.set(cold, hot.length)
    return both
  }

  /**
   * Takes over a part that was written under layout `from`, with its open windows if these are the
   * same sizes, else without them (the caller has them recomputed).
   */
  restore(index: number, source: Float64Array<ArrayBuffer>, from: Layout, isSame: boolean): void {
    this.bornCount = Math.max(this.bornCount, index + 1)
    if (source.length === SERIES_PER_CHUNK) {
      this.#asleep[index] = source
      return
    }
    const hot = this.wake(index)
    const cold = this.cold[index]!
    const [hotFrom, coldFrom] = [hotStride(from), coldStride(from)]
    const coldSource = source.subarray(SERIES_PER_CHUNK * hotFrom)
    if (isSame) {
      hot.set(source.subarray(0, hot.length))
      cold.set(coldSource)
    } else {
      for (let row = 0; row < SERIES_PER_CHUNK; row++) {
        const [at, coldAt] = [row * hotFrom, row * coldFrom]
        hot.set(source.subarray(at, at + HOT_WINDOWS_AT), row * this.hotStride)
        cold.set(coldSource.subarray(coldAt, coldAt + COLD_WINDOWS_AT), row * this.coldStride)
      }
    }
    this.changed[index] = isSame ? 0 : 1
  }

  /** Series that are not wanted are as if they had never spoken. */
  retain(wanted: ReadonlySet<number>): void {
    for (let series = 0; series < this.bornCount * SERIES_PER_CHUNK; series++) {
      if (!wanted.has(series)) this.#clear(series)
    }
  }

  #clear(series: number): void {
    const index = series >> CHUNK_SHIFT
    const row = series & CHUNK_MASK
    const floors = this.#asleep[index]
    const hot = this.hot[index]
    const cold = this.cold[index]
    const isBlank =
      (floors?.[row] ?? hot?.[row * this.hotStride + HIGHEST] ?? -Infinity) === -Infinity
    if (isBlank) return
    this.changed[index] = 1
    if (floors !== undefined) floors[row] = -Infinity
    if (hot === undefined || cold === undefined) return
    hot.fill(0, row * this.hotStride, (row + 1) * this.hotStride)
    cold.fill(0, row * this.coldStride, (row + 1) * this.coldStride)
    hot[row * this.hotStride + HIGHEST] = -Infinity
    cold[row * this.coldStride + FLOOR] = -Infinity
  }

  /** Nothing but the floors is known, by series; NaN: not even that. */
  restoreFloors(floors: Float64Array): void {
    for (let from = 0; from < floors.length; from += SERIES_PER_CHUNK) {
      const known = floors.subarray(from, from + SERIES_PER_CHUNK)
      if (known.every(Number.isNaN)) continue
      const chunk = new Float64Array(SERIES_PER_CHUNK).fill(-Infinity)
      for (const [row, floor] of known.entries()) if (!Number.isNaN(floor)) chunk[row] = floor
      const index = from >> CHUNK_SHIFT
      this.bornCount = Math.max(this.bornCount, index + 1)
      this.#asleep[index] = chunk
      this.changed[index] = 1
    }
  }

  get bytesHeld(): number {
    const size = (total: number, array: Float64Array | undefined) =>
      total + (array?.byteLength ?? 0)
    return [this.hot, this.cold, this.#asleep].flat().reduce(size, 0)
  }

  #hasWindow(hot: Float64Array, cold: Float64Array, row: number): boolean {
    for (let slot = 0; slot < this.layout.slots; slot++)
      if (hot[row * this.hotStride + HOT_WINDOWS_AT + slot * WINDOW_STRIDE]! > 0) return true
    for (let k = 0; k < this.layout.sizes - 1; k++)
      if (cold[row * this.coldStride + COLD_WINDOWS_AT + k * WINDOW_STRIDE]! > 0) return true
    return false
  }

  #sleep(index: number, cold: Float64Array): void {
    const floors = new Float64Array(SERIES_PER_CHUNK)
    for (let row = 0; row < SERIES_PER_CHUNK; row++)
      floors[row] = cold[row * this.coldStride + FLOOR]!
    this.#asleep[index] = floors
    this.hot[index] = undefined
    this.cold[index] = undefined
    this.changed[index] = 1
  }
}
