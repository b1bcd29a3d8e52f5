/**
 * An aggregate of one metric over many devices: of all of them, or by type, by device, or by
 * whatever the caller says. What a whole fleet (one tenant, type and metric) did in an hour is one
 * row where the store sums it up, so that a quarter of a year reads thousands of rows; the rest is
 * answered from what each series has.
 */
import type { SeriesDefinition } from '../batch/batch.ts'
import { WeirError } from '../errors/errors.ts'
import { matchesDimensions } from './matching.ts'
import type {
  Aggregate,
  GroupsAnswer,
  GroupsQuestion,
  GroupsSource,
  ReadingsAnswer,
  ReadingView,
  ScanQuestion,
  Span,
  Value,
} from './query.ts'
import { readFleets } from './fleets.ts'
import { frozenOf } from './frozen.ts'
import { errorOf, pointsOf, quantileOf } from './readings.ts'
import { addSpan, subtractSpans } from './spans.ts'
import { gridOf, type StepGrid } from './step-grid.ts'
import { readSteps } from './step-reader.ts'
import { Steps } from './steps.ts'
import type { ToldGroups } from './told-groups.ts'

/** Steps of all groups together: each takes a hundred bytes while it is made. */
const STEPS_MAX = 500_000
/** Frozen stretches of an answer; more are joined. */
const FROZEN_MAX = 32
/** What depends on the order of one series' readings. */
const OF_ONE_SERIES: readonly Aggregate[] = ['first', 'last', 'rate', 'delta']

/**
 * Errors: QUERY_LIMIT_EXCEEDED; API_PARAMETER_INVALID for an aggregate that texts, or groups of
 * several devices, do not have.
 */
export async function answerGroups(
  source: GroupsSource,
  question: GroupsQuestion,
  { signal, told }: { signal?: AbortSignal | undefined; told?: ToldGroups | undefined } = {},
): Promise<GroupsAnswer> {
  checkGroups(question)
  const groups = new Groups(question, told)
  if (groups.isLeft) {
    await source.looks(question, (series, view) => groups.look(series, view), signal)
  }
  return groups.answer()
}

