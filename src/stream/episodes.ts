/**
 * Episodes: what a rule says of a device, from pending over firing to resolved. A record exists
 * only for a rule and device that are not idle, or whose breaches are counted; a device's records
 * are a chain, which is short.
 *
 *   length | device | rule | next of the device | phase | since | breach event time
 *   | triggered at | queued for | ended since | newest window in breach | value before
 *   | breaches counted | closes at | spare | spare | times of the breaches counted | values
 *
 *   idle ──breach──▶ pending ──for──▶ firing ──ended, keep──▶ resolved, and idle
 *                       └──no breach──▶ idle
 *
 * What waits for a time happens at that time, whenever the clock is found to be past it.
 */
import { Arena } from './arena.ts'
import { DueQueue } from './due-queue.ts'
import type { LiveRule, RuleBook } from './rule-book.ts'
import { eventOf, wordsOf } from './rule-events.ts'
import type { RuleEvent } from './stream.ts'
import type { WatchedDevices } from './watched-devices.ts'

export const DEVICE = 1
export const RULE = 2
const NEXT = 3
export const PHASE = 4
export const SINCE = 5
export const BREACH = 6
export const TRIGGERED = 7
/** The due time of the one entry in the queue that counts, or 0. */
const QUEUED_FOR = 8
/** NaN: it has not ended. */
const ENDED = 9
/** -Infinity: none, or the rule is not decided early. */
export const WINDOW = 10
const BEFORE = 11
const COUNTED = 12
/** When the rule's schedule is to be looked at again; Infinity without one. */
export const CLOSES = 13
const VARIABLE_PART = 16

export const IDLE = 0
const PENDING = 1
export const FIRING = 2

/** What one evaluation found. */
export interface Finding {
  holds: boolean
  /** What fires ends; undefined: only the window's end can tell. */
  isEnded: boolean | undefined
  /** Parallel to the rule's variables. */
  values: ArrayLike<number>
  eventUs: number
  ingestUs: number
  /** The value before; NaN where none is known. */
  before: number
  /** Of the window that is decided; -Infinity on readings. */
  windowUs: number
}

export class Episodes {
  readonly arena = new Arena()
  /** A device's first record, or 0. */
  readonly first: Uint32Array
  readonly #book: RuleBook
  readonly #devices: WatchedDevices
  /** A record came to be. */
  readonly #began: (live: LiveRule, device: number) => void
  /** Silence was resolved by its schedule. */
  readonly #closed: (device: number, ingestUs: number) => void
  readonly #deviceMax: number
  #due = new DueQueue()
  #events: RuleEvent[] = []

  constructor(options: {
    book: RuleBook
    devices: WatchedDevices
    deviceMax: number
    began: (live: LiveRule, device: number) => void
    closed: (device: number, ingestUs: number) => void
  }) {
    this.#book = options.book
    this.#devices = options.devices
    this.#deviceMax = options.deviceMax
    this.#began = options.began
    this.#closed = options.closed
    this.first = new Uint32Array(options.deviceMax)
  }

  /** When something falls due, or may; Infinity while nothing waits. */
  get nextDueUs(): number {
    return this.#due.nextUs
  }

  get bytesHeld(): number {
    return this.arena.bytesHeld + this.first.byteLength
  }

  /** The record of a rule and device, or 0. */
  find(index: number, device: number): number {
    const { table } = this.arena
    let record = this.first[device]!
    while (record > 0 && table[record + RULE] !== index) record = table[record + NEXT]!
    return record
  }

  *of(device: number): Generator<number> {
    // A record may be given back while it is looked at.
    for (let record = this.first[device]!, next = 0; record > 0; record = next) {
      next = this.arena.table[record + NEXT]!
      yield record
    }
  }

  ruleOf(record: number): LiveRule {
    return this.#book.live[this.arena.table[record + RULE]!]!
  }

  /** A rule was evaluated on a device. */
  decide(live: LiveRule, device: number, finding: Finding): void {
    let record = this.find(live.index, device)
    if (record === 0) {
      if (!finding.holds || !live.opening.isOpen(finding.ingestUs)) return
      record = this.begin(live, device)
    }
    const { table } = this.arena
    // What a window before said cannot end what the one under way has begun.
    if (finding.windowUs < table[record + WINDOW]!) return
    this.setValues(record, finding.values)
    if (finding.holds) table[record + WINDOW] = finding.windowUs
    if (table[record + PHASE] === FIRING) this.#decideEnd(record, live, finding)
    else this.#decideBegin(record, live, finding)
  }

  /** Nothing was heard of a device for too long. */
  fireSilence(live: LiveRule, device: number, atUs: number): void {
    const record = this.begin(live, device)
    this.arena.table[record + SINCE] = atUs
    this.arena.table[record + BREACH] = atUs
    this.#setCloses(record, live, atUs)
    this.#fire(record, atUs)
  }

  /** It ends, for another reason than its condition, or it is as if it had never begun. */
  end(record: number, ingestUs: number): void {
    if (this.arena.table[record + PHASE] === FIRING) this.#emit(record, ingestUs)
    this.#drop(record)
  }

