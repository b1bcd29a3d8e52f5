/**
 * Times of each series whose windows must be computed from stored readings, since a backlog or an
 * import came behind their partials. Bounded: what is too many is merged with its nearest, which
 * costs time at a query and never correctness.
 */
import { addSpan, type Span } from '../query/query.ts'
import type { DirtyRange } from '../stream/stream.ts'

const RANGES_PER_SERIES_MAX = 16

export class DirtyRanges {
  readonly #bySeries = new Map<number, Span[]>()
  readonly #changed = new Set<number>()

  constructor(known: readonly { series: number; span: Span }[]) {
    for (const { series, span } of known) this.#add(series, span)
  }

  add({ series, fromMs, toMs }: DirtyRange): void {
    this.#add(series, { startUs: fromMs * 1000, endUs: toMs * 1000 })
    this.#changed.add(series)
  }

  #add(series: number, span: Span): void {
    const spans = addSpan(this.#bySeries.get(series) ?? [], span, RANGES_PER_SERIES_MAX)
    this.#bySeries.set(series, spans)
  }

  of(series: number): readonly Span[] {
    return this.#bySeries.get(series) ?? []
  }

  *entries(): Generator<{ series: number; startUs: number; endUs: number }> {
    for (const [series, spans] of this.#bySeries) {
      for (const span of spans) yield { series, ...span }
    }
  }

  /** All ranges of the series that changed since the last call. */
  takeChanged(): Map<number, readonly Span[]> {
    const changed = new Map([...this.#changed].map((series) => [series, this.of(series)]))
    this.#changed.clear()
    return changed
  }
}
