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

export interface SummaryPlanInput {
  /** As it was committed: what was told since is of readings that are in memory still. */
  coverage: readonly RollupCoverage[]
  /** Undefined: nothing yet. */
  summedUp: SummedUp | undefined
  allowedLatenessMs: number
  fleetCount: number
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
  const { coverage, allowedLatenessMs, fleetCount } = input
  if (coverage.length === 0) return undefined
  const overMs = toldBeforeMs(coverage) - allowedLatenessMs
  const sizeMsMax = (FLEET_HOURS_AT_ONCE / fleetCount) * HOUR_MS
  return onwards(input, { overMs, sizeMsMax }) ?? backwards(input, { overMs, sizeMsMax })
}

interface Bounds {
  /** What comes for earlier times is told as a late range. */
  overMs: number
  sizeMsMax: number
}

/**
 * An hour, or where it is behind up to the end of the day, or of the month, whose readings are one
 * file for all its days.
 */
function onwards(
  { coverage, summedUp }: SummaryPlanInput,
  { overMs, sizeMsMax }: Bounds,
): SummaryRound | undefined {
  const coveredMs = coverage.reduce((least, { fromMs }) => Math.min(least, fromMs), Infinity)
  const fromMs = summedUp?.toMs ?? Math.ceil(coveredMs / HOUR_MS) * HOUR_MS
  const from = new Date(fromMs)
  const ends = [
    Date.UTC(from.getUTCFullYear(), from.getUTCMonth() + 1),
    Math.floor(fromMs / DAY_MS) * DAY_MS + DAY_MS,
    fromMs + HOUR_MS,
  ]
  const isSmall = (endMs: number): boolean =>
    endMs === fromMs + HOUR_MS || endMs - fromMs <= sizeMsMax
  const toMs = ends.find((endMs) => endMs <= overMs && isSmall(endMs))
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
  { overMs, sizeMsMax }: Bounds,
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
  const isSmall = (startMs: number): boolean => known.fromMs - startMs <= sizeMsMax
  const fromMs = starts.find(isSmall) ?? known.fromMs - HOUR_MS
  // The day in which it began, if that is over, is whole now.
  const dayEndMs = Math.ceil(known.fromMs / DAY_MS) * DAY_MS
  return {
    hours: { fromMs, toMs: known.fromMs },
    read: { fromMs, toMs: dayEndMs <= known.toMs ? dayEndMs : known.fromMs },
    after: { fromMs, toMs: known.toMs },
  }
}
