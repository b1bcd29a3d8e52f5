/**
 * z-score detectors: each accepted reading against mean and sample deviation of the n before it.
 *
 * Record, float64: pivot | mean | squares | squares' high-water mark | filled | place | steps |
 * ring of n. Values are kept relative to the pivot (some value of the ring), so a large mean costs
 * no digits, and mean and squares slide by Welford's step for a replaced value. Sliding leaves
 * behind an error in proportion to the largest squares it passed through; so all is computed afresh
 * from the ring every n readings, and as soon as the squares fell to 1/64 of their high-water mark
 * (an outlier left). That keeps the score within 1e-9 of two passes over the ring at the cost of
 * two cache lines.
 */
import { allocateAligned } from './series-state.ts'
import type { Detector } from '../pipeline/pipeline.ts'

const PIVOT = 0
const MEAN = 1
const SQUARES = 2
const SQUARES_PEAK = 3
const FILLED = 4
const PLACE = 5
const STEPS = 6
const RING = 8
const RECORDS_PER_CHUNK = 1024
const CHUNK_SHIFT = 10
const DROP = 1 / 64

export class ZScore {
  readonly detector: Detector
  readonly chunks: Float64Array<ArrayBuffer>[] = []
  /** 1 where a chunk changed since the last checkpoint. */
  readonly changed: Uint8Array
  readonly stride: number
  /** Series of each record. */
  readonly seriesOf: number[] = []
  /** True when a record was added since the last checkpoint. */
  isExtended = false
  readonly #n: number
  /** The threshold's square, a little less, so that rounding never hides a score. */
  readonly #nearly: number

  constructor(detector: Detector, seriesMax: number) {
    this.detector = detector
    this.#n = detector.n
    this.#nearly = detector.threshold ** 2 * (1 - 1e-9)
    this.stride = (RING + detector.n + 7) & ~7
    this.changed = new Uint8Array(Math.ceil(seriesMax / RECORDS_PER_CHUNK))
  }

  get bytesHeld(): number {
    return this.chunks.length * RECORDS_PER_CHUNK * this.stride * 8
  }

  /** A new, empty record. */
  attach(series: number): number {
    const record = this.seriesOf.length
    this.seriesOf.push(series)
    this.chunks[record >> CHUNK_SHIFT] ??= allocateAligned(RECORDS_PER_CHUNK * this.stride)
    this.isExtended = true
    // What a checkpoint holds at this place may be of a series that is gone.
    this.changed[record >> CHUNK_SHIFT] = 1
    return record
  }

  /**
   * Compares `value` with the n values before it, which it then joins. Returns its score if that
   * reaches the threshold, else NaN: also while there are fewer than n, and when all are equal.
   */
  observe(record: number, value: number): number {
    const chunk = this.chunks[record >> CHUNK_SHIFT]!
    const base = (record & (RECORDS_PER_CHUNK - 1)) * this.stride
    const n = this.#n
    this.changed[record >> CHUNK_SHIFT] = 1
    const place = chunk[base + PLACE]! | 0
    const at = base + RING + place
    const oldest = chunk[at]!
    chunk[at] = value
    chunk[base + PLACE] = place + 1 === n ? 0 : place + 1
    const filled = chunk[base + FILLED]! | 0
    if (filled < n) {
      chunk[base + FILLED] = filled + 1
      if (filled + 1 === n) refresh(chunk, base, n)
      return NaN
    }
    const pivot = chunk[base + PIVOT]!
    const mean = chunk[base + MEAN]!
    const squares = chunk[base + SQUARES]!
    const relative = value - pivot
    const score = this.#score(relative - mean, squares)
    const gone = oldest - pivot
    const change = relative - gone
    const meanAfter = mean + change / n
    const squaresAfter = squares + change * (relative - meanAfter + (gone - mean))
    const peak = chunk[base + SQUARES_PEAK]!
    const steps = chunk[base + STEPS]! + 1
    if (steps >= n || squaresAfter < peak * DROP) refresh(chunk, base, n)
    else {
      chunk[base + STEPS] = steps
      chunk[base + MEAN] = meanAfter
      chunk[base + SQUARES] = squaresAfter
      if (squaresAfter > peak) chunk[base + SQUARES_PEAK] = squaresAfter
    }
    return score
  }

  /** The root is taken only when the squares, which are cheaper, say that it matters. */
  #score(offset: number, squares: number): number {
    if (squares <= 0 || offset * offset * (this.#n - 1) < this.#nearly * squares) return NaN
    const score = offset / Math.sqrt(squares / (this.#n - 1))
    return Math.abs(score) >= this.detector.threshold ? score : NaN
  }

  /** Starts the series anew. */
  forget(record: number): void {
    const base = (record & (RECORDS_PER_CHUNK - 1)) * this.stride
    this.chunks[record >> CHUNK_SHIFT]!.fill(0, base, base + this.stride)
    this.changed[record >> CHUNK_SHIFT] = 1
  }

  /** Moves a restored record to where this process keeps that series. */
  restore(record: number, source: Float64Array): void {
    const base = (record & (RECORDS_PER_CHUNK - 1)) * this.stride
    this.chunks[record >> CHUNK_SHIFT]!.set(source, base)
    this.changed[record >> CHUNK_SHIFT] = 1
  }
}

/** Two passes over the ring: the reference that sliding is measured against. */
function refresh(chunk: Float64Array, base: number, n: number): void {
  const ring = base + RING
  const pivot = chunk[ring]!
  let sum = 0
  for (let i = 0; i < n; i++) sum += chunk[ring + i]! - pivot
  const mean = sum / n
  let squares = 0
  for (let i = 0; i < n; i++) {
    const offset = chunk[ring + i]! - pivot - mean
    squares += offset * offset
  }
  chunk[base + PIVOT] = pivot
  chunk[base + MEAN] = mean
  chunk[base + SQUARES] = squares
  chunk[base + SQUARES_PEAK] = squares
  chunk[base + STEPS] = 0
}
