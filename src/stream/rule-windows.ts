/**
 * Rules on windows: decided on the on-time partials, as a window closes. A rule on one metric is
 * decided with each partial; one on several when all partials of the window are there, and not at
 * all when the device has none of one of them.
 */
import type { MetricVariable } from '../pipeline/pipeline.ts'
import type { LiveRule } from './rule-book.ts'
import { aggregateOf, type ProgramEntry, type RuleCells } from './rule-cells.ts'
import * as words from './stream.ts'
import { metricKey, type WatchedDevices } from './watched-devices.ts'

interface Options {
  devices: WatchedDevices
  cells: RuleCells
  /** Windows that ended longer ago wake nobody. */
  staleUs: number
  rulesOn: (series: number) => readonly ProgramEntry[]
  /** The rule's values are known. */
  conclude: (
    live: LiveRule,
    device: number,
    at: { eventUs: number; ingestUs: number; windowUs: number },
  ) => void
}

export class RuleWindows {
  readonly #parts: Options
  #rows: Float64Array = new Float64Array(0)
  /** Of the window whose partials are looked at. */
  #windowMs = 0
  #startMs = 0
  /** Rows of its partials that rules on several metrics ask for, by device and metric. */
  readonly #places = new Map<string, number>()
  readonly #waiting = new Map<string, { entry: ProgramEntry; device: number }>()

  constructor(parts: Options) {
    this.#parts = parts
  }

  /** On-time partials as they were emitted, in order of their windows. */
  close(rows: Float64Array, [from, to]: [number, number], ingestUs: number): void {
    this.#rows = rows
    for (let row = from; row < to; row++) {
      const at = row * words.PARTIAL_STRIDE
      const windowMs = rows[at + words.PARTIAL_WINDOW_MS]!
      const startMs = rows[at + words.PARTIAL_START_MS]!
      if (windowMs !== this.#windowMs || startMs !== this.#startMs) this.#end(ingestUs)
      this.#windowMs = windowMs
      this.#startMs = startMs
      const entries = this.#parts.rulesOn(rows[at + words.PARTIAL_SERIES]!)
      if (entries.length > 0) this.#look(entries, at, ingestUs)
    }
    this.#end(ingestUs)
  }

  #look(entries: readonly ProgramEntry[], at: number, ingestUs: number): void {
    const series = this.#rows[at + words.PARTIAL_SERIES]!
    const device = this.#parts.devices.deviceOf[series]!
    for (const entry of entries) {
      if (entry.live.rule.windowMs !== this.#windowMs) continue
      if (entry.live.isOfOneMetric) this.#decide(entry, device, { ingestUs, at })
      else {
        this.#places.set(`${device} ${this.#parts.devices.keyOf(series).name}`, at)
        this.#waiting.set(`${device} ${entry.live.order}`, { entry, device })
      }
    }
  }

  /** All partials of a window are there: what waited for them is decided, by device and rule. */
  #end(ingestUs: number): void {
    const waiting = [...this.#waiting.values()].sort(
      (a, b) => a.device - b.device || a.entry.live.order - b.entry.live.order,
    )
    for (const { entry, device } of waiting) this.#decide(entry, device, { ingestUs })
    this.#waiting.clear()
    this.#places.clear()
  }

  /** `at`: the only partial that the rule asks for; without, each is looked up. */
  #decide(
    { live, places }: ProgramEntry,
    device: number,
    { ingestUs, at }: { ingestUs: number; at?: number },
  ): void {
    const startUs = this.#startMs * 1000
    const endUs = startUs + this.#windowMs * 1000
    const { cells, staleUs, conclude } = this.#parts
    if (endUs < ingestUs - staleUs) return
    for (const [i, variable] of live.rule.variables.entries()) {
      const value =
        variable.of === 'device'
          ? cells.read(cells.of[device]! + places[i]!, variable, 0, startUs)
          : this.#read(variable, at ?? this.#placeOf(device, variable))
      if (Number.isNaN(value)) return
      live.values[i] = value
    }
    conclude(live, device, { eventUs: endUs, ingestUs, windowUs: startUs })
  }

  /** -1 where the device has no partial of the metric. */
  #placeOf(device: number, variable: MetricVariable): number {
    const metric = metricKey(variable.metric, variable.kind)
    return this.#places.get(`${device} ${metric}`) ?? -1
  }

  #read({ of }: MetricVariable, at: number): number {
    // Rules on readings have these, and no window.
    if (at === -1 || of === 'latest' || of === 'previous' || of === 'delta') return NaN
    const rows = this.#rows
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
}
