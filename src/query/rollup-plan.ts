/**
 * Which part of an aggregated question window partials answer exactly, and which part the readings
 * must: outside of what partials cover, where a backlog made windows dirty, and in windows that
 * readings in memory touch, since their partial may not have been emitted yet. The widest windows
 * go first; what they leave the next ones answer.
 */
import type { SeriesDefinition } from '../batch/batch.ts'
import type { ReadingView, Span, Wanted } from './query.ts'
import { addSpan, alignOutwards, clipSpans, subtractSpans } from './spans.ts'
import type { StepGrid } from './step-grid.ts'

/** Partials of one window size. */
export interface RollupPart {
  windowMs: number
  span: Span
  /** By series: where they count. */
  covered: Map<number, readonly Span[]>
}

export interface RollupPlan {
  parts: RollupPart[]
  raw: Wanted[]
}

interface SteppedQuestion extends Span {
  grid: StepGrid
  /** False: what is asked only readings know. */
  isOfRollups: boolean
  /** What of the span is wanted of a series, where that is not all. */
  left?: ReadonlyMap<number, readonly Span[]> | undefined
}

/** More spans than this are joined: a condition of SQL should stay short. */
const TOUCHED_SPANS_MAX = 64
/** Each is a question to the files. */
const READ_SPANS_MAX = 8

export function planRollups(
  view: ReadingView,
  series: readonly SeriesDefinition[],
  question: SteppedQuestion,
): RollupPlan {
  const parts = question.isOfRollups ? partsOf(view, question) : []
  const raw: Wanted[] = []
  for (const { series: id, kind } of series) {
    const all = [{ startUs: question.startUs, endUs: question.endUs }]
    let left: readonly Span[] = question.left?.get(id) ?? all
    if (kind === 'number') {
      for (const part of parts) {
        const own = coveredSpans(view, id, { part, left })
        part.covered.set(id, own)
        left = left.flatMap((span) => subtractSpans(span, own))
      }
    }
    if (left.length > 0) raw.push({ series: id, spans: left })
  }
  const isUsed = ({ covered }: RollupPart): boolean =>
    [...covered.values()].some((spans) => spans.length > 0)
  return { parts: parts.filter(isUsed), raw }
}

/** Windows that lie within steps, span and coverage, the widest first. */
function partsOf(view: ReadingView, { startUs, endUs, grid }: SteppedQuestion): RollupPart[] {
  return view.coverage.toReversed().flatMap(({ windowMs, fromMs, toMs }) => {
    const widthUs = windowMs * 1000
    const span = alignInwards(
      { startUs: Math.max(startUs, fromMs * 1000), endUs: Math.min(endUs, toMs * 1000) },
      widthUs,
    )
    const isFit = span.startUs < span.endUs && grid.takesWindows(widthUs)
    return isFit ? [{ windowMs, span, covered: new Map() }] : []
  })
}

/** What of a span is whole windows. */
export const alignInwards = ({ startUs, endUs }: Span, widthUs: number): Span => ({
  startUs: Math.ceil(startUs / widthUs) * widthUs,
  endUs: Math.floor(endUs / widthUs) * widthUs,
})

/** Whole windows of what is left. */
function coveredSpans(
  view: ReadingView,
  series: number,
  { part: { windowMs, span }, left }: { part: RollupPart; left: readonly Span[] },
): Span[] {
  const widthUs = windowMs * 1000
  const wanted = clipSpans(span, left)
    .map((one) => alignInwards(one, widthUs))
    .filter(({ startUs, endUs }) => startUs < endUs)
  if (wanted.length === 0) return []
  const touched = new Set<number>()
  for (const timeUs of view.memoryTimes(series, span)) touched.add(Math.floor(timeUs / widthUs))
  let unsure = alignOutwards(view.dirty(series, windowMs), widthUs)
  for (const window of [...touched].toSorted((a, b) => a - b)) {
    const startUs = window * widthUs
    unsure = addSpan(unsure, { startUs, endUs: startUs + widthUs }, TOUCHED_SPANS_MAX)
  }
  return wanted.flatMap((one) => subtractSpans(one, unsure))
}

/** What counts of any of them: together, at most so many stretches. */
export function spansOf(covered: RollupPart['covered']): Span[] {
  let spans: Span[] = []
  for (const own of new Set(covered.values())) {
    for (const span of own) spans = addSpan(spans, span, READ_SPANS_MAX)
  }
  return spans
}
