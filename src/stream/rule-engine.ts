/**
 * The rules of a plan and those that come and go in the log, in arrival order, on the ingest time
 * that the gateway stamped. A pure function of the calls: the same calls give the same events.
 *
 *   new RuleEngine({ rules: plan.rules, time: plan.time, limits: { seriesMax, deviceMax } })
 *
 *   each frame     define(definitions, ingestUs)   when it has some, before its messages
 *                  tick(ingestUs)                  its base ingest time
 *   each message   hear(device, ingestUs)          unless historical; only when hasSilence
 *                  observe(series, value, eventUs, ingestUs)
 *                                                  each fresh reading whose isWatched(series)
 *                  endMessage(eventUs, ingestUs)   behind the last of them
 *   windows        closeWindows(rows, fromRow, toRow, ingestUs)
 *                                                  on-time partials (PARTIAL_STRIDE float64 a row)
 *                                                  as they are emitted; only when hasWindows
 *   at any time    take(): RuleEvent[]             all since the last call
 */
import type { Definitions } from '../batch/batch.ts'
import type { Rule, TimePolicy } from '../pipeline/pipeline.ts'
import { Rules } from './rules.ts'
export class RuleEngine {
  #rules: Rules
  #watched = new Uint8Array(1024)
  hasSilence = false
  hasWindows = false
  constructor({
    rules,
    limits,
  }: {
    rules: Rule[]
    time: TimePolicy
    limits: { seriesMax: number; deviceMax: number }
  }) {
    this.#rules = new Rules(rules, limits.seriesMax)
  }
  define(d: Definitions, _ingestUs: number): void {
    for (const [id, text] of d.texts) this.#rules.defineText(id, text)
    for (const s of d.series) this.#watched[s.series] = this.#rules.attach(s) ? 1 : 0
  }
  get nextDueUs(): number {
    return this.#rules.nextDueUs
  }
  tick(us: number): void {
    this.#rules.tick(us)
  }
  isWatched(series: number): boolean {
    return this.#watched[series] === 1
  }
  hear(_device: number, _us: number): void {}
  observe(series: number, value: number, e: number, i: number): void {
    this.#rules.observe(series, value, e, i)
  }
  endMessage(e: number, i: number): void {
    this.#rules.endMessage(e, i)
  }
  closeWindows(_rows: Float64Array, _from: number, _to: number, _us: number): void {}
  take() {
    return this.#rules.take()
  }
}
