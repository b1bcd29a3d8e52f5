/**
 * Per-series state in flat memory: chunks of 1,024 records of `stride` float64.
 *
 *   header    8   highest event time | floor | place of the newest | count | last ingest time | spare
 *   ring     64   the highest event times seen, ascending from the oldest to the newest place
 *   windows   8 a slot: count | sum | min | max | mean | centred squares | last | its time
 *   firsts    2 a slot: first | its time
 *
 * A reading in order touches three cache lines: the header, one line of the ring (the same one for
 * eight readings) and the hot half of its window; the first value of a window is written once and
 * so lives apart. A chunk none of whose series spoke for the state's TTL goes to sleep: only its
 * floors stay, 8 B a series.
 */
export const SERIES_PER_CHUNK = 1024
export const CHUNK_SHIFT = 10
export const CHUNK_MASK = SERIES_PER_CHUNK - 1

export const HIGHEST = 0
/** The highest event time that was ever dropped from the ring. */
export const FLOOR = 1
export const NEWEST = 2
export const COUNT = 3
export const LAST_INGEST = 4

export const RING_AT = 8
/** Promise 3 says 64; a power of two, so that places wrap with a mask. */
export const RING_LENGTH = 64
export const WINDOWS_AT = RING_AT + RING_LENGTH
export const WINDOW_STRIDE = 8
const FIRST_STRIDE = 2

export class SeriesState {
  /** Float64 of one record; a multiple of 8, a cache line. */
  readonly stride: number
  readonly slotCount: number
  /** By `series >> CHUNK_SHIFT`; undefined while unborn or asleep. */
  readonly chunks: (Float64Array<ArrayBuffer> | undefined)[]
  /** 1 where a chunk changed since the last checkpoint. */
  readonly changed: Uint8Array
  /** Chunks below this index were born. */
  bornCount = 0
  /** Floors of sleeping chunks. */
  readonly #asleep: (Float64Array<ArrayBuffer> | undefined)[]

  constructor(seriesMax: number, slotCount: number) {
    const chunkCount = Math.ceil(seriesMax / SERIES_PER_CHUNK)
    this.slotCount = slotCount
    this.stride = (WINDOWS_AT + slotCount * (WINDOW_STRIDE + FIRST_STRIDE) + 7) & ~7
    this.chunks = Array.from({ length: chunkCount }, () => undefined)
    this.#asleep = Array.from({ length: chunkCount }, () => undefined)
    this.changed = new Uint8Array(chunkCount)
  }

  /** Place of a slot's hot half, relative to the record. */
  windowAt(slot: number): number {
    return WINDOWS_AT + slot * WINDOW_STRIDE
  }

  /** Place of a slot's first value and time, relative to the record. */
  firstAt(slot: number): number {
    return WINDOWS_AT + this.slotCount * WINDOW_STRIDE + slot * FIRST_STRIDE
  }

  /** Makes an unborn or sleeping chunk ready for use. */
  wake(index: number): Float64Array<ArrayBuffer> {
    const chunk = new Float64Array(SERIES_PER_CHUNK * this.stride)
    const floors = this.#asleep[index]
    for (let row = 0; row < SERIES_PER_CHUNK; row++) {
      const floor = floors?.[row] ?? -Infinity
      chunk[row * this.stride + HIGHEST] = floor
      chunk[row * this.stride + FLOOR] = floor
    }
    this.chunks[index] = chunk
    this.#asleep[index] = undefined
    this.changed[index] = 1
    this.bornCount = Math.max(this.bornCount, index + 1)
    return chunk
  }

  /**
   * Drops the rings of a chunk's series that were silent since `beforeUs` (ingest time): their floor
   * rises to their highest event time. Calls `forget` for each. A chunk left without rings and open
   * windows falls asleep.
   */
  expire(index: number, beforeUs: number, forget: (series: number) => void): void {
    const chunk = this.chunks[index]
    if (chunk === undefined) return
    let isIdle = true
    for (let row = 0; row < SERIES_PER_CHUNK; row++) {
      const base = row * this.stride
      const isRemembered = chunk[base + COUNT]! > 0
      if (isRemembered && chunk[base + LAST_INGEST]! < beforeUs && !this.#hasWindow(chunk, base)) {
        chunk[base + FLOOR] = Math.max(chunk[base + FLOOR]!, chunk[base + HIGHEST]!)
        chunk[base + COUNT] = 0
        this.changed[index] = 1
        forget(index * SERIES_PER_CHUNK + row)
      } else if (isRemembered) isIdle = false
      isIdle &&= !this.#hasWindow(chunk, base)
    }
    if (isIdle) this.#sleep(index, chunk)
  }

  /** The bytes of a checkpoint's part: the whole chunk, or the floors of a sleeping one. */
  bytes(index: number): Uint8Array<ArrayBuffer> | undefined {
    const source = this.chunks[index] ?? this.#asleep[index]
    return source && new Uint8Array(source.buffer.slice(0))
  }

  /**
   * Takes over a part. `foreignStride` is set when it was written under another layout of windows:
   * then header and ring are kept, and the open windows are lost (the caller has them recomputed).
   */
  restore(
    index: number,
    source: Float64Array<ArrayBuffer>,
    foreignStride: number | undefined,
  ): void {
    this.bornCount = Math.max(this.bornCount, index + 1)
    if (source.length === SERIES_PER_CHUNK) {
      this.#asleep[index] = source
      return
    }
    if (foreignStride === undefined) {
      this.chunks[index] = source
      return
    }
    const chunk = this.wake(index)
    for (let row = 0; row < SERIES_PER_CHUNK; row++) {
      const from = row * foreignStride
      chunk.set(source.subarray(from, from + WINDOWS_AT), row * this.stride)
    }
  }

  get bytesHeld(): number {
    const size = (total: number, array: Float64Array | undefined) =>
      total + (array?.byteLength ?? 0)
    return this.chunks.reduce(size, 0) + this.#asleep.reduce(size, 0)
  }

  #hasWindow(chunk: Float64Array, base: number): boolean {
    for (let slot = 0; slot < this.slotCount; slot++)
      if (chunk[base + WINDOWS_AT + slot * WINDOW_STRIDE]! > 0) return true
    return false
  }

  #sleep(index: number, chunk: Float64Array): void {
    const floors = new Float64Array(SERIES_PER_CHUNK)
    for (let row = 0; row < SERIES_PER_CHUNK; row++) floors[row] = chunk[row * this.stride + FLOOR]!
    this.#asleep[index] = floors
    this.chunks[index] = undefined
    this.changed[index] = 1
  }
}
