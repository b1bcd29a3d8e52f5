/**
 * What is due for its age: readings on this disk go to the object store when they are no longer
 * warm, and away when they are no longer cold. A period (periods.ts) is moved or deleted as a
 * whole, when the youngest reading that it could have is of that age.
 */
import type { SeriesDefinition } from '../batch/batch.ts'
import type { Span } from '../query/query.ts'
import { isClosed, periodOf } from './periods.ts'
import { ANYWHERE, overlaps, type Segment } from './segment-set.ts'

/** Ages in µs, ascending. */
export interface Ages {
  hotUs: number
  warmUs: number
  coldUs: number
}

/** What becomes of a series' readings of one period. */
export type Fate = 'stays' | 'moves' | 'goes'

export interface Aging {
  period: Span
  /** All that is to be moved or deleted is in these, which are on this disk and intact. */
  sources: Segment[]
  /** By number; never 'stays' for all. */
  fates: Map<number, Fate>
}

export interface AgingContext {
  nowUs: number
  series: readonly SeriesDefinition[]
  agesOf: (series: SeriesDefinition) => Ages
  isIntact: (segment: Segment) => boolean
  /** Only what is before this time is deleted for its age. */
  deletableBeforeUs: number
}

/** The period to do next, the oldest first; undefined when none is due. `segments` are readings. */
export function planAging(segments: readonly Segment[], context: AgingContext): Aging | undefined {
  const { nowUs, isIntact } = context
  const own = segments.filter((segment) => !segment.isCold && isIntact(segment))
  const periods = new Map<number, { period: Span; sources: Segment[] }>()
  for (const segment of own) {
    const period = periodOf(segment.maxTimeUs, nowUs)
    // What reaches over a border is cut there by a merge first.
    if (!isClosed(period, nowUs) || segment.minTimeUs < period.startUs) continue
    const known = periods.get(period.startUs)
    if (known === undefined) periods.set(period.startUs, { period, sources: [segment] })
    else known.sources.push(segment)
  }
  for (const [, { period, sources }] of [...periods].toSorted(([a], [b]) => a - b)) {
    // What is damaged, or reaches over a border still, may hold the first write of a reading.
    const isAlone = !segments.some(
      (one) => !one.isCold && !sources.includes(one) && overlaps(one, { ...ANYWHERE, ...period }),
    )
    if (!isAlone) continue
    const fates = fatesOf(period, context)
    const isIn = (series: number): boolean =>
      sources.some(({ minSeries, maxSeries }) => minSeries <= series && series <= maxSeries)
    const due = [...fates].some(([series, fate]) => fate !== 'stays' && isIn(series))
    if (due) return { period, sources, fates }
  }
  return undefined
}

function fatesOf(
  { endUs }: Span,
  { nowUs, series, agesOf, deletableBeforeUs }: AgingContext,
): Map<number, Fate> {
  const ageUs = nowUs - endUs
  const fates = new Map<number, Fate>()
  for (const one of series) {
    const { warmUs, coldUs } = agesOf(one)
    const isCold = ageUs >= warmUs && warmUs < coldUs
    if (ageUs >= coldUs && endUs <= deletableBeforeUs) fates.set(one.series, 'goes')
    else fates.set(one.series, isCold ? 'moves' : 'stays')
  }
  return fates
}

/** Files of the object store of which no series is to be kept. `runs` are the series of a file. */
export function planExpiry(
  segments: readonly Segment[],
  {
    nowUs,
    deletableBeforeUs,
    seriesOf,
    coldUs,
  }: {
    nowUs: number
    deletableBeforeUs: number
    seriesOf: (segment: Segment) => Iterable<number>
    coldUs: (series: number) => number
  },
): Segment[] {
  return segments.filter((segment) => {
    if (!segment.isCold) return false
    const { endUs } = periodOf(segment.maxTimeUs, nowUs)
    if (endUs > deletableBeforeUs) return false
    const ageUs = nowUs - endUs
    return [...seriesOf(segment)].every((series) => ageUs >= coldUs(series))
  })
}

/**
 * Windows that start before this may be forgotten: in it and before it everything is of an age at
 * which only readings and coarser rollups are kept, and the stream has told all of it: a window
 * that is still open there is in no answer before it is closed.
 */
export function rollupsDueBefore(
  rollups: readonly Segment[],
  { nowUs, hotUs, toldUs }: { nowUs: number; hotUs: number; toldUs: number },
): { segments: Segment[]; beforeUs: number } {
  const segments = rollups.filter(({ minTimeUs, maxTimeUs }) => {
    const period = periodOf(maxTimeUs, nowUs)
    const isTold = period.endUs <= toldUs
    return isTold && minTimeUs >= period.startUs && nowUs - period.endUs >= hotUs
  })
  const ends = segments.map(({ maxTimeUs }) => periodOf(maxTimeUs, nowUs).endUs)
  return { segments, beforeUs: ends.reduce((most, one) => Math.max(most, one), -Infinity) }
}