  /** What is pending is as if it had never begun; what was counted is, too. */
  cancel(record: number): void {
    if (this.arena.table[record + PHASE] !== FIRING) this.#drop(record)
  }

  /** What has waited long enough at this moment fires, or resolves: nothing fell due before it. */
  fallDue(atUs: number): void {
    const { table } = this.arena
    while (this.#due.nextUs === atUs) {
      const { item: record, rank } = this.#due.pop()
      const isCurrent = table[record]! > 0 && table[record + QUEUED_FOR] === atUs
      if (!isCurrent || this.#rank(record) !== rank) continue
      table[record + QUEUED_FOR] = 0
      this.arena.mark(record)
      // Queued for what was before: it goes to the place of what is now, so that order never
      // depends on what ended in between.
      if (this.#dueUs(record) === atUs) this.#fallDue(record, atUs)
      else this.#queue(record)
    }
  }

  /** The gateway's clock was set: what waits goes on as if it had not been. */
  shift(stepUs: number, nowUs: number): void {
    this.#due = new DueQueue()
    for (const device of this.#devices.all())
      for (const record of this.of(device)) {
        const { table } = this.arena
        const move = (at: number): void => {
          table[at] = Math.min(table[at]! + stepUs, nowUs)
        }
        move(record + SINCE)
        move(record + ENDED)
        // Schedules go by the wall: one that closed within the step is looked at now.
        table[record + CLOSES] = Math.max(table[record + CLOSES]!, nowUs)
        const counted = table[record + COUNTED]!
        for (let i = 0; i < counted; i++) move(record + VARIABLE_PART + i)
        table[record + QUEUED_FOR] = 0
        this.arena.mark(record)
        this.#queue(record)
      }
  }

  /** All events since the last call. */
  take(): RuleEvent[] {
    const taken = this.#events
    this.#events = []
    return taken
  }

  /** A rule that is gone is resolved, from what was saved of it. */
  add(event: RuleEvent): void {
    this.#events.push(event)
  }

  begin(live: LiveRule, device: number): number {
    const counted = live.rule.repeat?.count ?? 0
    const record = this.arena.allocate(VARIABLE_PART + counted + live.rule.variables.length)
    const { table } = this.arena
    table[record + DEVICE] = device
    table[record + RULE] = live.index
    table[record + NEXT] = this.first[device]!
    table[record + ENDED] = NaN
    table[record + WINDOW] = -Infinity
    table[record + BEFORE] = NaN
    table[record + CLOSES] = Infinity
    table.fill(NaN, record + VARIABLE_PART + counted, record + table[record]!)
    this.first[device] = record
    this.#began(live, device)
    return record
  }

  /** Takes over a saved record of the same rule. */
  restore(record: number, source: Float64Array, from: number): void {
    const { table } = this.arena
    const kept = [PHASE, SINCE, BREACH, TRIGGERED, ENDED, WINDOW, BEFORE, CLOSES]
    for (const place of kept) table[record + place] = source[from + place]!
    const isAlike = table[record] === source[from]
    if (isAlike) {
      const countMax = this.ruleOf(record).rule.repeat?.count ?? 0
      table[record + COUNTED] = Math.min(source[from + COUNTED]!, countMax)
      for (let i = VARIABLE_PART; i < table[record]!; i++) table[record + i] = source[from + i]!
    }
    this.#queue(record)
  }

  /** Parallel to the rule's variables. */
  setValues(record: number, values: ArrayLike<number>): void {
    const { rule } = this.ruleOf(record)
    const at = record + VARIABLE_PART + (rule.repeat?.count ?? 0)
    for (let i = 0; i < rule.variables.length; i++) this.arena.table[at + i] = values[i]!
    this.arena.mark(record)
  }

  #decideBegin(record: number, live: LiveRule, finding: Finding): void {
    const { table } = this.arena
    const { holds, eventUs, ingestUs, before } = finding
    const isOpen = live.opening.isOpen(ingestUs)
    const isActive = isOpen && holds && this.#isRepeated(record, live, ingestUs)
    if (!isActive) {
      table[record + PHASE] = IDLE
      if (this.#hasCounted(record, live, ingestUs)) this.#queue(record)
      else this.#drop(record)
    } else if (table[record + PHASE] === IDLE) {
      table[record + SINCE] = ingestUs
      table[record + BREACH] = eventUs
      table[record + BEFORE] = before
      table[record + PHASE] = PENDING
      this.#setCloses(record, live, ingestUs)
      if (live.rule.forUs === 0) this.#fire(record, ingestUs)
      else this.#queue(record)
    } else if (ingestUs >= table[record + SINCE]! + live.rule.forUs) this.#fire(record, ingestUs)
  }

  #decideEnd(record: number, live: LiveRule, { holds, isEnded, ingestUs }: Finding): void {
    const { table } = this.arena
    if (!live.opening.isOpen(ingestUs)) return this.end(record, ingestUs)
    if (isEnded !== true) {
      if (holds || isEnded === false) table[record + ENDED] = NaN
    } else {
      if (Number.isNaN(table[record + ENDED])) table[record + ENDED] = ingestUs
      if (ingestUs >= table[record + ENDED]! + live.rule.keepUs) this.end(record, ingestUs)
      else this.#queue(record)
    }
  }

  /** Counts this breach; true when there were enough of them of late. */
  #isRepeated(record: number, live: LiveRule, ingestUs: number): boolean {
    const { repeat } = live.rule
    if (repeat === undefined) return true
    const { table } = this.arena
    const from = record + VARIABLE_PART
    const counted = table[record + COUNTED]!
    if (counted === repeat.count) table.copyWithin(from, from + 1, from + counted)
    const count = Math.min(counted + 1, repeat.count)
    table[from + count - 1] = ingestUs
    table[record + COUNTED] = count
    return count === repeat.count && table[from]! >= ingestUs - repeat.withinUs
  }

  /** Whether a breach that was counted may count still. */
  #hasCounted(record: number, live: LiveRule, ingestUs: number): boolean {
    return this.#countedUntilUs(record, live) > ingestUs
  }

