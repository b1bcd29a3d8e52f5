/** Stretches of event time: lists are in order and apart. */
import type { Span } from './query.ts'

/** The list with `added`, joined where they touch; beyond `limit` the nearest two become one. */
export function addSpan(spans: readonly Span[], added: Span, limit: number): Span[] {
  if (added.startUs >= added.endUs) return [...spans]
  const joined: Span[] = []
  for (const span of [...spans, added].toSorted((a, b) => a.startUs - b.startUs)) {
    const last = joined.at(-1)
    if (last !== undefined && span.startUs <= last.endUs) {
      last.endUs = Math.max(last.endUs, span.endUs)
    } else joined.push({ ...span })
  }
  while (joined.length > limit) joinNearest(joined)
  return joined
}

function joinNearest(spans: Span[]): void {
  let nearest = 1
  let leastGapUs = Infinity
  for (let at = 1; at < spans.length; at++) {
    const gapUs = spans[at]!.startUs - spans[at - 1]!.endUs
    if (gapUs >= leastGapUs) continue
    leastGapUs = gapUs
    nearest = at
  }
  spans[nearest - 1]!.endUs = spans[nearest]!.endUs
  spans.splice(nearest, 1)
}

/** What of `within` no span of the list covers. */
export function subtractSpans(within: Span, spans: readonly Span[]): Span[] {
  const left: Span[] = []
  let startUs = within.startUs
  for (const span of spans) {
    if (span.endUs <= startUs) continue
    if (span.startUs >= within.endUs) break
    if (span.startUs > startUs) left.push({ startUs, endUs: span.startUs })
    startUs = span.endUs
  }
  if (startUs < within.endUs) left.push({ startUs, endUs: within.endUs })
  return left
}

/** What of `within` the list covers. */
export function clipSpans(within: Span, spans: readonly Span[]): Span[] {
  return spans
    .map(({ startUs, endUs }) => ({
      startUs: Math.max(startUs, within.startUs),
      endUs: Math.min(endUs, within.endUs),
    }))
    .filter(({ startUs, endUs }) => startUs < endUs)
}

/** Each span grown outwards to whole multiples of `widthUs`. */
export function alignOutwards(spans: readonly Span[], widthUs: number): Span[] {
  return spans.reduce<Span[]>((aligned, { startUs, endUs }) => {
    const grown = {
      startUs: Math.floor(startUs / widthUs) * widthUs,
      endUs: Math.ceil(endUs / widthUs) * widthUs,
    }
    return addSpan(aligned, grown, Infinity)
  }, [])
}

export const contains = (spans: readonly Span[], timeUs: number): boolean =>
  spans.some(({ startUs, endUs }) => startUs <= timeUs && timeUs < endUs)
