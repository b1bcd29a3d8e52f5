/**
 * What of a question partials tell: those of the stream, by device, and the hours and days that are
 * summed up, where there are some. Elsewhere the readings do.
 */
import { addSpan, clipSpans, subtractSpans, type ReadingView, type Span } from '../query/query.ts'
import { DAY_MS, HOUR_MS, joinSpans, type Hours } from './rollup-tables.ts'

export type StreamCoverage = ReadingView['coverage']
const ROLLUPS_MS: readonly number[] = [HOUR_MS, DAY_MS]

export interface TellingParts {
  /** Of the stream's partials, by series; the smallest windows first. */
  streams: ReadonlyMap<number, StreamCoverage>
  /** Where those do not tell everything. */
  dirty: ReadonlyMap<number, readonly Span[]>
  summedUp: Hours | undefined
  /** Where hours and days do not. */
  late: ReadonlyMap<number, readonly Span[]>
}

export class Telling {
  readonly #parts: TellingParts
  /** Of all series together. */
  readonly coverage: StreamCoverage

  constructor(parts: TellingParts) {
    this.#parts = parts
    const all = new Map<number, Hours>()
    const add = (windowMs: number, { fromMs, toMs }: Hours): void => {
      const known = all.get(windowMs) ?? { fromMs, toMs }
      const hull = { fromMs: Math.min(known.fromMs, fromMs), toMs: Math.max(known.toMs, toMs) }
      all.set(windowMs, hull)
    }
    for (const own of new Set(parts.streams.values())) {
      for (const one of own) add(one.windowMs, one)
    }
    for (const windowMs of ROLLUPS_MS) {
      const span = this.sparse(windowMs)
      if (span !== undefined) add(windowMs, hoursIn(span))
    }
    this.coverage = [...all]
      .map(([windowMs, hull]) => ({ windowMs, ...hull }))
      .toSorted((a, b) => a.windowMs - b.windowMs)
  }

  /** Whole windows that are summed up: as of ReadingView. */
  sparse(windowMs: number): Span | undefined {
    const { summedUp } = this.#parts
    if (summedUp === undefined || !ROLLUPS_MS.includes(windowMs)) return undefined
    const startUs = Math.ceil(summedUp.fromMs / windowMs) * windowMs * 1000
    const endUs = Math.floor(summedUp.toMs / windowMs) * windowMs * 1000
    return startUs < endUs ? { startUs, endUs } : undefined
  }

  /** Also where others have partials of this size, and this series may have none. */
  dirty(series: number, windowMs: number): readonly Span[] {
    const { streams, dirty, late } = this.#parts
    const summed = this.sparse(windowMs)
    const told = summed === undefined ? [] : [summed]
    const own = streams.get(series)?.find((one) => one.windowMs === windowMs)
    const covered = own === undefined ? told : addSpan(told, spanIn(own), Infinity)
    const all = this.coverage.find((one) => one.windowMs === windowMs)
    const untold = all === undefined ? [] : subtractSpans(spanIn(all), covered)
    const ofStream = (dirty.get(series) ?? []).flatMap((span) => subtractSpans(span, told))
    const ofRollups = told.flatMap((span) => clipSpans(span, late.get(series) ?? []))
    return joinSpans([...untold, ...ofStream, ...ofRollups])
  }
}

const hoursIn = ({ startUs, endUs }: Span): Hours => ({
  fromMs: startUs / 1000,
  toMs: endUs / 1000,
})

export const spanIn = ({ fromMs, toMs }: Hours): Span => ({
  startUs: fromMs * 1000,
  endUs: toMs * 1000,
})
