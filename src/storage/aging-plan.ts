/**
 * What is due for its age: readings on this disk go to the object store when they are no longer
 * warm, and away when they are no longer cold. A period (periods.ts) is moved or deleted as a
 * whole, when the youngest reading that it could have is of that age.
 */
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
  /** What of the period is on this disk, all of it intact. */
  sources: Segment[]
}

export interface AgingContext {
  nowUs: number
  isIntact: (segment: Segment) => boolean
  /** Only what is before this time is deleted for its age. */
  deletableBeforeUs: number
}

/** The least ages at which one of some series moves, and goes. */
export interface DueAges {
  moveUs: number
  goUs: number
}

export function dueAges(all: Iterable<Ages>): DueAges {
  const due = { moveUs: Infinity, goUs: Infinity }
  for (const { warmUs, coldUs } of all) {
    if (warmUs < coldUs) due.moveUs = Math.min(due.moveUs, warmUs)
    due.goUs = Math.min(due.goUs, coldUs)
  }
  return due
}

export function isDue(
  { moveUs, goUs }: DueAges,
  { endUs }: Span,
  { nowUs, deletableBeforeUs }: AgingContext,
): boolean {
  const ageUs = nowUs - endUs
  return ageUs >= moveUs || (ageUs >= goUs && endUs <= deletableBeforeUs)
}

/**
 * The periods in which something may be due, the oldest first. `segments` are readings; `all` are
 * the least ages of all series.
 */
export function planAging(
  segments: readonly Segment[],
  all: DueAges,
  context: AgingContext,
): Aging[] {
  const { nowUs, isIntact } = context
  const periods = new Map<number, Aging>()
  for (const segment of segments) {
    if (segment.isCold || !isIntact(segment)) continue
    const period = periodOf(segment.maxTimeUs, nowUs)
    // What reaches over a border is cut there by a merge first.
    if (!isClosed(period, nowUs) || segment.minTimeUs < period.startUs) continue
    if (!isDue(all, period, context)) continue
    const known = periods.get(period.startUs)
    if (known === undefined) periods.set(period.startUs, { period, sources: [segment] })
    else known.sources.push(segment)
  }
  const inOrder = [...periods.values()].toSorted((a, b) => a.period.startUs - b.period.startUs)
  // What is damaged, or reaches over a border still, may hold the first write of a reading.
  return inOrder.filter(
    ({ period, sources }) =>
      !segments.some(
        (one) => !one.isCold && !sources.includes(one) && overlaps(one, { ...ANYWHERE, ...period }),
      ),
  )
}

export function fateOf({ warmUs, coldUs }: Ages, { endUs }: Span, context: AgingContext): Fate {
  const ageUs = context.nowUs - endUs
  if (ageUs >= coldUs && endUs <= context.deletableBeforeUs) return 'goes'
  return ageUs >= warmUs && warmUs < coldUs ? 'moves' : 'stays'
}

/** Files of the object store of which no series is to be kept. `runs` are the series of a file. */
export function planExpiry(
  segments: readonly Segment[],
  {
    nowUs,
    seriesOf,
    coldUs,
  }: {
    nowUs: number
    seriesOf: (segment: Segment) => Iterable<number>
    coldUs: (series: number) => number
  },
): Segment[] {
  return segments.filter((segment) => {
    if (!segment.isCold) return false
    const { endUs } = periodOf(segment.maxTimeUs, nowUs)
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