  #countedUntilUs(record: number, { rule: { repeat } }: LiveRule): number {
    const counted = this.arena.table[record + COUNTED]!
    if (repeat === undefined || counted === 0) return -Infinity
    return this.arena.table[record + VARIABLE_PART + counted - 1]! + repeat.withinUs
  }

  #setCloses(record: number, live: LiveRule, ingestUs: number): void {
    this.arena.table[record + CLOSES] = live.opening.changesAtUs(ingestUs)
  }

  #fire(record: number, ingestUs: number): void {
    const { table } = this.arena
    table[record + PHASE] = FIRING
    table[record + TRIGGERED] = ingestUs
    table[record + ENDED] = NaN
    this.arena.mark(record)
    this.#queue(record)
    this.#emit(record, undefined)
  }

  /** When something happens without a reading. */
  #dueUs(record: number): number {
    const { table } = this.arena
    const live = this.ruleOf(record)
    const phase = table[record + PHASE]!
    if (phase === IDLE) return this.#countedUntilUs(record, live)
    const closesUs = table[record + CLOSES]!
    if (phase === PENDING) return Math.min(closesUs, table[record + SINCE]! + live.rule.forUs)
    const ended = table[record + ENDED]!
    return Number.isNaN(ended) ? closesUs : Math.min(closesUs, ended + live.rule.keepUs)
  }

  #fallDue(record: number, atUs: number): void {
    const { table } = this.arena
    const live = this.ruleOf(record)
    const device = table[record + DEVICE]!
    const phase = table[record + PHASE]!
    if (phase === IDLE) this.#drop(record)
    else if (!live.opening.isOpen(atUs)) {
      this.end(record, atUs)
      if (live.rule.on === 'silence') this.#closed(device, atUs)
    } else {
      if (table[record + CLOSES]! <= atUs) this.#setCloses(record, live, atUs)
      const isOver = this.#dueUs(record) <= atUs
      if (!isOver) this.#queue(record)
      else if (phase === PENDING) this.#fire(record, atUs)
      else this.end(record, atUs)
    }
  }

  /**
   * One entry a record: an early one stands for a later one, and is queued again when it comes up.
   */
  #queue(record: number): void {
    const { table } = this.arena
    const queuedFor = table[record + QUEUED_FOR]!
    const atUs = this.#dueUs(record)
    if (!Number.isFinite(atUs) || (queuedFor !== 0 && queuedFor <= atUs)) return
    table[record + QUEUED_FOR] = atUs
    this.#due.push({ atUs, rank: this.#rank(record), item: record })
  }

  /** Equal due times come in this order. */
  #rank(record: number): number {
    return this.ruleOf(record).order * this.#deviceMax + this.arena.table[record + DEVICE]!
  }

  #drop(record: number): void {
    const { table } = this.arena
    const device = table[record + DEVICE]!
    const next = table[record + NEXT]!
    if (this.first[device] === record) this.first[device] = next
    else
      for (const other of this.of(device))
        if (table[other + NEXT] === record) {
          table[other + NEXT] = next
          this.arena.mark(other)
        }
    this.arena.free(record)
  }

  #emit(record: number, resolvedAtUs: number | undefined): void {
    const { table } = this.arena
    const live = this.ruleOf(record)
    const valuesAt = record + VARIABLE_PART + (live.rule.repeat?.count ?? 0)
    const values = table.subarray(valuesAt, valuesAt + live.rule.variables.length)
    this.#events.push(
      eventOf(wordsOf(live.rule), this.#devices.name(table[record + DEVICE]!)!, {
        ...{ resolvedAtUs, values, before: table[record + BEFORE]! },
        breachEventTimeUs: table[record + BREACH]!,
        triggeredAtUs: table[record + TRIGGERED]!,
      }),
    )
  }
}
