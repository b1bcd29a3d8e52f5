/** Which hours and days are to be summed up, or again. */
import { addSpan, alignOutwards, clipSpans, type Span, type Wanted } from '../query/query.ts'
import { PARTIAL_START_MS } from '../stream/stream.ts'
import type { RangesBySeries } from './late-ranges.ts'
import { DAY_MS, HOUR_MS, type SummedUp } from './rollup-coverage.ts'

/** Days of one month that are renewed one by one. */
const DAYS_APART_MAX = 3
/** Stretches of hours in which a fleet's members are asked; more are joined. */
const FLEET_SPANS_MAX = 8

/** From which day on days end in the span; undefined: none does, or not all of it is summed up. */
export function daysFromMs({
  firstMs,
  fromMs,
  toMs,
}: SummedUp & { firstMs: number }): number | undefined {
  const dayMs = Math.floor(fromMs / DAY_MS) * DAY_MS
  return toMs >= dayMs + DAY_MS && dayMs >= firstMs ? dayMs : undefined
}

export function isWholeDay(row: Float64Array, { fromMs, toMs }: SummedUp): boolean {
  const startMs = row[PARTIAL_START_MS]!
  return fromMs <= startMs && startMs + DAY_MS <= toMs
}

export const inUs = ({ fromMs, toMs }: SummedUp): Span => ({
  startUs: fromMs * 1000,
  endUs: toMs * 1000,
})
export const inMs = ({ startUs, endUs }: Span): SummedUp => ({
  fromMs: startUs / 1000,
  toMs: endUs / 1000,
})

export const outside = ({ startUs, endUs }: Span): [Span, Span] => [
  { startUs: -Infinity, endUs: startUs },
  { startUs: endUs, endUs: Infinity },
]

export const hullOf = (wanted: readonly Wanted[]): Span => ({
  startUs: wanted.reduce((least, { spans }) => Math.min(least, spans[0]!.startUs), Infinity),
  endUs: wanted.reduce((most, { spans }) => Math.max(most, spans.at(-1)!.endUs), -Infinity),
})

/** In which something of these series is late. */
export function hoursOf(
  series: readonly number[],
  { late, span }: { late: RangesBySeries; span: Span },
): Span[] {
  let hours: Span[] = []
  for (const one of series) {
    const own = alignOutwards(clipSpans(span, late.get(one)!), HOUR_MS * 1000)
    for (const hour of own) hours = addSpan(hours, hour, FLEET_SPANS_MAX)
  }
  return hours
}

/**
 * Days by themselves, or the month where they are many: what is older lies in files of months, of
 * which a day costs about as much as all of it.
 */
export function* inMonths(
  days: ReadonlyMap<number, ReadonlySet<number>>,
): Generator<SummedUp & { series: ReadonlySet<number> }> {
  for (const [, own] of Map.groupBy(days, ([dayMs]) => new Date(dayMs).toISOString().slice(0, 7))) {
    if (own.length <= DAYS_APART_MAX) {
      for (const [fromMs, series] of own) yield { fromMs, toMs: fromMs + DAY_MS, series }
      continue
    }
    const starts = own.map(([dayMs]) => dayMs)
    const fromMs = Math.min(...starts)
    const series = new Set(own.flatMap(([, all]) => [...all]))
    yield { fromMs, toMs: Math.max(...starts) + DAY_MS, series }
  }
}

/** The starts of the days that have something of both, ms. */
export function daysIn(spans: readonly Span[], { fromMs, toMs }: SummedUp): Set<number> {
  const days = new Set<number>()
  for (const { startUs, endUs } of spans) {
    const endMs = Math.min(toMs, endUs / 1000)
    let dayMs = Math.floor(Math.max(fromMs, startUs / 1000) / DAY_MS) * DAY_MS
    for (; dayMs < endMs; dayMs += DAY_MS) days.add(dayMs)
  }
  return days
}
