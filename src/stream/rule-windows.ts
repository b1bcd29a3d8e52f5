/**
 * Rules on windows: decided on the on-time partials, as a window closes. A rule on one metric is
 * decided with each partial; one on several when all partials of the window are there, and not at
 * all when the device has none of one of them.
 */
import type { Variable } from '../pipeline/pipeline.ts'
import { aggregateOf, type ProgramEntry } from './rule-cells.ts'
import * as words from './stream.ts'
import { metricKey } from './watched-devices.ts'

/** Partials of one window, by device and metric. */
export class WindowPartials {
  #rows: Float64Array = new Float64Array(0)
  #windowMs = 0
  #startMs = 0
  readonly #places = new Map<string, number>()
  readonly #waiting = new Map<string, { entry: ProgramEntry; device: number }>()

  /** True when the row at `at` begins another window than the one before it. */
  begins(rows: Float64Array, at: number): boolean {
    const windowMs = rows[at + words.PARTIAL_WINDOW_MS]!
    const startMs = rows[at + words.PARTIAL_START_MS]!
    return windowMs !== this.#windowMs || startMs !== this.#startMs
  }

  begin(rows: Float64Array, at: number): void {
    this.#rows = rows
    this.#windowMs = rows[at + words.PARTIAL_WINDOW_MS]!
    this.#startMs = rows[at + words.PARTIAL_START_MS]!
  }

  get windowMs(): number {
    return this.#windowMs
  }
  get startUs(): number {
    return this.#startMs * 1000
  }
  get endUs(): number {
    return (this.#startMs + this.#windowMs) * 1000
  }

  /** The device's partial of a metric is at `at`. */
  add(device: number, metric: string, at: number): void {
    this.#places.set(`${device} ${metric}`, at)
  }

  /** To be decided when all partials are there. */
  wait(entry: ProgramEntry, device: number): void {
    this.#waiting.set(`${device} ${entry.live.order}`, { entry, device })
  }

  /** NaN where there is none. */
  read(device: number, variable: Variable): number {
    if (variable.of === 'device') return NaN
    const at = this.#places.get(`${device} ${metricKey(variable.metric, variable.kind)}`)
    if (at === undefined) return NaN
    const rows = this.#rows
    const { of } = variable
    // Rules on readings have these, and no window.
    if (of === 'latest' || of === 'previous' || of === 'delta') return NaN
    return aggregateOf(of, {
      count: rows[at + words.PARTIAL_COUNT]!,
      sum: rows[at + words.PARTIAL_SUM]!,
      mean: rows[at + words.PARTIAL_MEAN]!,
      squares: rows[at + words.PARTIAL_SQUARES]!,
      min: rows[at + words.PARTIAL_MIN]!,
      max: rows[at + words.PARTIAL_MAX]!,
      first: rows[at + words.PARTIAL_FIRST]!,
      firstUs: rows[at + words.PARTIAL_FIRST_TIME_US]!,
      last: rows[at + words.PARTIAL_LAST]!,
      lastUs: rows[at + words.PARTIAL_LAST_TIME_US]!,
    })
  }

  /** What waited, by device and rule; starts anew. */
  take(): { entry: ProgramEntry; device: number }[] {
    const taken = [...this.#waiting.values()].sort(
      (a, b) => a.device - b.device || a.entry.live.order - b.entry.live.order,
    )
    this.#waiting.clear()
    return taken
  }

  clear(): void {
    this.#places.clear()
    this.#windowMs = 0
  }
}
