/** Which windows were told by a row, and which are left for others to tell. */
import type { Span } from './query.ts'
import type { SpansBySeries } from './rollup-plan.ts'
import { clipSpans, subtractSpans } from './spans.ts'

export class ToldWindows {
  readonly #widthUs: number
  #count = 0
  #series = new Int32Array(64)
  #startsUs = new Float64Array(64)

  constructor(widthUs: number) {
    this.#widthUs = widthUs
  }

  /** Each window once. */
  add(series: number, startUs: number): void {
    if (this.#count === this.#series.length) this.#grow()
    this.#series[this.#count] = series
    this.#startsUs[this.#count++] = startUs
  }

  #grow(): void {
    const series = new Int32Array(this.#count * 2)
    series.set(this.#series)
    this.#series = series
    const startsUs = new Float64Array(this.#count * 2)
    startsUs.set(this.#startsUs)
    this.#startsUs = startsUs
  }

  /**
   * Of whole windows that are covered those that were told. Outside of `sparse` all were: there a
   * window without a row has no readings.
   */
  of(covered: SpansBySeries, sparse: Span | undefined): SpansBySeries {
    if (sparse === undefined) return covered
    const counts = this.#countBySeries()
    const told: SpansBySeries = new Map()
    const missing = new Set<number>()
    for (const [series, spans] of covered) {
      if (this.#windowsIn(spans, sparse) === (counts.get(series) ?? 0)) told.set(series, spans)
      else missing.add(series)
    }
    if (missing.size === 0) return told
    const starts = this.#startsOf(missing)
    for (const series of missing) {
      const spans = covered.get(series)!
      const others = spans.flatMap((span) => subtractSpans(span, [sparse]))
      const own = joined(starts.get(series) ?? [], this.#widthUs)
      told.set(
        series,
        [...others, ...own].toSorted((a, b) => a.startUs - b.startUs),
      )
    }
    return told
  }

  #countBySeries(): Map<number, number> {
    const counts = new Map<number, number>()
    for (let at = 0; at < this.#count; at++) {
      const series = this.#series[at]!
      counts.set(series, (counts.get(series) ?? 0) + 1)
    }
    return counts
  }

  #windowsIn(spans: readonly Span[], sparse: Span): number {
    const own = clipSpans(sparse, spans)
    return own.reduce((sum, { startUs, endUs }) => sum + (endUs - startUs) / this.#widthUs, 0)
  }

  #startsOf(series: ReadonlySet<number>): Map<number, number[]> {
    const starts = new Map<number, number[]>()
    for (let at = 0; at < this.#count; at++) {
      const one = this.#series[at]!
      if (!series.has(one)) continue
      const own = starts.get(one)
      if (own === undefined) starts.set(one, [this.#startsUs[at]!])
      else own.push(this.#startsUs[at]!)
    }
    return starts
  }
}

function joined(startsUs: number[], widthUs: number): Span[] {
  const spans: Span[] = []
  for (const startUs of startsUs.toSorted((a, b) => a - b)) {
    const last = spans.at(-1)
    if (last?.endUs === startUs) last.endUs += widthUs
    else spans.push({ startUs, endUs: startUs + widthUs })
  }
  return spans
}
