/** Latencies in buckets 2 % wide, from 10 µs to 100 s: percentiles without keeping the values. */
const FIRST_MS = 0.01
const GROWTH = Math.log(1.02)
const BUCKETS = Math.ceil(Math.log(100_000 / FIRST_MS) / GROWTH)

export class Histogram {
  readonly #counts = new Float64Array(BUCKETS)
  #total = 0

  add(ms: number, weight = 1): void {
    const index = Math.floor(Math.log(Math.max(ms, FIRST_MS) / FIRST_MS) / GROWTH)
    const place = Math.min(BUCKETS - 1, index)
    this.#counts[place] = (this.#counts[place] ?? 0) + weight
    this.#total += weight
  }

  /** Upper bound of the bucket that holds the share, in ms; NaN when nothing was added. */
  percentile(share: number): number {
    if (this.#total === 0) return NaN
    let seen = 0
    for (let i = 0; i < BUCKETS; i++) {
      seen += this.#counts[i] ?? 0
      if (seen >= share * this.#total) return FIRST_MS * Math.exp((i + 1) * GROWTH)
    }
    return Infinity
  }

  summary(): LatencySummary {
    return { p50: this.percentile(0.5), p99: this.percentile(0.99), p999: this.percentile(0.999) }
  }
}

/** In ms. */
export interface LatencySummary {
  p50: number
  p99: number
  p999: number
}
