/**
 * How the values of a series go on, for rules on a rate or a difference. While they go on within
 * the *pace* of all these rules nothing is written down: the history of a device's metric *follows*
 * its series, whose last value (guards.ts) and highest event time (series-state.ts) are the newest
 * reading. What leaves the pace, comes out of order or is not shown to the rules ends that.
 */
import { LAST, LAST_STRIDE, type Guards } from './guards.ts'
import type { Reading, RuleCells } from './rule-cells.ts'
import { PACE_STRIDE, type RuleSet, type RuleSets } from './rule-sets.ts'
import type { WatchedDevices } from './watched-devices.ts'

interface Parts {
  devices: WatchedDevices
  guards: Guards
  cells: RuleCells
  sets: RuleSets
  /** A series' highest event time, µs. */
  newestOf: (series: number) => number
}

export class Histories {
  readonly #parts: Parts
  /** Of `guards`: one step less on the hot path. */
  readonly #sets: Uint32Array
  readonly #lasts: Float64Array

  constructor(parts: Parts) {
    this.#parts = parts
    this.#sets = parts.guards.sets
    this.#lasts = parts.guards.lasts
  }

  /** Whether no rule can fire for how the value changed since the reading at `newestUs`. */
  isInPace(series: number, value: number, eventUs: number, newestUs: number): boolean {
    const { paces } = this.#parts.sets
    const at = this.#sets[series]! * PACE_STRIDE
    const delta = value - this.#lasts[series * LAST_STRIDE + LAST]!
    const rate = delta / ((eventUs - newestUs) / 1e6)
    const isNewest = eventUs > newestUs
    const isNear = delta >= paces[at]! && delta <= paces[at + 1]!
    return isNewest && isNear && rate >= paces[at + 2]! && rate <= paces[at + 3]!
  }

  /** Readings within the band and the pace are not written down from here on; true if they may. */
  follow(set: RuleSet, record: number, { eventUs, newestUs }: Reading): boolean {
    return eventUs > newestUs && this.#parts.cells.follow(record + set.part.cell!.at, eventUs)
  }

  /** Writes down what was followed, before a reading is whose series had the value `before`. */
  settle(at: number, { series, newestUs }: Reading, before: number): void {
    const { cells, guards, newestOf } = this.#parts
    const followed = cells.followed(at)
    if (followed === undefined) return
    if (followed === series) cells.settle(at, before, newestUs)
    else cells.settle(at, guards.lastOf(followed), newestOf(followed))
  }

  /** A reading that the rules do not see may be the newest: nothing follows it. */
  pass(series: number, newestUs: number): void {
    const { devices, guards, cells, sets } = this.#parts
    const { cell } = sets.sets[guards.sets[series]!]!.part
    if (cell?.kind !== 'history') return
    const record = cells.of[devices.deviceOf[series]!]!
    if (cells.followed(record + cell.at) !== series) return
    cells.settle(record + cell.at, guards.lastOf(series), newestUs)
    cells.arena.mark(record)
    guards.open(series)
  }
}
