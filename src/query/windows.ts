/** Windows: on-time and late partials merged, or computed from readings where they are dirty. */
import { PARTIAL_SERIES, PARTIAL_START_MS } from '../stream/stream.ts'
import { matchSeries } from './matching.ts'
import type {
  QueryLimits,
  ReadingSource,
  ReadingView,
  Span,
  WindowsAnswer,
  WindowsQuestion,
} from './query.ts'
import { alignOutwards, clipSpans, contains } from './spans.ts'
import { gridOf } from './step-grid.ts'
import { Steps } from './steps.ts'

/** Windows that start in the span, oldest first. Errors: QUERY_LIMIT_EXCEEDED. */
export async function answerWindows(
  source: ReadingSource,
  question: WindowsQuestion,
  limits: QueryLimits,
): Promise<WindowsAnswer> {
  const series = matchSeries(source, question)
    .filter(({ kind }) => kind !== 'text')
    .map(({ series }) => series)
  const view = source.view()
  try {
    const steps = await collectWindows(view, series, { question, windowsMax: limits.windowsMax })
    const windows = steps.list().map((step) => ({
      window_start: step.startUs / 1000,
      count: step.count,
      avg: step.avg,
      min: step.min,
      max: step.max,
      stddev: step.stddev,
      first: step.first,
      last: step.last,
    }))
    const { completeness, segmentsDamaged } = view
    return { windows, meta: { completeness, segments_damaged: segmentsDamaged, cached: false } }
  } finally {
    view.release()
  }
}

async function collectWindows(
  view: ReadingView,
  series: readonly number[],
  { question, windowsMax }: { question: WindowsQuestion; windowsMax: number },
): Promise<Steps> {
  const { windowMs } = question
  const widthUs = windowMs * 1000
  const { startUs, endUs } = question
  const grid = gridOf({ stepUs: widthUs, startUs, endUs, pointsMax: windowsMax })
  const steps = new Steps(grid, { stepsMax: windowsMax })
  const span: Span = {
    startUs: Math.ceil(question.startUs / widthUs) * widthUs,
    endUs: Math.ceil(question.endUs / widthUs) * widthUs,
  }
  const dirty = new Map(
    series.map((id) => [id, clipSpans(span, alignOutwards(view.dirty(id, windowMs), widthUs))]),
  )
  await view.partials(series, { windowMs, span }, (row) => {
    const spans = dirty.get(row[PARTIAL_SERIES]!) ?? []
    if (!contains(spans, row[PARTIAL_START_MS]! * 1000)) steps.addPartial(row)
  })
  const wanted = [...dirty]
    .filter(([, spans]) => spans.length > 0)
    .map(([series, spans]) => ({ series, spans }))
  await view.readings(wanted, (rows) => steps.addReadings(rows))
  return steps
}
