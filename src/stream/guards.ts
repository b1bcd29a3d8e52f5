/**
 * What the hot path looks at of a series that rules watch, 16 bytes: what costs is not the compares
 * but to have the line of memory there.
 *
 *   float32 low | float32 high | float64 last value
 *
 * A reading from low to high breaches nothing and changes nothing, and only becomes the last value.
 * NaN for both has every reading looked at: the first one, and all while something goes on. The
 * band is that of the series' rule set, rounded inwards: what lies between is looked at, too.
 */
import { SERIES_OF_RULES } from './series-flags.ts'

/** Places of low and high of a series, of 4; of its last value, of 2. */
export const BAND_STRIDE = 4
export const LAST_STRIDE = 2
export const LAST = 1

const LAST_CHUNK = 1024

export class Guards {
  readonly bands: Float32Array
  readonly lasts: Float64Array
  /** 1 where last values changed since the last checkpoint, by 1,024 series. */
  readonly changed: Uint8Array
  /** Number of a series' rule set; 0: none. */
  readonly sets: Uint32Array
  readonly #flags: Uint8Array
  #count = 0

  constructor(seriesMax: number, flags: Uint8Array) {
    this.#flags = flags
    this.lasts = new Float64Array(seriesMax * LAST_STRIDE)
    this.bands = new Float32Array(this.lasts.buffer)
    this.sets = new Uint32Array(seriesMax)
    this.changed = new Uint8Array(Math.ceil(seriesMax / LAST_CHUNK))
  }

  /** Only what is written is there. */
  get bytesHeld(): number {
    return this.#count * (LAST_STRIDE * 8 + 4)
  }

  lastOf(series: number): number {
    return this.lasts[series * LAST_STRIDE + LAST]!
  }

  setLast(series: number, value: number): void {
    this.lasts[series * LAST_STRIDE + LAST] = value
    this.changed[series >> 10] = 1
  }

  /** The series has other rules, and by them flags of SERIES_OF_RULES: all is to be looked at. */
  bind(series: number, set: number, flags: number): void {
    if (this.sets[series] === 0) this.lasts[series * LAST_STRIDE + LAST] = NaN
    this.sets[series] = set
    this.#count = Math.max(this.#count, series + 1)
    this.#flags[series] = (this.#flags[series]! & ~SERIES_OF_RULES) | flags
    this.open(series)
  }

  /** Every reading is to be looked at. */
  open(series: number): void {
    this.bands[series * BAND_STRIDE] = NaN
    this.bands[series * BAND_STRIDE + 1] = NaN
  }

  /** Only what is outside is to be looked at. */
  close(series: number, low: number, high: number): void {
    this.bands[series * BAND_STRIDE] = low
    this.bands[series * BAND_STRIDE + 1] = high
  }

  forget(series: number): void {
    this.open(series)
    this.setLast(series, NaN)
  }

  /** Last values that changed since the last call, by chunks of series. */
  takeChanged(): [number, Float64Array<ArrayBuffer>][] {
    const taken: [number, Float64Array<ArrayBuffer>][] = []
    for (const [chunk, isChanged] of this.changed.entries())
      if (isChanged === 1) {
        const from = chunk * LAST_CHUNK
        const length = Math.min(LAST_CHUNK, this.sets.length - from)
        taken.push([chunk, Float64Array.from({ length }, (_, row) => this.lastOf(from + row))])
      }
    this.changed.fill(0)
    return taken
  }

  /** Takes over a chunk, of the series that are watched. */
  restore(chunk: number, source: Float64Array): void {
    for (const [row, value] of source.entries()) {
      const series = chunk * LAST_CHUNK + row
      if ((this.sets[series] ?? 0) > 0) this.setLast(series, value)
    }
    this.changed[chunk] = 1
  }
}

const bits = new Int32Array(1)
const single = new Float32Array(bits.buffer)

/** The float32 that is nearest to `value`, and not above (-1) or below (1) it. */
export function inwards(value: number, direction: 1 | -1): number {
  single[0] = value
  const rounded = single[0]
  const isInside = direction > 0 ? rounded >= value : rounded <= value
  if (isInside || Number.isNaN(value)) return rounded
  // Its neighbour; the sign is not in the way, since 0 is rounded to itself.
  bits[0]! += rounded > 0 === direction > 0 ? 1 : -1
  return single[0]
}
