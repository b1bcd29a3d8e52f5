/** Cold files that a question would have needed, and that its bucket did not give. */
import { addSpan, type Span, type Wanted } from '../query/query.ts'
import type { Segment } from './segment-set.ts'

/** Stretches that an answer names; more are joined. */
const SPANS_MAX = 32

/** Why: it is in the bucket's archive, or it is not there. */
export type WhyLeftOut = 'frozen' | 'missing'

export class LeftOut {
  readonly #files = new Set<string>()
  #frozen: Span[] = []

  /** True for the first time that it is told of a file. */
  add(segment: Segment, why: WhyLeftOut, wanted: readonly Wanted[]): boolean {
    const { file, minTimeUs, maxTimeUs } = segment
    if (why === 'frozen') {
      const asked = wanted.flatMap(({ spans }) => spans)
      const startUs = asked.reduce((least, one) => Math.min(least, one.startUs), Infinity)
      const endUs = asked.reduce((most, one) => Math.max(most, one.endUs), -Infinity)
      const span = {
        startUs: Math.max(minTimeUs, startUs),
        endUs: Math.min(maxTimeUs + 1, endUs),
      }
      this.#frozen = addSpan(this.#frozen, span, SPANS_MAX)
    }
    if (this.#files.has(file)) return false
    this.#files.add(file)
    return true
  }

  get frozen(): readonly Span[] {
    return this.#frozen
  }
}
