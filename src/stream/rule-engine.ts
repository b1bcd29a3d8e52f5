/**
 * The rules of a plan and those that come and go in the log, in arrival order, on the ingest time
 * that the gateway stamped. A pure function of the calls: the same calls give the same events.
 *
 *   new RuleEngine({ rules: plan.rules, time: plan.time, limits: { seriesMax, deviceMax } })
 *
 *   each frame     tick(ingestUs)                  its base ingest time, when the clock moved to it
 *                  define(definitions, ingestUs)   when it has some, before its messages
 *   each message   hear(device, ingestUs)          unless historical; only when hasSilence
 *                  observe(series, value, eventUs, ingestUs, newestUs)   fresh, with isWatched()
 *                  pass(series, newestUs)         the same, but too old to alert
 *                  endMessage(eventUs, ingestUs)   behind the last of them
 *   windows        closeWindows(rows, [fromRow, toRow], ingestUs)
 *                  on-time partials (PARTIAL_STRIDE float64 a row); only when hasWindows
 *   always         take(): RuleEvent[]             all since the last call
 *
 * Nothing exists per rule and device while nothing goes on between them. A series has a number of a
 * *set* of rules, which it shares with all that the same rules watch, and a *guard*: a band of
 * values that breach none of them (guards.ts). What is outside is looked at: one comparison at
 * once, another rule behind the message (rule-cells.ts). What goes on then is an *episode*.
 */
import type { Definitions, DeviceFacts } from '../batch/batch.ts'
import { run, type Rule, type TimePolicy } from '../pipeline/pipeline.ts'
import { compare, NO_COMPARISON } from './comparisons.ts'
import { Episodes } from './episodes.ts'
import { BAND_STRIDE, Guards, LAST, LAST_STRIDE } from './guards.ts'
import { Histories } from './histories.ts'
import { RuleBinding } from './rule-binding.ts'
import { RuleBook, type LiveRule, type SavedBook } from './rule-book.ts'
import { RuleCells, windowStart, type ProgramEntry, type Reading } from './rule-cells.ts'
import { isIn, RuleSets } from './rule-sets.ts'
import type { RuleSet, SetProgram } from './rule-sets.ts'
import { Texts } from './rule-texts.ts'
import { RuleWindows } from './rule-windows.ts'
import { SERIES_PACED, SERIES_RULED } from './series-flags.ts'
import { Silence } from './silence.ts'
import type { RuleEvent } from './stream.ts'
import { WatchedDevices } from './watched-devices.ts'

export interface RuleEngineOptions {
  rules: readonly Rule[]
  time: Pick<TimePolicy, 'alertStalenessUs' | 'disorderUs' | 'idleTimeoutUs'>
  limits: { seriesMax: number; deviceMax: number }
  /** SERIES_* by series, where others keep theirs. */
  flags?: Uint8Array
  /** A series' highest event time, µs. */
  newestOf: (series: number) => number
}

export class RuleEngine {
  readonly texts = new Texts()
  readonly book = new RuleBook(this.texts)
  readonly devices: WatchedDevices
  readonly cells: RuleCells
  readonly episodes: Episodes
  readonly silence: Silence
  readonly guards: Guards
  /** Ascends with every list of definitions. */
  sequence = 0
  /** Chunks of 1,024 devices whose facts changed since the last checkpoint. */
  readonly factsChanged = new Set<number>()
  readonly #flags: Uint8Array
  readonly #histories: Histories
  readonly #sets = new RuleSets()
  /** Of `guards`: one step less on the hot path. */
  readonly #bands: Float32Array
  readonly #lasts: Float64Array
  readonly #lastsChanged: Uint8Array
  readonly #windows: RuleWindows
  readonly #binding: RuleBinding
  readonly #one = new Float64Array(1)
  readonly #reading: Reading = { series: 0, value: 0, eventUs: 0, newestUs: 0 }
  #stack = new Float64Array(16)
  #touched: ProgramEntry[] = []
  #touchedDevice = 0
  #message = 0
  #nowUs = -Infinity
  #windowRules = 0

