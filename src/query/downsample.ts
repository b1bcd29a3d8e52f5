/**
 * Downsampling that keeps the picture: of each bucket the first, the lowest, the highest and the
 * last reading stay (M4; Jugel et al., VLDB 2014), so that a line over pixels that are no narrower
 * is drawn as the one of all readings. Rows come in any order and number; the buckets start narrow
 * and double in width, pairs becoming one, whenever there are too many, so neither the span nor the
 * count need be known before.
 */
import type { ReadingRows } from './query.ts'

/** Places of a point. */
const TIME_US = 0
const VALUE = 1
const SERIES = 2
const PLACES = 3

/** Points of a bucket. */
const FIRST = 0
const LOW = 1
const HIGH = 2
const LAST = 3
const STRIDE = 4 * PLACES

const NARROWEST_US = 1000

export interface Point {
  timeUs: number
  value: number
  series: number
}

export class Downsampling {
  readonly #bucketsMax: number
  /** Which of a bucket's points stay. */
  readonly #kept: readonly number[]
  #widthUs = NARROWEST_US
  #slots = new Map<number, number>()
  readonly #rows: Float64Array
  #bucketAt = NaN
  #slotAt = 0

  /** Texts have no order. Of fewer than four points the lowest and the highest stay. */
  constructor(pointsMax: number, hasTexts: boolean) {
    const ofNumbers = pointsMax < 4 ? [LOW, HIGH] : [FIRST, LOW, HIGH, LAST]
    this.#kept = hasTexts ? [FIRST, LAST] : ofNumbers
    this.#bucketsMax = Math.max(1, Math.floor(pointsMax / this.#kept.length))
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
      this.#offer(time, value[row]!, series[row]!)
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

  /** An empty place of the bucket holds NaN, to which every comparison is false. */
  #offer(timeUs: number, value: number, series: number): void {
    const rows = this.#rows
    const slot = this.#slotAt
    const at = (point: number, place: number): number => rows[slot + point * PLACES + place]!
    if (!(timeUs >= at(FIRST, TIME_US))) this.#put(FIRST, timeUs, value, series)
    if (!(value >= at(LOW, VALUE))) this.#put(LOW, timeUs, value, series)
    if (!(value <= at(HIGH, VALUE))) this.#put(HIGH, timeUs, value, series)
    if (!(timeUs <= at(LAST, TIME_US))) this.#put(LAST, timeUs, value, series)
  }

  #put(point: number, timeUs: number, value: number, series: number): void {
    const at = this.#slotAt + point * PLACES
    this.#rows[at + TIME_US] = timeUs
    this.#rows[at + VALUE] = value
    this.#rows[at + SERIES] = series
  }

  #widen(): void {
    // Places follow each other, and all four of a bucket are there.
    const rows = this.#rows.slice(0, this.#slots.size * STRIDE)
    this.#widthUs *= 2
    this.#slots = new Map()
    this.#bucketAt = NaN
    for (let at = 0; at < rows.length; at += PLACES) {
      const timeUs = rows[at + TIME_US]!
      this.#enter(Math.floor(timeUs / this.#widthUs))
      this.#offer(timeUs, rows[at + VALUE]!, rows[at + SERIES]!)
    }
  }

  /** Each once, of every bucket together. */
  #points(): Point[] {
    const points: Point[] = []
    for (const slot of this.#slots.values()) {
      const from = points.length
      for (const one of this.#kept) {
        const at = slot + one * PLACES
        const [timeUs, series] = [this.#rows[at + TIME_US]!, this.#rows[at + SERIES]!]
        const isThere = points
          .slice(from)
          .some((other) => other.timeUs === timeUs && other.series === series)
        if (!isThere) points.push({ timeUs, value: this.#rows[at + VALUE]!, series })
      }
    }
    return points
  }

  /** In time order. */
  points(): Point[] {
    return this.#points().toSorted(inTimeOrder)
  }
}

export const inTimeOrder = (a: Point, b: Point): number =>
  a.timeUs - b.timeUs || a.series - b.series
