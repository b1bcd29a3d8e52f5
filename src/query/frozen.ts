/** What an answer says of readings that are in the archive of a bucket. */
import type { FrozenSpan, Span } from './query.ts'

/** For its meta; nothing where nothing is. */
export function frozenOf(spans: readonly Span[] | undefined): { frozen?: FrozenSpan[] } {
  if (spans === undefined || spans.length === 0) return {}
  return { frozen: spans.map(({ startUs, endUs }) => ({ from: startUs / 1000, to: endUs / 1000 })) }
}
