/**
 * Downsampling that keeps the peaks: of each bucket the lowest and the highest reading stay
 * (MinMax, the part of M4 that carries the picture; Jugel et al., VLDB 2014). Rows come in any
 * order and number; the buckets start narrow and double in width, pairs becoming one, whenever
 * there are too many, so neither the span nor the count need be known before.
 */
import type { ReadingRows } from './query.ts'

const STRIDE = 6
const LOW_TIME_US = 0
const LOW_VALUE = 1
const LOW_SERIES = 2
const HIGH_TIME_US = 3
const HIGH_VALUE = 4
const HIGH_SERIES = 5

const NARROWEST_US = 1000

export interface Point {
  timeUs: number
  value: number
  series: number
}

export class Downsampling {
  readonly #bucketsMax: number
  /** Texts have no order: of them the first and the last of a bucket stay. */
  readonly #isByTime: boolean
  #widthUs = NARROWEST_US
  #slots = new Map<number, number>()
  readonly #rows: Float64Array
  #bucketAt = NaN
  #slotAt = 0

  constructor(pointsMax: number, isByTime: boolean) {
    this.#bucketsMax = Math.max(1, Math.floor(pointsMax / 2))
    this.#isByTime = isByTime
    this.#rows = new Float64Array((this.#bucketsMax + 1) * STRIDE)
  }

  get widthUs(): number {
    return this.#widthUs
  }

  add({ count, series, timeUs, value }: ReadingRows): void {
    for (let row = 0; row < count; row++) {
      const time = timeUs[row]!
      const bucket = Math.floor(time / this.#widthUs)
      if (bucket !== this.#bucketAt) this.#enter(bucket)
      this.#offer(this.#slotAt, { timeUs: time, value: value[row]!, series: series[row]! })
      while (this.#slots.size > this.#bucketsMax) this.#widen()
    }
  }

  #enter(bucket: number): void {
    let slot = this.#slots.get(bucket)
    if (slot === undefined) {
      slot = this.#slots.size * STRIDE
      this.#slots.set(bucket, slot)
      this.#rows.fill(NaN, slot, slot + STRIDE)
    }
    this.#bucketAt = bucket
    this.#slotAt = slot
  }

  /** An empty place holds NaN, to which every comparison is false. */
  #offer(slot: number, { timeUs, value, series }: Point): void {
    const rows = this.#rows
    const score = this.#isByTime ? timeUs : value
    const low = rows[slot + (this.#isByTime ? LOW_TIME_US : LOW_VALUE)]!
    const high = rows[slot + (this.#isByTime ? HIGH_TIME_US : HIGH_VALUE)]!
    if (!(score >= low)) {
      rows[slot + LOW_TIME_US] = timeUs
      rows[slot + LOW_VALUE] = value
      rows[slot + LOW_SERIES] = series
    }
    if (!(score <= high)) {
      rows[slot + HIGH_TIME_US] = timeUs
      rows[slot + HIGH_VALUE] = value
      rows[slot + HIGH_SERIES] = series
    }
  }

  #widen(): void {
    const points = this.#points()
    this.#widthUs *= 2
    this.#slots = new Map()
    this.#bucketAt = NaN
    for (const point of points) {
      this.#enter(Math.floor(point.timeUs / this.#widthUs))
      this.#offer(this.#slotAt, point)
    }
  }

  #points(): Point[] {
    const rows = this.#rows
    const points: Point[] = []
    for (const slot of this.#slots.values()) {
      const low = pointAt(rows, slot + LOW_TIME_US)
      const high = pointAt(rows, slot + HIGH_TIME_US)
      points.push(low)
      if (low.timeUs !== high.timeUs || low.series !== high.series) points.push(high)
    }
    return points
  }

  /** In time order. */
  points(): Point[] {
    return this.#points().toSorted(inTimeOrder)
  }
}

const pointAt = (rows: Float64Array, at: number): Point => ({
  timeUs: rows[at]!,
  value: rows[at + LOW_VALUE]!,
  series: rows[at + LOW_SERIES]!,
})

export const inTimeOrder = (a: Point, b: Point): number =>
  a.timeUs - b.timeUs || a.series - b.series
