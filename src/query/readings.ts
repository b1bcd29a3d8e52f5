/** Readings: raw, downsampled so that peaks stay, or aggregated per step. */
import type { SeriesDefinition } from '../batch/batch.ts'
import { WeirError } from '../errors/errors.ts'
import { Downsampling, inTimeOrder, type Point } from './downsample.ts'
import { matchSeries, valueReader } from './matching.ts'
import type {
  Aggregate,
  PagePlace,
  Quantile,
  ReadingRows,
  ReadingsAnswer,
  ReadingsQuestion,
  ReadingSource,
  ReadingView,
  Value,
} from './query.ts'
import { filled } from './fill.ts'
import { frozenOf } from './frozen.ts'
import { readPage } from './pages.ts'
import { gridOf, type StepGrid } from './step-grid.ts'
import { readSteps } from './step-reader.ts'
import { Steps, type Step } from './steps.ts'

type Points = ReadingsAnswer['points']

/** Errors: QUERY_LIMIT_EXCEEDED; API_PARAMETER_INVALID for an aggregate that texts do not have. */
export async function answerReadings(
  source: ReadingSource,
  question: ReadingsQuestion,
): Promise<ReadingsAnswer> {
  const series = matchSeries(source, question)
  checkAggregate(series, question)
  const view = source.view()
  try {
    const read = valueReader(source, series)
    const answer =
      question.aggregate === undefined
        ? await answerRaw(view, series, question)
        : await answerSteps(view, series, question)
    return {
      points: answer.points(read),
      ...(answer.next && { next: answer.next }),
      meta: {
        series: series.map(({ metric, dimensions }) => ({
          metric,
          dimensions: Object.fromEntries(dimensions),
        })),
        tiers: [...view.tiers],
        resolution_ms: answer.resolutionUs / 1000,
        ...errorOf(answer),
        completeness: view.completeness,
        segments_read: view.segmentsRead,
        segments_skipped: view.segmentsSkipped,
        segments_damaged: view.segmentsDamaged,
        ...frozenOf(view.frozen),
        cached: false,
      },
    }
  } finally {
    view.release()
  }
}

/** Only quantiles have one. */
export const errorOf = ({
  relativeError,
}: {
  relativeError?: number | undefined
}): Pick<ReadingsAnswer['meta'], 'relative_error'> =>
  relativeError === undefined ? {} : { relative_error: relativeError }

const TEXT_AGGREGATES: readonly Aggregate[] = ['first', 'last', 'count']

function checkAggregate(
  series: readonly SeriesDefinition[],
  { aggregate, metric }: ReadingsQuestion,
): void {
  if (aggregate === undefined || TEXT_AGGREGATES.includes(aggregate)) return
  if (!series.some(({ kind }) => kind === 'text')) return
  throw new WeirError(
    'API_PARAMETER_INVALID',
    `agg: ${aggregate} needs numbers, but ${metric} is text; use first, last or count`,
    { details: { parameter: 'agg' } },
  )
}

/** Points once the values can be read back, and how far apart they are. */
interface Unread {
  points(read: (series: number, value: number) => Value): Points
  resolutionUs: number
  /** Of quantiles. */
  relativeError?: number | undefined
  next?: PagePlace | undefined
}

async function answerRaw(
  view: ReadingView,
  series: readonly SeriesDefinition[],
  question: ReadingsQuestion,
): Promise<Unread> {
  const span = { startUs: question.startUs, endUs: question.endUs }
  if (question.page !== undefined) {
    const { points, next } = await readPage(view, series, { ...span, page: question.page })
    return { points: (read) => points.map((point) => toPoint(point, read)), resolutionUs: 0, next }
  }
  const hasText = series.some(({ kind }) => kind === 'text')
  const collected = new RawPoints(question.pointsMax, hasText)
  const wanted = series.map(({ series }) => ({ series, spans: [span] }))
  await view.readings(wanted, (rows) => collected.add(rows))
  const points = collected.points()
  return {
    points: (read) => points.map((point) => toPoint(point, read)),
    resolutionUs: collected.resolutionUs,
  }
}

