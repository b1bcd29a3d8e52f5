/**
 * What whole fleets had, brought into the steps of their groups: first the minutes in memory,
 * which are those of this moment, then the hours, and of their edges, or where steps are smaller,
 * the minutes in files. What is left of a fleet is asked of its series.
 */
import type { SeriesDefinition } from '../batch/batch.ts'
import { PARTIAL_COUNT, PARTIAL_SERIES, PARTIAL_START_MS } from '../stream/stream.ts'
import type { FleetMinutes } from './fleet-minutes.ts'
import type { FleetHours, ReadingView, Span } from './query.ts'
import { alignInwards, spansOf, type SpansBySeries } from './rollup-plan.ts'
import { alignOutwards, clipSpans, contains, subtractSpans } from './spans.ts'
import type { SteppedQuestion } from './step-reader.ts'
import type { Steps } from './steps.ts'
import { ToldWindows } from './told-windows.ts'

const MINUTE_US = 60_000_000
const HOUR_US = 3_600_000_000

type StepsOf = (series: number) => Steps

/** Rows of one width. */
interface FleetRows {
  widthUs: number
  /** Where there are some. */
  span: Span
  unsure(fleet: number): readonly Span[]
  read(
    fleets: readonly number[],
    span: Span,
    consume: (row: Float64Array, sketch?: Uint8Array) => void,
  ): Promise<void>
}

/**
 * Returns what is left of each series of a whole fleet; others are not in it. To be called in the
 * turn in which the look begins.
 */
export async function readFleets(
  { fleets }: ReadingView,
  { series, grid, hasSketches, startUs, endUs }: SteppedQuestion,
  stepsOf: StepsOf,
): Promise<Map<number, readonly Span[]> | undefined> {
  if (fleets === undefined) return undefined
  const whole = wholeFleets(fleets, series, stepsOf)
  const left: SpansBySeries = new Map([...whole.keys()].map((one) => [one, [{ startUs, endUs }]]))
  // They have no sketches.
  const takesMinutes = !hasSketches && grid.takesWindows(MINUTE_US)
  const minutes = takesMinutes ? fleets.minutes : undefined
  if (minutes !== undefined) tellRecent(minutes, left, stepsOf)
  if (grid.takesWindows(HOUR_US)) await tellRows(hoursOf(fleets, hasSketches), left, stepsOf)
  if (minutes !== undefined) await tellRows({ ...minutes, widthUs: MINUTE_US }, left, stepsOf)
  return new Map(
    [...whole].flatMap(([fleet, own]) => own.map((one) => [one, left.get(fleet)!] as const)),
  )
}

/** Hours; of quantiles those that have a sketch. */
const hoursOf = (fleets: FleetHours, hasSketches: boolean): FleetRows => ({
  ...{ widthUs: HOUR_US, span: fleets.span },
  unsure: (fleet) => fleets.unsure(fleet),
  read: (own, span, consume) =>
    fleets.hours(own, { span, hasSketches }, (row, sketch) => {
      if (!hasSketches || row[PARTIAL_COUNT] === 0 || sketch !== undefined) consume(row, sketch)
    }),
})

/** Fleets of which every series is asked for, and in one group. */
function wholeFleets(
  fleets: FleetHours,
  series: readonly SeriesDefinition[],
  stepsOf: StepsOf,
): Map<number, number[]> {
  const numbers = series.filter(({ kind }) => kind === 'number').map((one) => one.series)
  const members = Map.groupBy(numbers, (one) => fleets.fleetOf(one))
  for (const [fleet, own] of members) {
    const isWhole = own.length === fleets.size(fleet)
    if (!isWhole || own.some((one) => stepsOf(one) !== stepsOf(fleet))) members.delete(fleet)
  }
  return members
}

function tellRecent(minutes: FleetMinutes, left: SpansBySeries, stepsOf: StepsOf): void {
  for (const [fleet, spans] of left) {
    const told = spans.flatMap((span) =>
      minutes.recent(fleet, span, (row) => stepsOf(fleet).addPartial(row)),
    )
    takeAway(left, fleet, told)
  }
}

async function tellRows(rows: FleetRows, left: SpansBySeries, stepsOf: StepsOf): Promise<void> {
  const { widthUs } = rows
  const covered: SpansBySeries = new Map()
  for (const [fleet, spans] of left) {
    const unsure = alignOutwards(rows.unsure(fleet), widthUs)
    const own = clipSpans(rows.span, spans)
      .map((one) => alignInwards(one, widthUs))
      .filter((one) => one.startUs < one.endUs)
      .flatMap((one) => subtractSpans(one, unsure))
    if (own.length > 0) covered.set(fleet, own)
  }
  const told = new ToldWindows(widthUs)
  for (const span of spansOf(covered)) {
    await rows.read([...covered.keys()], span, (row, sketch) => {
      const count = row[PARTIAL_COUNT]!
      const fleet = row[PARTIAL_SERIES]!
      const startUs = row[PARTIAL_START_MS]! * 1000
      if (count < 0 || !contains(covered.get(fleet)!, startUs)) return
      told.add(fleet, startUs)
      if (count > 0) stepsOf(fleet).addPartial(row, sketch)
    })
  }
  for (const [fleet, spans] of told.of(covered, rows.span)) takeAway(left, fleet, spans)
}

function takeAway(left: SpansBySeries, fleet: number, told: readonly Span[]): void {
  const others = left.get(fleet)!.flatMap((span) => subtractSpans(span, told))
  left.set(fleet, others)
}
