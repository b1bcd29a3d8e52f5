/**
 * Rules in arrival order, on the ingest time that the gateway stamped. Per (rule, device) one
 * record in a flat table: idle, pending since, or firing, and the device's latest value of each
 * variable.
 *
 * A message is evaluated when it carries at least one of the rule's metrics; the others take their
 * latest value, and while one was never seen the rule does not decide. A rule that is one
 * comparison of one number is decided where the reading is met, without the interpreter; while such
 * a device is idle and below its threshold nothing is written.
 *
 * Record, float64: phase | since | breach event time | triggered at | queued for | is touched |
 * rule | device | a value a variable (NaN: never seen)
 */
import type { SeriesDefinition } from '../batch/batch.ts'
import { metricsOf, run, type Rule } from '../pipeline/pipeline.ts'
import { compare, comparisonCode, NO_COMPARISON } from './comparisons.ts'
import { DueQueue } from './due-queue.ts'
import { hashKey } from './keys.ts'
import type { RuleEvent } from './stream.ts'

const PHASE = 0
const SINCE = 1
const BREACH = 2
const TRIGGERED = 3
/** The due time of the one entry in the queue that counts, or 0. */
const QUEUED_FOR = 4
const IS_TOUCHED = 5
const RULE = 6
const DEVICE = 7
const VALUES = 8

const IDLE = 0
const PENDING = 1
const FIRING = 2
const BINDING_STRIDE = 4
const RECORD = 0
const VARIABLE = 1
const NEXT = 2
const RULE_INDEX = 3

/** The table is checkpointed in blocks of this many float64. */
const BLOCK_SHIFT = 14
export const RULE_BLOCK = 1 << BLOCK_SHIFT

/** What a checkpoint keeps of a rule, to find it again and to resolve it when it is gone. */
export interface SavedRule {
  id: string
  version: number
  severity: string
  metrics: string[]
}

const recordLength = (rule: SavedRule | Rule): number =>
  (VALUES + ('metrics' in rule ? rule.metrics : metricsOf(rule)).length + 7) & ~7

export class Rules {
  readonly rules: readonly Rule[]
  readonly #comparison: Uint8Array
  readonly #threshold: Float64Array
  readonly #textIds: ((index: number) => number)[]
  readonly #stack: Float64Array
  readonly #values: Float64Array[]
  /** Ids of the texts that rules mention. */
  readonly #texts = new Map<string, number>()
  readonly #deviceOf = new Map<number, SeriesDefinition>()
  readonly #recordOf = new Map<number, number>()
  #table = new Float64Array(RULE_BLOCK)
  /**
   * Per record, by its place / 8: 1 unless idle. All that a reading without breach looks at, since
   * 10 KB stay in the cache where 10,000 records do not.
   */
  #isBusy = new Uint8Array(RULE_BLOCK >> 3)
  #length = 0
  /** 1 where a block changed since the last checkpoint. */
  #changed = new Uint8Array(1)
  /** First binding of a series, plus 1. */
  readonly #first: Uint32Array
  /** Per binding: record | variable | next binding + 1 | rule. */
  #bindings = new Uint32Array(256 * BINDING_STRIDE)
  #bindingCount = 0
  #touched: number[] = []
  #due = new DueQueue()
  #events: RuleEvent[] = []

