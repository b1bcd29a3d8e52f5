/**
 * Which part of an aggregated question window partials answer exactly, and which part the readings
 * must: outside of what partials cover, where a backlog made windows dirty, and in windows that
 * readings in memory touch, since their partial may not have been emitted yet. The widest windows
 * go first; what they leave, or do not tell, the next ones answer.
 */
import type { ReadingView, Span } from './query.ts'
import { addSpan, alignOutwards, clipSpans, subtractSpans } from './spans.ts'
import type { StepGrid } from './step-grid.ts'

/** By series: stretches in order and apart. */
export type SpansBySeries = Map<number, readonly Span[]>

/** Partials of one window size. */
export interface RollupPart {
  windowMs: number
  span: Span
  /** Here they are kept only where that is worth it. */
  sparse: Span | undefined
}

/** More spans than this are joined: a condition of SQL should stay short. */
const TOUCHED_SPANS_MAX = 64
/** Each is a question to the files. */
const READ_SPANS_MAX = 8

/** Windows that lie within steps, span and coverage, the widest first. */
export function partsOf(
  view: ReadingView,
  { startUs, endUs, grid, hasSketches }: Span & { grid: StepGrid; hasSketches: boolean },
): RollupPart[] {
  return view.coverage.toReversed().flatMap(({ windowMs, fromMs, toMs }) => {
    const widthUs = windowMs * 1000
    const sparse = view.sparse?.(windowMs)
    // No others have sketches.
    if (hasSketches && sparse === undefined) return []
    const covered = { startUs: fromMs * 1000, endUs: toMs * 1000 }
    const within = hasSketches ? clipSpans(sparse!, [covered]) : [covered]
    const span = clipSpans({ startUs, endUs }, within).map((one) => alignInwards(one, widthUs))[0]
    const isFit = span !== undefined && span.startUs < span.endUs && grid.takesWindows(widthUs)
    return isFit ? [{ windowMs, span, sparse }] : []
  })
}

/** What of a span is whole windows. */
export const alignInwards = ({ startUs, endUs }: Span, widthUs: number): Span => ({
  startUs: Math.ceil(startUs / widthUs) * widthUs,
  endUs: Math.floor(endUs / widthUs) * widthUs,
})

/** Whole windows of what is left. */
export function coveredSpans(
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
  const hull = { startUs: wanted[0]!.startUs, endUs: wanted.at(-1)!.endUs }
  for (const timeUs of view.memoryTimes(series, hull)) touched.add(Math.floor(timeUs / widthUs))
  let unsure = alignOutwards(view.dirty(series, windowMs), widthUs)
  for (const window of [...touched].toSorted((a, b) => a - b)) {
    const startUs = window * widthUs
    unsure = addSpan(unsure, { startUs, endUs: startUs + widthUs }, TOUCHED_SPANS_MAX)
  }
  return wanted.flatMap((one) => subtractSpans(one, unsure))
}

/** What counts of any of them: together, at most so many stretches. */
export function spansOf(covered: SpansBySeries): Span[] {
  let spans: Span[] = []
  for (const own of new Set(covered.values())) {
    for (const span of own) spans = addSpan(spans, span, READ_SPANS_MAX)
  }
  return spans
}