const toPoint = (
  { timeUs, value, series }: Point,
  read: (series: number, value: number) => Value,
): [number, Value] => [timeUs / 1000, read(series, value)]

/** Keeps every reading while they fit, and downsamples from the first that does not. */
class RawPoints {
  readonly #pointsMax: number
  readonly #hasText: boolean
  #exact: Point[] = []
  #downsampling: Downsampling | undefined

  constructor(pointsMax: number, hasText: boolean) {
    this.#pointsMax = pointsMax
    this.#hasText = hasText
  }

  add(rows: ReadingRows): void {
    if (this.#downsampling === undefined && this.#exact.length + rows.count > this.#pointsMax) {
      this.#downsampling = new Downsampling(this.#pointsMax, this.#hasText)
      this.#downsampling.add(toRows(this.#exact))
      this.#exact = []
    }
    if (this.#downsampling !== undefined) return this.#downsampling.add(rows)
    for (let row = 0; row < rows.count; row++) {
      const point = { timeUs: rows.timeUs[row]!, value: rows.value[row]! }
      this.#exact.push({ ...point, series: rows.series[row]! })
    }
  }

  get resolutionUs(): number {
    return this.#downsampling?.widthUs ?? 0
  }

  points(): Point[] {
    const points = this.#downsampling?.points() ?? this.#exact.toSorted(inTimeOrder)
    return points.slice(0, this.#pointsMax)
  }
}

const toRows = (points: readonly Point[]): ReadingRows => ({
  count: points.length,
  series: Int32Array.from(points, ({ series }) => series),
  timeUs: Float64Array.from(points, ({ timeUs }) => timeUs),
  value: Float64Array.from(points, ({ value }) => value),
})

async function answerSteps(
  view: ReadingView,
  series: readonly SeriesDefinition[],
  question: ReadingsQuestion,
): Promise<Unread> {
  const { startUs, endUs, pointsMax } = question
  const aggregate = question.aggregate!
  const grid = gridOf(question)
  const quantile = quantileOf(aggregate)
  const steps = new Steps(grid, { stepsMax: pointsMax }, quantile !== undefined)
  const hasSketches = quantile !== undefined
  await readSteps(view, { series, startUs, endUs, grid, hasSketches }, () => steps)
  return {
    relativeError: hasSketches ? steps.relativeError : undefined,
    points: (read) =>
      pointsOf(steps, { ...question, aggregate }, { grid, read, series: series[0]?.series ?? 0 }),
    resolutionUs: grid.widthUs,
  }
}

/** A point a step, and what stands in those without readings. */
export function pointsOf(
  steps: Steps,
  question: Omit<ReadingsQuestion, 'deviceId' | 'aggregate'> & { aggregate: Aggregate },
  how: {
    grid: StepGrid
    read: (series: number, value: number) => Value
    /** Of which the extremes are. */
    series: number
  },
): Points {
  const { aggregate, fill = 'none' } = question
  const quantile = quantileOf(aggregate)
  const points = steps
    .list()
    .map((step): [number, Value | null] => [
      step.startUs,
      stepValue(step, { ...how, aggregate, quantile }),
    ])
  const all = filled(points, { ...question, fill, grid: how.grid })
  return all.map(([us, value]) => [us / 1000, value])
}

/** From 0 to 1; undefined: it is none. */
export const quantileOf = (aggregate: Aggregate): number | undefined =>
  /^p\d+$/.test(aggregate) ? Number(aggregate.slice(1)) / 100 : undefined

/** First, last and the extremes are values of the series' own kind; the others are numbers. */
function stepValue(
  step: Step,
  how: {
    aggregate: Aggregate
    quantile: number | undefined
    read: (series: number, value: number) => Value
    series: number
  },
): Value | null {
  switch (how.aggregate) {
    case 'first':
      return how.read(step.firstSeries, step.first)
    case 'last':
      return how.read(step.lastSeries, step.last)
    case 'min':
    case 'max':
      return how.read(how.series, step[how.aggregate])
    default:
      if (how.quantile !== undefined) return step.quantiles?.at(how.quantile) ?? null
      return step[how.aggregate as Exclude<Aggregate, Quantile>]
  }
}
