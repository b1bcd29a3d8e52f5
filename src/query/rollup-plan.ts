/**
 * Which part of an aggregated question window partials answer exactly, and which part the readings
 * must: outside of what partials cover, where a backlog made windows dirty, and in windows that
 * readings in memory touch, since their partial may not have been emitted yet.
 */
import type { SeriesDefinition } from '../batch/batch.ts'
import type { ReadingView, Span, Wanted } from './query.ts'
import type { StepGrid } from './step-grid.ts'
import { addSpan, alignOutwards, subtractSpans } from './spans.ts'

export interface RollupPlan {
  /** The partials' window and span, or undefined when only readings answer. */
  windows: { windowMs: number; span: Span } | undefined
  /** By series: where partials count. */
  covered: Map<number, Span[]>
  raw: Wanted[]
}

/** More spans than this are joined: a condition of SQL should stay short. */
const TOUCHED_SPANS_MAX = 64

interface SteppedQuestion extends Span {
  grid: StepGrid
  /** False: what is asked only readings know. */
  isOfRollups: boolean
}

export function planRollups(
  view: ReadingView,
  series: readonly SeriesDefinition[],
  question: SteppedQuestion,
): RollupPlan {
  const whole = { startUs: question.startUs, endUs: question.endUs }
  const windows = question.isOfRollups ? chooseWindow(view, question) : undefined
  const covered = new Map<number, Span[]>()
  const raw: Wanted[] = []
  for (const { series: id, kind } of series) {
    const own = windows !== undefined && kind === 'number' ? coveredSpans(view, id, windows) : []
    covered.set(id, own)
    const spans = subtractSpans(whole, own)
    if (spans.length > 0) raw.push({ series: id, spans })
  }
  const isUsed = [...covered.values()].some((spans) => spans.length > 0)
  return { windows: isUsed ? windows : undefined, covered, raw }
}

/** The widest window that divides the step and lies whole within span and coverage. */
function chooseWindow(
  view: ReadingView,
  { startUs, endUs, grid }: SteppedQuestion,
): { windowMs: number; span: Span } | undefined {
  for (const { windowMs, fromMs, toMs } of view.coverage.toReversed()) {
    const widthUs = windowMs * 1000
    if (!grid.takesWindows(widthUs)) continue
    const span = {
      startUs: Math.ceil(Math.max(startUs, fromMs * 1000) / widthUs) * widthUs,
      endUs: Math.floor(Math.min(endUs, toMs * 1000) / widthUs) * widthUs,
    }
    if (span.startUs < span.endUs) return { windowMs, span }
  }
  return undefined
}

function coveredSpans(
  view: ReadingView,
  series: number,
  { windowMs, span }: { windowMs: number; span: Span },
): Span[] {
  const widthUs = windowMs * 1000
  const touched = new Set<number>()
  for (const timeUs of view.memoryTimes(series, span)) touched.add(Math.floor(timeUs / widthUs))
  let unsure = alignOutwards(view.dirty(series), widthUs)
  for (const window of [...touched].toSorted((a, b) => a - b)) {
    const startUs = window * widthUs
    unsure = addSpan(unsure, { startUs, endUs: startUs + widthUs }, TOUCHED_SPANS_MAX)
  }
  return subtractSpans(span, unsure)
}
