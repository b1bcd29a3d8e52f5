/**
 * What is summed up next: on from where it ended, hour by hour as they are over; and back from
 * where it began, where readings have come that are older, as those of a history that is imported
 * behind the first that were live.
 */
import {
  DAY_MS,
  HOUR_MS,
  toldBeforeMs,
  type RollupCoverage,
  type SummedUp,
} from './rollup-coverage.ts'
import { daysFromMs } from './summary-spans.ts'

/** Hours of fleets that are made together, some kilobytes each. */
const FLEET_HOURS_AT_ONCE = 20_000
/** Those that have minutes: each takes some 12 kilobytes more. */
const HOURS_OF_MINUTES_AT_ONCE = 2000

export interface SummaryPlanInput {
  /** As it was committed: what was told since is of readings that are in memory still. */
  coverage: readonly RollupCoverage[]
  /** Undefined: nothing yet. */
  summedUp: SummedUp | undefined
  allowedLatenessMs: number
  fleetCount: number
  /** Of hours from then on minutes are made, too. */
  minutesFromMs: number
  /** Of all readings in files, µs; Infinity without any. */
  oldestUs: number
}

export interface SummaryRound {
  /** Of these hours rows are made, and of the days that are whole in `read`. */
  hours: SummedUp
  /** Whose readings they are made of. */
  read: SummedUp
  /** How far it is summed up then. */
  after: SummedUp
}

export function planSummaries(input: SummaryPlanInput): SummaryRound | undefined {
  const { coverage, allowedLatenessMs, fleetCount, minutesFromMs } = input
  if (coverage.length === 0) return undefined
  const overMs = toldBeforeMs(coverage) - allowedLatenessMs
  const isSmall = ({ fromMs, toMs }: SummedUp): boolean => {
    const hoursMax = toMs > minutesFromMs ? HOURS_OF_MINUTES_AT_ONCE : FLEET_HOURS_AT_ONCE
    return toMs - fromMs <= (hoursMax / fleetCount) * HOUR_MS
  }
  return onwards(input, { overMs, isSmall }) ?? backwards(input, { overMs, isSmall })
}

interface Bounds {
  /** What comes for earlier times is told as a late range. */
  overMs: number
  /** Enough to be made at once. */
  isSmall: (hours: SummedUp) => boolean
}

/**
 * An hour, or where it is behind up to the end of the day, or of the month, whose readings are one
 * file for all its days.
 */
function onwards(
  { coverage, summedUp }: SummaryPlanInput,
  { overMs, isSmall }: Bounds,
): SummaryRound | undefined {
  const coveredMs = coverage.reduce((least, { fromMs }) => Math.min(least, fromMs), Infinity)
  const fromMs = summedUp?.toMs ?? Math.ceil(coveredMs / HOUR_MS) * HOUR_MS
  const from = new Date(fromMs)
  const ends = [
    Date.UTC(from.getUTCFullYear(), from.getUTCMonth() + 1),
    Math.floor(fromMs / DAY_MS) * DAY_MS + DAY_MS,
    fromMs + HOUR_MS,
  ]
  const mayEnd = (toMs: number): boolean =>
    toMs <= overMs && (toMs === fromMs + HOUR_MS || isSmall({ fromMs, toMs }))
  const toMs = ends.find(mayEnd)
  if (toMs === undefined) return undefined
  const firstMs = summedUp?.fromMs ?? fromMs
  return {
    hours: { fromMs, toMs },
    read: { fromMs: daysFromMs({ firstMs, fromMs, toMs }) ?? fromMs, toMs },
    after: { fromMs: firstMs, toMs },
  }
}

/** The month before, or as much of its end as can be made at once. */
function backwards(
  { coverage, summedUp, oldestUs }: SummaryPlanInput,
  { overMs, isSmall }: Bounds,
): SummaryRound | undefined {
  const coveredMs = coverage.reduce((least, { fromMs }) => Math.min(least, fromMs), Infinity)
  const beginMs = Math.floor(Math.min(coveredMs, overMs) / HOUR_MS) * HOUR_MS
  const known = summedUp ?? { fromMs: beginMs, toMs: beginMs }
  if (oldestUs / 1000 >= known.fromMs) return undefined
  const last = new Date(known.fromMs - 1)
  const oldestDayMs = Math.floor(oldestUs / 1000 / DAY_MS) * DAY_MS
  const starts = [
    Math.max(oldestDayMs, Date.UTC(last.getUTCFullYear(), last.getUTCMonth())),
    Math.floor(last.getTime() / DAY_MS) * DAY_MS,
    known.fromMs - HOUR_MS,
  ]
  const mayBegin = (fromMs: number): boolean => isSmall({ fromMs, toMs: known.fromMs })
  const fromMs = starts.find(mayBegin) ?? known.fromMs - HOUR_MS
  // The day in which it began, if that is over, is whole now.
  const dayEndMs = Math.ceil(known.fromMs / DAY_MS) * DAY_MS
  return {
    hours: { fromMs, toMs: known.fromMs },
    read: { fromMs, toMs: dayEndMs <= known.toMs ? dayEndMs : known.fromMs },
    after: { fromMs, toMs: known.toMs },
  }
}
