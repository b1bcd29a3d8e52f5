/**
 * Where partials tell everything. Those of the stream: of each window size from the first window
 * that was ever emitted to where windows are closed, whether somebody spoke in them or not. Those
 * of the summariser: hours and days, of all that it has summed up. Elsewhere only readings know.
 */
import {
  PARTIAL_IS_LATE,
  PARTIAL_START_MS,
  PARTIAL_STRIDE,
  PARTIAL_WINDOW_MS,
  type StreamOutput,
} from '../stream/stream.ts'

export interface RollupCoverage {
  windowMs: number
  fromMs: number
  toMs: number
}

/** Whole hours. */
export interface SummedUp {
  fromMs: number
  toMs: number
}

export const MINUTE_MS = 60_000
export const HOUR_MS = 3_600_000
export const DAY_MS = 86_400_000
/** Sizes of windows that summaries have. */
export const SUMMARY_WINDOWS_MS: readonly number[] = [HOUR_MS, DAY_MS]

export class RollupCoverages {
  readonly #byWindow: Map<number, RollupCoverage>

  constructor(known: readonly RollupCoverage[]) {
    this.#byWindow = new Map(known.map((one) => [one.windowMs, { ...one }]))
  }

  /** Of the outputs in their order. */
  note({ partials, closed }: Pick<StreamOutput, 'partials' | 'closed'>): void {
    if (partials !== undefined) this.#notePartials(partials)
    for (const { windowMs, beforeMs } of closed) {
      const known = this.#byWindow.get(windowMs)
      if (known === undefined) {
        this.#byWindow.set(windowMs, { windowMs, fromMs: beforeMs, toMs: beforeMs })
      } else known.toMs = Math.max(known.toMs, beforeMs)
    }
  }

  #notePartials(partials: Float64Array): void {
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

  /** Copies, the smallest window first. */
  list(): RollupCoverage[] {
    return [...this.#byWindow.values()]
      .map((one) => ({ ...one }))
      .toSorted((a, b) => a.windowMs - b.windowMs)
  }
}

/** Up to where all windows are closed; a size that the pipeline no longer has stays behind. */
export function toldBeforeMs(coverage: readonly RollupCoverage[]): number {
  const newestMs = coverage.reduce((most, { toMs }) => Math.max(most, toMs), -Infinity)
  const alive = coverage.filter(({ toMs }) => newestMs - toMs <= 2 * DAY_MS)
  return alive.reduce((least, { toMs }) => Math.min(least, toMs), Infinity)
}

/** Where summaries of this size of windows are; undefined: nowhere. */
export function summariesOf(
  windowMs: number,
  summedUp: SummedUp | undefined,
): SummedUp | undefined {
  if (summedUp === undefined || !SUMMARY_WINDOWS_MS.includes(windowMs)) return undefined
  const fromMs = Math.ceil(summedUp.fromMs / windowMs) * windowMs
  const toMs = Math.floor(summedUp.toMs / windowMs) * windowMs
  return fromMs < toMs ? { fromMs, toMs } : undefined
}

/**
 * What is covered by the one or the other, the smallest window first. Where there are summaries
 * they tell; the stream's windows of the same sizes go on from there.
 */
export function coveredByAny(
  streams: readonly RollupCoverage[],
  summedUp: SummedUp | undefined,
): RollupCoverage[] {
  const joined = new Map(streams.map((one) => [one.windowMs, one]))
  for (const windowMs of SUMMARY_WINDOWS_MS) {
    const ours = summariesOf(windowMs, summedUp)
    if (ours === undefined) continue
    const own = joined.get(windowMs)
    const isNext = own !== undefined && own.fromMs <= ours.toMs && ours.fromMs <= own.toMs
    const fromMs = isNext ? Math.min(own.fromMs, ours.fromMs) : ours.fromMs
    joined.set(windowMs, {
      windowMs,
      fromMs,
      toMs: isNext ? Math.max(own.toMs, ours.toMs) : ours.toMs,
    })
  }
  return [...joined.values()].toSorted((a, b) => a.windowMs - b.windowMs)
}
