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
    const first = new Map<number, number>()
    for (let at = 0; at < partials.length; at += PARTIAL_STRIDE) {
      if (partials[at + PARTIAL_IS_LATE] !== 0) continue
      const windowMs = partials[at + PARTIAL_WINDOW_MS]!
      const startMs = partials[at + PARTIAL_START_MS]!
      const known = this.#byWindow.get(windowMs)
      if (known !== undefined) known.toMs = Math.max(known.toMs, startMs + windowMs)
      else first.set(windowMs, Math.min(first.get(windowMs) ?? Infinity, startMs))
    }
    for (const [windowMs, fromMs] of first) {
      this.#byWindow.set(windowMs, { windowMs, fromMs, toMs: fromMs + windowMs })
    }
  }

  /** Copies, the smallest window first. */
  list(): RollupCoverage[] {
    return [...this.#byWindow.values()]
      .map((one) => ({ ...one }))
      .toSorted((a, b) => a.windowMs - b.windowMs)
  }
}
