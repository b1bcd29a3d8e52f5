/**
 * Rules on windows: decided on the on-time partials, as a window closes. A rule on one metric is
 * decided with each partial; one on several when all partials of the window are there, and not at
 * all when the device has none of one of them.
 */
import type { MetricVariable, Variable } from '../pipeline/pipeline.ts'
import type { LiveRule } from './rule-book.ts'
import type { ProgramEntry, RuleCells } from './rule-cells.ts'
import { SERIES_WINDOW_RULED } from './series-flags.ts'
import * as words from './stream.ts'
import { metricKey, type WatchedDevices } from './watched-devices.ts'
import { aggregateOf, type Moments } from './window-moments.ts'

interface Options {
  devices: WatchedDevices
  cells: RuleCells
  /** Windows that ended longer ago wake nobody. */
  staleUs: number
  /** SERIES_* by series. */
  flags: Uint8Array
  /** Of a series that has some. */
  rulesOn: (series: number) => readonly ProgramEntry[]
  /** The rule's values are known. */
  conclude: (live: LiveRule, device: number, at: WindowAt) => void
}

/** Of the window that closed: its end, its start, and the gateway's time. */
export interface WindowAt {
  eventUs: number
  ingestUs: number
  windowUs: number
  isClosed: true
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
  /** The same for all that it closes: there are as many as devices. */
  readonly #moments: Moments = {
    ...{ count: 0, sum: 0, mean: 0, squares: 0, min: 0, max: 0 },
    ...{ first: 0, firstUs: 0, last: 0, lastUs: 0 },
  }
  #at: WindowAt = { eventUs: 0, ingestUs: 0, windowUs: 0, isClosed: true }

  constructor(parts: Options) {
    this.#parts = parts
  }

  /** On-time partials as they were emitted, in order of their windows. */
  close(rows: Float64Array, [from, to]: [number, number], ingestUs: number): void {
    this.#rows = rows
    const { flags } = this.#parts
    for (let row = from; row < to; row++) {
      const at = row * words.PARTIAL_STRIDE
      const windowMs = rows[at + words.PARTIAL_WINDOW_MS]!
      const startMs = rows[at + words.PARTIAL_START_MS]!
      if (windowMs !== this.#windowMs || startMs !== this.#startMs || row === from) {
        this.#end()
        this.#begin(windowMs, startMs, ingestUs)
      }
      const series = rows[at + words.PARTIAL_SERIES]!
      if ((flags[series]! & SERIES_WINDOW_RULED) !== 0) this.#look(series, at)
    }
    this.#end()
  }

  #begin(windowMs: number, startMs: number, ingestUs: number): void {
    this.#windowMs = windowMs
    this.#startMs = startMs
    const eventUs = (startMs + windowMs) * 1000
    this.#at = { eventUs, ingestUs, windowUs: startMs * 1000, isClosed: true }
  }

  #look(series: number, at: number): void {
    const device = this.#parts.devices.deviceOf[series]!
    for (const entry of this.#parts.rulesOn(series)) {
      if (entry.live.rule.windowMs !== this.#windowMs) continue
      if (entry.live.isOfOneMetric) this.#decide(entry, device, at)
      else {
        this.#places.set(`${device} ${this.#parts.devices.keyOf(series).name}`, at)
        this.#waiting.set(`${device} ${entry.live.order}`, { entry, device })
      }
    }
  }

  /** All partials of a window are there: what waited for them is decided, by device and rule. */
  #end(): void {
    const waiting = [...this.#waiting.values()].sort(
      (a, b) => a.device - b.device || a.entry.live.order - b.entry.live.order,
    )
    for (const { entry, device } of waiting) this.#decide(entry, device, undefined)
    this.#waiting.clear()
    this.#places.clear()
  }

  /** `at`: the only partial that the rule asks for; without, each is looked up. */
  #decide({ live, places }: ProgramEntry, device: number, at: number | undefined): void {
    const { eventUs, ingestUs, windowUs } = this.#at
    const { cells, staleUs, conclude } = this.#parts
    if (eventUs < ingestUs - staleUs) return
    const { variables } = live.rule
    for (let i = 0; i < variables.length; i++) {
      const variable: Variable = variables[i]!
      const value =
        variable.of === 'device'
          ? cells.read(cells.of[device]! + places[i]!, variable, 0, windowUs)
          : this.#read(variable, at ?? this.#placeOf(device, variable))
      if (Number.isNaN(value)) return
      live.values[i] = value
    }
    conclude(live, device, this.#at)
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
    const moments = this.#moments
    moments.count = rows[at + words.PARTIAL_COUNT]!
    moments.sum = rows[at + words.PARTIAL_SUM]!
    moments.mean = rows[at + words.PARTIAL_MEAN]!
    moments.squares = rows[at + words.PARTIAL_SQUARES]!
    moments.min = rows[at + words.PARTIAL_MIN]!
    moments.max = rows[at + words.PARTIAL_MAX]!
    moments.first = rows[at + words.PARTIAL_FIRST]!
    moments.firstUs = rows[at + words.PARTIAL_FIRST_TIME_US]!
    moments.last = rows[at + words.PARTIAL_LAST]!
    moments.lastUs = rows[at + words.PARTIAL_LAST_TIME_US]!
    return aggregateOf(of, moments)
  }
}
