/**
 * Where the partials of a window size tell everything: from the first window that was ever emitted
 * to the end of the latest on-time one. Before it and behind it only the readings know.
 */
import {
  PARTIAL_IS_LATE,
  PARTIAL_START_MS,
  PARTIAL_STRIDE,
  PARTIAL_WINDOW_MS,
} from '../stream/stream.ts'

export interface RollupCoverage {
  windowMs: number
  fromMs: number
  toMs: number
}

export class RollupCoverages {
  readonly #byWindow: Map<number, RollupCoverage>

  constructor(known: readonly RollupCoverage[]) {
    this.#byWindow = new Map(known.map((one) => [one.windowMs, { ...one }]))
  }

  /** Notes the partials of one output. */
  note(partials: Float64Array): void {
    // The first output of a window size says where its partials begin, in whatever order they come.
    const isNew = new Set<number>()
    for (let at = 0; at < partials.length; at += PARTIAL_STRIDE) {
      if (partials[at + PARTIAL_IS_LATE] !== 0) continue
      const windowMs = partials[at + PARTIAL_WINDOW_MS]!
      const fromMs = partials[at + PARTIAL_START_MS]!
      const toMs = fromMs + windowMs
      const known = this.#byWindow.get(windowMs)
      if (known === undefined) {
        this.#byWindow.set(windowMs, { windowMs, fromMs, toMs })
        isNew.add(windowMs)
        continue
      }
      known.toMs = Math.max(known.toMs, toMs)
      if (isNew.has(windowMs)) known.fromMs = Math.min(known.fromMs, fromMs)
    }
  }

  /** Windows that were made of readings, next to those that there are. */
  extend({ windowMs, fromMs, toMs }: RollupCoverage): void {
    const known = this.#byWindow.get(windowMs)
    if (known === undefined) this.#byWindow.set(windowMs, { windowMs, fromMs, toMs })
    else known.toMs = Math.max(known.toMs, toMs)
  }

  /** Copies, the smallest window first. */
  list(): RollupCoverage[] {
    return [...this.#byWindow.values()]
      .map((one) => ({ ...one }))
      .toSorted((a, b) => a.windowMs - b.windowMs)
  }
}
