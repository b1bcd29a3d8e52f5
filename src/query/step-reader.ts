/** Brings what partials tell, and of the rest the readings, into the steps of each series. */
import type { SeriesDefinition } from '../batch/batch.ts'
import { PARTIAL_COUNT, PARTIAL_SERIES, PARTIAL_START_MS } from '../stream/stream.ts'
import type { ReadingRows, ReadingView, Span } from './query.ts'
import {
  coveredSpans,
  partsOf,
  spansOf,
  type RollupPart,
  type SpansBySeries,
} from './rollup-plan.ts'
import { contains, subtractSpans } from './spans.ts'
import type { StepGrid } from './step-grid.ts'
import type { Steps } from './steps.ts'
import { ToldWindows } from './told-windows.ts'

export interface SteppedQuestion extends Span {
  series: readonly SeriesDefinition[]
  grid: StepGrid
  /** Quantiles are asked for, which none but sketches and readings know. */
  hasSketches: boolean
  /** What of the span is wanted of a series, where that is not all. */
  left?: ReadonlyMap<number, readonly Span[]> | undefined
}

export async function readSteps(
  view: ReadingView,
  question: SteppedQuestion,
  stepsOf: (series: number) => Steps,
): Promise<void> {
  const { series, hasSketches, startUs, endUs } = question
  const all = [{ startUs, endUs }]
  const left: SpansBySeries = new Map(
    series.map((one) => [one.series, question.left?.get(one.series) ?? all]),
  )
  const numbers = series.flatMap(({ kind, series }) =>
    kind === 'number' && left.get(series)!.length > 0 ? [series] : [],
  )
  for (const part of partsOf(view, question)) {
    const covered: SpansBySeries = new Map()
    for (const one of numbers) {
      const own = coveredSpans(view, one, { part, left: left.get(one)! })
      if (own.length > 0) covered.set(one, own)
    }
    const told = await readPart(view, { part, covered, hasSketches }, stepsOf)
    for (const [one, spans] of told) {
      left.set(
        one,
        left.get(one)!.flatMap((span) => subtractSpans(span, spans)),
      )
    }
  }
  const wanted = [...left].flatMap(([one, spans]) =>
    spans.length > 0 ? [{ series: one, spans }] : [],
  )
  await view.readings(wanted, (rows) => {
    for (const run of runsOf(rows)) stepsOf(run.series[0]!).addReadings(run)
  })
}

/** Returns what of it the partials have told. */
async function readPart(
  view: ReadingView,
  {
    part: { windowMs, sparse },
    covered,
    hasSketches,
  }: { part: RollupPart; covered: SpansBySeries; hasSketches: boolean },
  stepsOf: (series: number) => Steps,
): Promise<SpansBySeries> {
  const told = new ToldWindows(windowMs * 1000)
  const series = [...covered.keys()]
  for (const span of spansOf(covered)) {
    await view.partials(series, { windowMs, span, hasSketches }, (row, sketch) => {
      const count = row[PARTIAL_COUNT]!
      if (count < 0 || (hasSketches && count > 0 && sketch === undefined)) return
      const id = row[PARTIAL_SERIES]!
      const startUs = row[PARTIAL_START_MS]! * 1000
      if (!contains(covered.get(id) ?? [], startUs)) return
      if (sparse !== undefined && contains([sparse], startUs)) told.add(id, startUs)
      if (count > 0) stepsOf(id).addPartial(row, sketch)
    })
  }
  return told.of(covered, sparse)
}

/** Rows of one series each, which are mostly all of it. */
function* runsOf(rows: ReadingRows): Generator<ReadingRows> {
  const { count, series, timeUs, value } = rows
  let from = 0
  for (let row = 1; row <= count; row++) {
    if (row < count && series[row] === series[from]) continue
    yield {
      count: row - from,
      series: series.subarray(from, row),
      timeUs: timeUs.subarray(from, row),
      value: value.subarray(from, row),
    }
    from = row
  }
}