  constructor({ rules, time, limits, flags, newestOf }: RuleEngineOptions) {
    const { seriesMax, deviceMax } = limits
    this.#flags = flags ?? new Uint8Array(seriesMax)
    this.devices = new WatchedDevices(limits)
    this.guards = new Guards(seriesMax, this.#flags)
    this.cells = new RuleCells(deviceMax, this.texts, this.guards)
    this.#bands = this.guards.bands
    this.#lasts = this.guards.lasts
    this.#lastsChanged = this.guards.changed
    this.episodes = new Episodes({
      ...{ book: this.book, devices: this.devices, deviceMax },
      began: (live, device) => this.#openFor(live, device),
      closed: (device, ingestUs) => this.silence.queue(device, ingestUs),
    })
    this.silence = new Silence(deviceMax, this.episodes)
    const { devices, guards, cells, episodes, silence } = this
    this.#histories = new Histories({ devices, guards, cells, sets: this.#sets, newestOf })
    this.#binding = new RuleBinding({ devices, guards, cells, episodes, silence, sets: this.#sets })
    this.#windows = new RuleWindows({
      ...{ devices, cells },
      staleUs: time.alertStalenessUs + time.disorderUs + time.idleTimeoutUs,
      flags: this.#flags,
      rulesOn: (series) => this.#sets.sets[guards.sets[series]!]!.part.windows,
      conclude: (live, device, at) => this.#conclude(live, device, at),
    })
    for (const live of this.book.addPlan(rules)) this.#enlist(live)
  }

  get bytesHeld(): number {
    const { cells, episodes, guards, silence } = this
    return [cells, episodes, guards, silence].reduce((sum, { bytesHeld }) => sum + bytesHeld, 0)
  }
  get hasSilence(): boolean {
    return this.silence.isNeeded
  }
  get hasWindows(): boolean {
    return this.#windowRules > 0
  }

  /** What the hot path looks at, BAND_STRIDE float32 a series; undefined while none is watched. */
  get bands(): Float32Array | undefined {
    return this.guards.bytesHeld > 0 ? this.#bands : undefined
  }

  isWatched(series: number): boolean {
    return (this.#flags[series]! & SERIES_RULED) !== 0
  }

  /** Series, texts, facts and changes of rules, in force from here on. */
  define({ texts, series, devices = [], rules = [] }: Definitions, ingestUs: number): void {
    this.sequence++
    this.#nowUs = ingestUs
    let isRenumbered = false
    for (const [id, text] of texts) if (this.texts.define(id, text)) isRenumbered = true
    for (const one of series) if (this.devices.add(one)) this.#binding.mark(one.device)
    for (const facts of devices) this.learn(facts)
    this.book.apply(rules, this.sequence, {
      added: (live) => this.#enlist(live),
      removed: (live) => this.#delist(live),
    })
    if (isRenumbered) for (const device of this.devices.facts.keys()) this.#binding.describe(device)
    this.rebind()
  }

  /** What the registry says of a device from now on; rebind() then heeds it. */
  learn(facts: DeviceFacts): void {
    const name = this.devices.name(facts.device)
    // The number is another's now, in a partition that was divided.
    if (name !== undefined && name.deviceId !== facts.deviceId) return
    this.devices.facts.set(facts.device, facts)
    this.factsChanged.add(facts.device >> 10)
    this.#binding.mark(facts.device)
  }

  /** Gives the devices that something changed of their rules, in the order of their numbers. */
  rebind(): void {
    this.#binding.rebind(this.#nowUs)
  }

  /** Goes on from a checkpoint, with the rules that changes had brought. */
  resume(saved: SavedBook | undefined, sequence: number, nowUs: number): void {
    this.#nowUs = this.silence.clockUs = nowUs
    // Readings from here on are all that rules know which were not there.
    this.sequence = sequence + 1
    for (const live of this.book.restore(saved, this.sequence)) this.#enlist(live)
    this.rebind()
  }

  /** The clock moved: what fell due happens, each at its own moment, however often it is looked. */
  tick(ingestUs: number): void {
    const nextUs = (): number => Math.min(this.episodes.nextDueUs, this.silence.nextDueUs)
    for (let atUs = nextUs(); atUs <= ingestUs; atUs = nextUs()) {
      this.episodes.fallDue(atUs)
      this.silence.fallDue(atUs)
    }
    this.#nowUs = this.silence.clockUs = ingestUs
  }

  hear(device: number, ingestUs: number): void {
    this.silence.hear(device, ingestUs, this.sequence)
  }

  /** `newestUs`: the series' highest event time before this reading. */
  observe(
    series: number,
    value: number,
    eventUs: number,
    ingestUs: number,
    newestUs: number,
  ): void {
    const bands = this.#bands
    const at = series * BAND_STRIDE
    const isWithin = value >= bands[at]! && value <= bands[at + 1]!
    const isPaced = (this.#flags[series]! & SERIES_PACED) !== 0
    if (isWithin && (!isPaced || this.#histories.isInPace(series, value, eventUs, newestUs))) {
      this.#lasts[series * LAST_STRIDE + LAST] = value
      this.#lastsChanged[series >> 10] = 1
    } else {
      this.#reading.series = series
      this.#reading.value = value
      this.#reading.eventUs = eventUs
      this.#reading.newestUs = newestUs
      this.#look(this.#reading, ingestUs)
    }
  }

  /** A reading that is too old to alert. */
  pass(series: number, newestUs: number): void {
    this.#histories.pass(series, newestUs)
  }

  /** Decides the rules that the interpreter decides, on the message's readings. */
  endMessage(eventUs: number, ingestUs: number): void {
    if (this.#touched.length === 0) return
    this.#message++
    const [device, touched] = [this.#touchedDevice, this.#touched]
    this.#touched = []
    if (touched.length > 1) touched.sort((a, b) => a.live.order - b.live.order)
    for (const entry of touched) {
      const { rule } = entry.live
      const startUs = rule.windowMs > 0 ? windowStart(eventUs, rule.windowMs) : -Infinity
      if (!this.#fill(entry, device, startUs)) continue
      this.#conclude(entry.live, device, { eventUs, ingestUs, windowUs: startUs })
    }
  }

  closeWindows(rows: Float64Array, range: [number, number], ingestUs: number): void {
    this.#windows.close(rows, range, ingestUs)
  }

  shift(stepUs: number, nowUs: number): void {
    this.episodes.shift(stepUs, nowUs)
    this.silence.shift(stepUs, nowUs)
  }

  /** The device went silent for good: its values are forgotten, and what was pending is idle. */
  forget(series: number): void {
    const set = this.#sets.sets[this.guards.sets[series]!]
    if (set === undefined) return
    const device = this.devices.deviceOf[series]!
    this.cells.forget(device, this.devices.keyOf(series).name)
    for (const record of this.episodes.of(device))
      if (isIn(set, this.episodes.ruleOf(record))) this.episodes.cancel(record)
    this.guards.forget(series)
  }

  take(): RuleEvent[] {
    return this.episodes.take()
  }

  #look(reading: Reading, ingestUs: number): void {
    const { series, value, eventUs } = reading
    const set = this.#sets.sets[this.guards.sets[series]!]!
    const device = this.devices.deviceOf[series]!
    const before = this.guards.lastOf(series)
    this.guards.setLast(series, value)
    const record = this.cells.of[device]!
    this.#remember(set, record, reading, before)
    const isBusy = this.episodes.first[device]! > 0
    const isDirect = isBusy || !(value >= set.directLow && value <= set.directHigh)
    if (isDirect) this.#decideDirect(set, device, { value, before, eventUs, ingestUs })
    let [isOpen, isTouched] = [false, false]
    for (const program of set.part.programs) {
      const mayHold = this.#mayHold(program, record, reading)
      if (isBusy || mayHold) this.#touch(program.entry, device)
      isTouched ||= isBusy || mayHold
      if (!mayHold) continue
      // While a rule's guard lets it, each of its metrics decides.
      if (!program.isOwn) isOpen = true
      else if (!program.entry.live.isOfOneMetric) this.#openAll(device)
    }
    isOpen ||= this.episodes.first[device]! > 0 && this.#isBusy(device, set)
    if (set.part.bounds.isPaced)
      isOpen ||= isTouched || !this.#histories.follow(set, record, reading)
    if (isOpen) this.guards.open(series)
    else this.guards.close(series, set.low, set.high)
  }

  #decideDirect(
    set: RuleSet,
    device: number,
    at: { value: number; before: number; eventUs: number; ingestUs: number },
  ): void {
    const { value } = at
    const isBusy = this.episodes.first[device]! > 0
    this.#one[0] = value
    for (const live of set.direct) {
      const holds = compare(live.comparison, value, live.threshold)
      if (!holds && (!isBusy || this.episodes.find(live.index, device) === 0)) continue
      const { clearComparison, clearThreshold } = live
      const isEnded =
        clearComparison === NO_COMPARISON ? !holds : compare(clearComparison, value, clearThreshold)
      const finding = { ...at, holds, isEnded, values: this.#one, windowUs: -Infinity }
      this.episodes.decide(live, device, finding)
    }
  }

  /** Whether the rule's condition can hold at all, by one comparison. */
  #mayHold(
    { entry, comparison, threshold, variable, place, isOwn, windowMs }: SetProgram,
    record: number,
    { value, eventUs }: Reading,
  ): boolean {
    if (comparison === NO_COMPARISON) return true
    if (isOwn && variable.of === 'latest') return compare(comparison, value, threshold)
    const startUs = windowMs > 0 ? windowStart(eventUs, windowMs) : -Infinity
    const read = this.cells.read(record + place, variable, entry.live.since, startUs)
    return compare(comparison, read, threshold)
  }

  /** `before`: the series' last value until now. */
  #remember(set: RuleSet, record: number, reading: Reading, before: number): void {
    const { cell, aggregates } = set.part
    if (cell === undefined && aggregates.length === 0) return
    if (cell?.kind === 'history') this.#histories.settle(record + cell.at, reading, before)
    if (cell !== undefined) this.cells.store(record + cell.at, cell.kind, reading, this.sequence)
    for (const { at, windowMs } of aggregates) this.cells.aggregate(record + at, windowMs, reading)
    this.cells.arena.mark(record)
  }

  #touch(entry: ProgramEntry, device: number): void {
    if (entry.live.touchedBy === this.#message) return
    entry.live.touchedBy = this.#message
    this.#touchedDevice = device
    this.#touched.push(entry)
  }

  /** Something goes on that this set's readings decide. */
  #isBusy(device: number, set: RuleSet): boolean {
    for (const record of this.episodes.of(device))
      if (isIn(set, this.episodes.ruleOf(record))) return true
    return false
  }

  #openAll(device: number): void {
    for (const series of this.devices.seriesOf(device))
      if (this.guards.sets[series]! > 0) this.guards.open(series)
  }

  /** All that the rule looks at of its device's readings. */
  #openFor(live: LiveRule, device: number): void {
    for (const series of this.devices.seriesOf(device)) {
      const set = this.#sets.sets[this.guards.sets[series]!]
      if (set !== undefined && isIn(set, live)) this.guards.open(series)
    }
  }

  /** The rule's values from what is remembered; false when one is not known. */
  #fill({ live, places }: ProgramEntry, device: number, startUs: number): boolean {
    const record = this.cells.of[device]!
    const { values, rule, since } = live
    for (let i = 0; i < values.length; i++) {
      values[i] = this.cells.read(record + places[i]!, rule.variables[i]!, since, startUs)
      if (Number.isNaN(values[i])) return false
    }
    return true
  }

  /** Runs a rule's conditions on its values. */
  #conclude(
    live: LiveRule,
    device: number,
    at: { eventUs: number; ingestUs: number; windowUs: number; isClosed?: boolean },
  ): void {
    const { program, clear, isEarly } = live.rule
    const { threshold } = program
    const holds =
      threshold === undefined
        ? run(program, live.values, this.#stack, live.textOf)
        : compare(live.comparison, live.values[threshold.variable]!, threshold.value)
    if (!holds && this.episodes.first[device] === 0) return
    const isRunning = isEarly && at.isClosed !== true
    const ends = (): boolean =>
      clear === undefined ? !holds : run(clear, live.values, this.#stack, live.clearTextOf)
    this.episodes.decide(live, device, {
      ...{ holds, isEnded: isRunning ? undefined : ends(), values: live.values, before: NaN },
      ...{ eventUs: at.eventUs, ingestUs: at.ingestUs, windowUs: at.windowUs },
    })
  }

  #enlist(live: LiveRule): void {
    const { program, clear, on } = live.rule
    const depth = Math.max(program.stackDepthMax, clear?.stackDepthMax ?? 0)
    if (depth > this.#stack.length) this.#stack = new Float64Array(depth)
    if (on === 'window') this.#windowRules++
    this.devices.addRule(live)
    for (const device of this.devices.candidates(live)) this.#binding.mark(device)
  }

  /** The rule is gone: what it says of anything ends. */
  #delist(live: LiveRule): void {
    if (live.rule.on === 'window') this.#windowRules--
    this.devices.removeRule(live)
    const concerned = new Set(this.devices.candidates(live))
    for (const device of [...concerned].sort((a, b) => a - b)) {
      this.#binding.mark(device)
      const record = this.episodes.find(live.index, device)
      if (record > 0) this.episodes.end(record, this.#nowUs)
    }
  }
}