  constructor(rules: readonly Rule[], seriesMax: number) {
    this.rules = rules
    this.#comparison = Uint8Array.from(rules, ({ program }) =>
      program.threshold ? comparisonCode(program.threshold.comparison) : NO_COMPARISON,
    )
    this.#threshold = Float64Array.from(rules, ({ program }) => program.threshold?.value ?? NaN)
    const depth = rules.reduce((most, { program }) => Math.max(most, program.stackDepthMax), 1)
    this.#stack = new Float64Array(depth)
    this.#values = rules.map((rule) => new Float64Array(rule.variables.length))
    for (const { program } of rules) for (const text of program.texts) this.#texts.set(text, -1)
    this.#textIds = rules.map(
      ({ program }) =>
        (index) =>
          this.#texts.get(program.texts[index]!) ?? -1,
    )
    this.#first = new Uint32Array(rules.length > 0 ? seriesMax : 0)
  }

  /** Float64 in use; records lie back to back. */
  get length(): number {
    return this.#length
  }
  get bytesHeld(): number {
    return this.#table.byteLength
  }

  /** Learns the dictionary id of a text, if a rule mentions it. */
  defineText(id: number, text: string): void {
    if (this.#texts.has(text)) this.#texts.set(text, id)
  }

  /** Lets every rule that this series matters to look at it; true when there is one. */
  attach(definition: SeriesDefinition): boolean {
    const { series, device } = definition
    if (!this.#deviceOf.has(device)) this.#deviceOf.set(device, definition)
    // Backwards, as each new binding goes to the front: rules then run in the plan's order.
    for (let index = this.rules.length - 1; index >= 0; index--) {
      const rule = this.rules[index]!
      if (rule.type !== undefined && rule.type !== definition.deviceType) continue
      if (rule.deviceIds?.includes(definition.deviceId) === false) continue
      const variable = metricsOf(rule).indexOf(definition.metric)
      // A text's dictionary number must never be compared as a number, nor the other way round.
      if (variable === -1 || rule.variables[variable]!.kind !== definition.kind) continue
      const record = this.#record(index, device)
      this.#bind([record, variable, this.#first[series]!, index])
      this.#first[series] = this.#bindingCount
    }
    return (this.#first[series] ?? 0) > 0
  }

  /** A reading of a watched series arrived. Call endMessage() after the message's last. */
  observe(series: number, value: number, eventUs: number, ingestUs: number): void {
    const table = this.#table
    const bindings = this.#bindings
    let binding = this.#first[series]!
    while (binding > 0) {
      const at = (binding - 1) * BINDING_STRIDE
      const record = bindings[at + RECORD]!
      const index = bindings[at + RULE_INDEX]!
      const comparison = this.#comparison[index]!
      if (comparison === NO_COMPARISON) {
        table[record + VALUES + bindings[at + VARIABLE]!] = value
        this.#touch(record)
      } else {
        const isBreach = compare(comparison, value, this.#threshold[index]!)
        if (isBreach || this.#isBusy[record >> 3] === 1) {
          table[record + VALUES] = value
          this.#decide(record, isBreach, eventUs, ingestUs)
        }
      }
      binding = bindings[at + NEXT]!
    }
  }

  /** Decides the interpreted rules whose metrics the message carried. */
  endMessage(eventUs: number, ingestUs: number): void {
    if (this.#touched.length === 0) return
    for (const record of this.#touched) {
      this.#table[record + IS_TOUCHED] = 0
      const index = this.#table[record + RULE]! | 0
      const values = this.#values[index]!
      let isKnown = true
      for (let i = 0; i < values.length; i++) {
        values[i] = this.#table[record + VALUES + i]!
        if (Number.isNaN(values[i])) isKnown = false
      }
      if (!isKnown) continue
      const { program } = this.rules[index]!
      const isBreach = run(program, values, this.#stack, this.#textIds[index]!)
      this.#decide(record, isBreach, eventUs, ingestUs)
    }
    this.#touched.length = 0
  }

  /** The gateway's clock says `ingestUs`: what is pending long enough fires. */
  tick(ingestUs: number): void {
    while (this.#due.nextUs <= ingestUs) {
      const { atUs, item: record } = this.#due.pop()
      if (this.#table[record + QUEUED_FOR] !== atUs) continue
      this.#table[record + QUEUED_FOR] = 0
      this.#mark(record)
      if (this.#table[record + PHASE] !== PENDING) continue
      // Queued for an earlier breach: it goes to the place of this one, so that order never depends
      // on what was cleared in between.
      if (this.#dueUs(record) !== atUs) this.#queue(record)
      else this.#fire(record, ingestUs)
    }
  }

  /** The gateway's clock was set: what is pending goes on as if it had not been. */
  shift(stepUs: number): void {
    this.#due = new DueQueue()
    for (const record of this.#recordOf.values()) {
      this.#table[record + QUEUED_FOR] = 0
      this.#table[record + SINCE]! += stepUs
      if (this.#table[record + PHASE] === PENDING) this.#queue(record)
      this.#mark(record)
    }
  }

  /** The device went silent for good: its values are forgotten, and what was pending is idle. */
  forget(series: number): void {
    let binding = this.#first[series] ?? 0
    while (binding > 0) {
      const at = (binding - 1) * BINDING_STRIDE
      const record = this.#bindings[at + RECORD]!
      this.#table[record + VALUES + this.#bindings[at + VARIABLE]!] = NaN
      if (this.#table[record + PHASE] === PENDING) this.#enter(record, IDLE)
      this.#mark(record)
      binding = this.#bindings[at + NEXT]!
    }
  }

  /** All events since the last call. */
  take(): RuleEvent[] {
    const taken = this.#events
    this.#events = []
    return taken
  }

  /** Blocks of the table that changed since the last call: `[index, copy]`. */
  takeChanged(): [number, Float64Array<ArrayBuffer>][] {
    const taken: [number, Float64Array<ArrayBuffer>][] = []
    for (const [block, isChanged] of this.#changed.entries()) {
      if (isChanged === 0) continue
      const to = Math.min((block + 1) * RULE_BLOCK, this.#length)
      taken.push([block, this.#table.slice(block * RULE_BLOCK, to)])
    }
    this.#changed.fill(0)
    return taken
  }

  /**
   * Takes over a checkpointed table, after the series were attached again. A record is found by
   * rule (id, version and metrics) and device; what fires for a rule that is gone is resolved at
   * the next tick's time.
   */
  restore(saved: readonly SavedRule[], table: Float64Array, resolvedAtUs: number): void {
    const current = saved.map((rule) => this.rules.findIndex((other) => isSame(rule, other)))
    for (let from = 0; from < table.length;) {
      const index = table[from + RULE]!
      const device = table[from + DEVICE]!
      const rule = saved[index]!
      const record = this.#recordOf.get(this.#rank(current[index]!, device))
      if (record !== undefined) {
        for (let i = 0; i < VALUES + rule.metrics.length; i++)
          if (i !== RULE) this.#table[record + i] = table[from + i]!
        this.#table[record + QUEUED_FOR] = 0
        this.#enter(record, table[from + PHASE]!)
        this.#mark(record)
        if (table[from + PHASE] === PENDING) this.#queue(record)
      } else if (table[from + PHASE] === FIRING && this.#deviceOf.has(device)) {
        const breachUs = table[from + BREACH]!
        this.#emit(rule, device, breachUs, table[from + TRIGGERED]!, { resolvedAtUs, values: {} })
      }
      from += recordLength(rule)
    }
  }

  #bind(binding: number[]): void {
    const at = this.#bindingCount++ * BINDING_STRIDE
    if (at === this.#bindings.length) {
      const grown = new Uint32Array(at * 2)
      grown.set(this.#bindings)
      this.#bindings = grown
    }
    this.#bindings.set(binding, at)
  }

  #record(index: number, device: number): number {
    const rank = this.#rank(index, device)
    const known = this.#recordOf.get(rank)
    if (known !== undefined) return known
    const record = this.#length
    this.#length += recordLength(this.rules[index]!)
    if (this.#length > this.#table.length) {
      const grown = new Float64Array(this.#table.length * 2)
      grown.set(this.#table)
      this.#table = grown
      const changed = new Uint8Array(grown.length >> BLOCK_SHIFT)
      changed.set(this.#changed)
      this.#changed = changed
      const isBusy = new Uint8Array(grown.length >> 3)
      isBusy.set(this.#isBusy)
      this.#isBusy = isBusy
    }
    this.#table.fill(NaN, record + VALUES, this.#length)
    this.#table[record + RULE] = index
    this.#table[record + DEVICE] = device
    this.#recordOf.set(rank, record)
    this.#mark(record)
    return record
  }

  /** Equal due times fire in this order. */
  #rank(index: number, device: number): number {
    return index * 2 ** 32 + device
  }

  #touch(record: number): void {
    if (this.#table[record + IS_TOUCHED] === 1) return
    this.#table[record + IS_TOUCHED] = 1
    this.#mark(record)
    this.#touched.push(record)
  }

  #mark(record: number): void {
    this.#changed[record >> BLOCK_SHIFT] = 1
    // A record may straddle two blocks.
    this.#changed[(record + recordLength(this.#ruleOf(record)) - 1) >> BLOCK_SHIFT] = 1
  }

  #ruleOf(record: number): Rule {
    return this.rules[this.#table[record + RULE]!]!
  }

  #dueUs(record: number): number {
    return this.#table[record + SINCE]! + this.#ruleOf(record).forUs
  }

  #enter(record: number, phase: number): void {
    this.#table[record + PHASE] = phase
    this.#isBusy[record >> 3] = phase === IDLE ? 0 : 1
  }

  #decide(record: number, isBreach: boolean, eventUs: number, ingestUs: number): void {
    const phase = this.#table[record + PHASE]!
    if (!isBreach) {
      if (phase === FIRING) this.#emitRecord(record, ingestUs)
      if (phase !== IDLE) this.#enter(record, IDLE)
    } else if (phase === IDLE) {
      this.#table[record + SINCE] = ingestUs
      this.#table[record + BREACH] = eventUs
      this.#enter(record, PENDING)
      if (this.#ruleOf(record).forUs === 0) this.#fire(record, ingestUs)
      else this.#queue(record)
    } else if (phase === PENDING && ingestUs >= this.#dueUs(record)) this.#fire(record, ingestUs)
    this.#mark(record)
  }

  /**
   * One entry a record: an early one stands for a later one, and is queued again when it comes up.
   */
  #queue(record: number): void {
    const queuedFor = this.#table[record + QUEUED_FOR]!
    const atUs = this.#dueUs(record)
    if (queuedFor !== 0 && queuedFor <= atUs) return
    this.#table[record + QUEUED_FOR] = atUs
    const rank = this.#rank(this.#table[record + RULE]!, this.#table[record + DEVICE]!)
    this.#due.push({ atUs, rank, item: record })
  }

  #fire(record: number, ingestUs: number): void {
    this.#enter(record, FIRING)
    this.#table[record + TRIGGERED] = ingestUs
    this.#emitRecord(record, undefined)
  }

  #emitRecord(record: number, resolvedAtUs: number | undefined): void {
    const table = this.#table
    const rule = this.#ruleOf(record)
    const values: Record<string, number> = {}
    for (const [i, metric] of metricsOf(rule).entries())
      values[metric] = table[record + VALUES + i]!
    const breachUs = table[record + BREACH]!
    const triggeredUs = table[record + TRIGGERED]!
    this.#emit(rule, table[record + DEVICE]!, breachUs, triggeredUs, { resolvedAtUs, values })
  }

  #emit(
    rule: Pick<SavedRule, 'id' | 'version' | 'severity'>,
    device: number,
    breachEventTimeUs: number,
    triggeredAtUs: number,
    ending: { resolvedAtUs: number | undefined; values: Record<string, number> },
  ): void {
    const { tenant, deviceId } = this.#deviceOf.get(device)!
    const key = [tenant, rule.id, rule.version, deviceId, breachEventTimeUs]
    this.#events.push({
      id: hashKey(key),
      tenant,
      ruleId: rule.id,
      ruleVersion: rule.version,
      severity: rule.severity,
      deviceId,
      state: ending.resolvedAtUs === undefined ? 'firing' : 'resolved',
      triggeredAtUs,
      resolvedAtUs: ending.resolvedAtUs,
      breachEventTimeUs,
      values: ending.values,
      reason: { kind: 'condition', condition: '' },
    })
  }
}

function isSame(saved: SavedRule, rule: Rule): boolean {
  const isSameVersion = saved.id === rule.id && saved.version === rule.version
  return isSameVersion && saved.metrics.join('\n') === metricsOf(rule).join('\n')
}
