/** Windows: on-time and late partials merged, or computed from readings where they are dirty. */
import { PARTIAL_COUNT, PARTIAL_SERIES, PARTIAL_START_MS } from '../stream/stream.ts'
import { frozenOf } from './frozen.ts'
import { matchSeries } from './matching.ts'
import type {
  QueryLimits,
  ReadingSource,
  ReadingView,
  Span,
  WindowsAnswer,
  WindowsQuestion,
} from './query.ts'
import { alignOutwards, clipSpans, contains, subtractSpans } from './spans.ts'
import { gridOf } from './step-grid.ts'
import { Steps } from './steps.ts'
import { ToldWindows } from './told-windows.ts'

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
      sum: step.sum,
      avg: step.avg,
      min: step.min,
      max: step.max,
      stddev: step.stddev,
      first: step.first,
      last: step.last,
    }))
    return {
      windows,
      meta: {
        ...{ tiers: [...view.tiers], resolution_ms: question.windowMs },
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
  const sparse = view.sparse?.(windowMs)
  const told = new ToldWindows(widthUs)
  await view.partials(series, { windowMs, span }, (row) => {
    const id = row[PARTIAL_SERIES]!
    const startUs = row[PARTIAL_START_MS]! * 1000
    if (row[PARTIAL_COUNT]! < 0 || contains(dirty.get(id) ?? [], startUs)) return
    if (sparse !== undefined && contains([sparse], startUs)) told.add(id, startUs)
    if (row[PARTIAL_COUNT]! > 0) steps.addPartial(row)
  })
  const clean = new Map([...dirty].map(([id, spans]) => [id, subtractSpans(span, spans)]))
  const wanted = [...told.of(clean, sparse)]
    .map(([series, spans]) => ({ series, spans: subtractSpans(span, spans) }))
    .filter(({ spans }) => spans.length > 0)
  await view.readings(wanted, (rows) => steps.addReadings(rows))
  return steps
}