class Groups {
  readonly #question: GroupsQuestion
  readonly #grid: StepGrid
  readonly #quantile: number | undefined
  readonly #steps = new Map<string, Steps>()
  readonly #tiers = new Set<string>()
  readonly #meta = {
    ...{ series: 0, completeness: 1 },
    ...{ segments_read: 0, segments_skipped: 0, segments_damaged: 0 },
  }
  readonly #budget = { left: STEPS_MAX }
  readonly #told: ToldGroups | undefined
  /** What of the span is to be looked at. */
  readonly #left: readonly Span[]
  #frozen: Span[] = []
  #isBoolean: boolean

  constructor(question: GroupsQuestion, told: ToldGroups | undefined) {
    const { startUs, endUs, aggregate } = question
    this.#question = question
    this.#grid = gridOf(question)
    this.#quantile = quantileOf(aggregate)
    this.#told = told
    this.#left = subtractSpans({ startUs, endUs }, told?.spans ?? [])
    this.#isBoolean = told?.isBoolean ?? true
    for (const { group, row } of told?.partials ?? []) this.#stepsOf(group).addPartial(row)
    if (told !== undefined) this.#meta.segments_read = told.filesRead
    if (told !== undefined && told.filesRead > 0) this.#tiers.add('cold')
  }

  get isLeft(): boolean {
    return this.#told === undefined || this.#left.length > 0
  }

  async look(found: readonly SeriesDefinition[], view: ReadingView): Promise<void> {
    const { groups } = this.#question
    const series = found
      .filter((one) => groupOf(one, groups) !== undefined)
      .filter((one) => matchesDimensions(one, this.#question))
      .toSorted((a, b) => a.series - b.series)
    if (series.length === 0) return
    checkKinds(series, this.#question)
    this.#isBoolean &&= series.every(({ kind }) => kind === 'boolean')
    const bySeries = new Map(
      series.map((one) => [one.series, this.#stepsOf(groupOf(one, groups)!)]),
    )
    const stepsOf = (id: number): Steps => bySeries.get(id)!
    const hasSketches = this.#quantile !== undefined
    // Of two series' readings at one time a fleet's row does not say which came first.
    const isOrdered = OF_ONE_SERIES.includes(this.#question.aggregate)
    for (const span of this.#left) {
      const asked = { series, grid: this.#grid, hasSketches, ...span }
      const left = isOrdered ? undefined : await readFleets(view, asked, stepsOf)
      await readSteps(view, { ...asked, left }, stepsOf)
    }
    this.#count(series.length, view)
  }

  #stepsOf(group: string): Steps {
    const known = this.#steps.get(group)
    if (known !== undefined) return known
    const hasQuantiles = this.#quantile !== undefined
    const limits = { stepsMax: this.#question.pointsMax, budget: this.#budget }
    const steps = new Steps(this.#grid, limits, hasQuantiles)
    this.#steps.set(group, steps)
    return steps
  }

  #count(series: number, view: ReadingView): void {
    const meta = this.#meta
    meta.series += series
    meta.completeness = Math.min(meta.completeness, view.completeness)
    meta.segments_read += view.segmentsRead
    meta.segments_skipped += view.segmentsSkipped
    meta.segments_damaged += view.segmentsDamaged
    for (const span of view.frozen ?? []) this.#frozen = addSpan(this.#frozen, span, FROZEN_MAX)
    for (const tier of view.tiers) this.#tiers.add(tier)
  }

  answer(): GroupsAnswer {
    const groups = [...this.#steps]
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([group, steps]) => ({ group, points: this.#pointsOf(steps) }))
      .filter(({ points }) => points.length > 0)
    const { series, ...counts } = this.#meta
    const told = this.#told
    const steps = [...this.#steps.values()]
    const worst = steps.reduce((most, one) => Math.max(most, one.relativeError), 0)
    const resolution = {
      ...{ resolution_ms: this.#grid.widthUs / 1000, cached: false },
      ...errorOf({ relativeError: this.#quantile === undefined ? undefined : worst }),
    }
    const frozen = frozenOf(this.#frozen)
    return {
      groups,
      meta: {
        series: this.isLeft ? series : told!.series,
        tiers: [...this.#tiers],
        ...{ ...resolution, ...counts, ...frozen },
        ...(told !== undefined && { engine: told.engine }),
      },
    }
  }

  #pointsOf(steps: Steps): ReadingsAnswer['points'] {
    const read = (_: number, value: number): Value => (this.#isBoolean ? value !== 0 : value)
    return pointsOf(steps, this.#question, { grid: this.#grid, read, series: 0 })
  }
}

function checkKinds(
  series: readonly SeriesDefinition[],
  { aggregate, metric }: GroupsQuestion,
): void {
  if (aggregate === 'count' || !series.some(({ kind }) => kind === 'text')) return
  const detail = `agg: ${aggregate} of many devices needs numbers, but ${metric} is text; use count`
  throw new WeirError('API_PARAMETER_INVALID', detail, { details: { parameter: 'agg' } })
}

/** The series that a question about many may be about. */
export const seriesAsked = ({
  tenant,
  metric,
  deviceTypes,
  groups,
}: Parameters<GroupsSource['looks']>[0]): Omit<ScanQuestion, 'startUs' | 'endUs'> => ({
  ...{ tenant, metrics: [metric], deviceTypes },
  deviceIds: typeof groups === 'string' ? undefined : [...groups.keys()],
})

function groupOf(
  { deviceId, deviceType }: SeriesDefinition,
  groups: GroupsQuestion['groups'],
): string | undefined {
  if (groups === 'all') return ''
  if (groups === 'type') return deviceType
  return groups === 'device' ? deviceId : groups.get(deviceId)
}

function checkGroups({ aggregate, groups }: GroupsQuestion): void {
  if (groups === 'device' || !OF_ONE_SERIES.includes(aggregate)) return
  const detail = `agg: ${aggregate} is of one device’s readings; use group_by=device, or avg, min, max, sum, count, stddev`
  throw new WeirError('API_PARAMETER_INVALID', detail, { details: { parameter: 'agg' } })
}
