/**
 * z-score detectors: each accepted reading against mean and sample deviation of the n before it.
 *
 * Record, float64: pivot | mean | squares | squares' high-water mark | filled | place | steps | ring
 * of n. Values are kept relative to the pivot (some value of the ring), so a large mean costs no
 * digits, and mean and squares slide by Welford's step for a replaced value. Sliding leaves behind an
 * error in proportion to the largest squares it passed through; so all is computed afresh from the
 * ring every n readings, and as soon as the squares fell to 1/64 of their high-water mark (an outlier
 * left). That keeps the score within 1e-9 of two passes over the ring at the cost of two cache lines.
 */
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

  constructor(detector: Detector, seriesMax: number) {
    this.detector = detector
    this.#n = detector.n
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
    this.chunks[record >> CHUNK_SHIFT] ??= new Float64Array(RECORDS_PER_CHUNK * this.stride)
    this.isExtended = true
    return record
  }

  /**
   * The score of `value` against the n values before it, which it then joins. NaN while there are
   * fewer than n, and when they are all equal.
   */
  observe(record: number, value: number): number {
    const chunk = this.chunks[record >> CHUNK_SHIFT]!
    const base = (record & (RECORDS_PER_CHUNK - 1)) * this.stride
    const n = this.#n
    this.changed[record >> CHUNK_SHIFT] = 1
    const place = chunk[base + PLACE]!
    const at = base + RING + place
    const oldest = chunk[at]!
    chunk[at] = value
    chunk[base + PLACE] = place + 1 === n ? 0 : place + 1
    const filled = chunk[base + FILLED]!
    if (filled < n) {
      chunk[base + FILLED] = filled + 1
      if (filled + 1 === n) refresh(chunk, base, n)
      return NaN
    }
    const pivot = chunk[base + PIVOT]!
    const mean = chunk[base + MEAN]!
    const squares = chunk[base + SQUARES]!
    const relative = value - pivot
    const score = squares > 0 ? (relative - mean) / Math.sqrt(squares / (n - 1)) : NaN
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

/** All detectors of a plan, and which of them look at a series. */
export class ZScores {
  readonly detectors: ZScore[]
  /** First entry of a series, plus 1. */
  readonly #first: Uint32Array
  /** Per entry: detector | record | next entry + 1 | spare. */
  #entries = new Uint32Array(1024)
  #entryCount = 0

  constructor(detectors: readonly Detector[], seriesMax: number) {
    this.detectors = detectors.map((detector) => new ZScore(detector, seriesMax))
    this.#first = new Uint32Array(detectors.length > 0 ? seriesMax : 0)
  }

  /** Lets every detector of this type and metric look at the series; true when there is one. */
  attach(series: number, deviceType: string, metric: string): boolean {
    // Backwards, as each new entry goes to the front: detectors then run in the plan's order.
    for (let d = this.detectors.length - 1; d >= 0; d--) {
      const { detector } = this.detectors[d]!
      const isTypeRight = detector.type === undefined || detector.type === deviceType
      if (!isTypeRight || detector.metric !== metric) continue
      if (this.#entryCount * 4 === this.#entries.length) {
        const grown = new Uint32Array(this.#entries.length * 2)
        grown.set(this.#entries)
        this.#entries = grown
      }
      const entry = [d, this.detectors[d]!.attach(series), this.#first[series]!, 0]
      this.#entries.set(entry, this.#entryCount++ * 4)
      this.#first[series] = this.#entryCount
    }
    return (this.#first[series] ?? 0) > 0
  }

  first(series: number): number {
    return this.#first[series]!
  }

  next(entry: number): number {
    return this.#entries[(entry - 1) * 4 + 2]!
  }

  detector(entry: number): ZScore {
    return this.detectors[this.#entries[(entry - 1) * 4]!]!
  }

  /** Feeds `value` to the detector of this entry; see ZScore.observe. */
  observe(entry: number, value: number): number {
    return this.detector(entry).observe(this.#entries[(entry - 1) * 4 + 1]!, value)
  }

  forget(series: number): void {
    for (let entry = this.#first[series] ?? 0; entry > 0; entry = this.next(entry))
      this.detector(entry).forget(this.#entries[(entry - 1) * 4 + 1]!)
  }
}
