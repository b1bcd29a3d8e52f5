/**
 * The naive oracle of rules: a state for every rule and device, whole histories, conditions as
 * functions, and at every tick a look at everything that waits, until nothing has fallen due.
 */
import type { DeviceFacts, RuleChange } from '../batch/batch.ts'
import { metricsOf, type Plan, type Rule, type Variable } from '../pipeline/pipeline.ts'
import { isWithin, nextChangeUs } from '../schedule/schedule.ts'
import { aggregated, changed, CLEARS, CONDITIONS, type Heard } from './script-rules.ts'
import { METRICS, SERIES, type ScriptFrame } from './script.ts'
import { SilenceOracle, type Live, type Pair } from './silence-oracle.ts'

export interface OracleEpisode {
  ruleId: string
  ruleVersion: number
  device: number
  state: 'firing' | 'resolved'
  triggeredAtUs: number
  resolvedAtUs: number | undefined
  breachEventTimeUs: number
}

interface State extends Pair {
  sinceUs: number | undefined
  breachUs: number
  triggeredUs: number | undefined
  endedUs: number | undefined
  closesUs: number
  windowUs: number
  counted: number[]
}

/** What happens at a time, unless something else does before. */
interface Waiting {
  dueUs: number
  happen: () => void
}

interface Verdict {
  holds: boolean
  isEnded: boolean | undefined
  eventUs: number
  ingestUs: number
  windowUs: number
}

const DEVICES = [...new Set(SERIES.map(({ device }) => device))]

export class RuleOracle {
  readonly episodes: OracleEpisode[] = []
  readonly #plan: Plan
  readonly #live = new Map<string, Live>()
  readonly #known = new Map<string, number>()
  readonly #states = new Map<string, State>()
  readonly #facts = new Map<number, DeviceFacts>()
  /** By `device metric`, in order of arrival. */
  readonly #heard = new Map<string, Heard[]>()
  readonly #silence = new SilenceOracle()
  #sequence = 0
  #changes = 1_000_000
  #isFirst = true

  constructor(plan: Plan) {
    this.#plan = plan
    for (const [order, rule] of plan.rules.entries())
      this.#live.set(rule.id, { rule, order, since: 0 })
  }

  define({ baseUs, rules = [], devices = [] }: ScriptFrame, clockUs: number): void {
    if (!this.#isFirst && rules.length === 0 && devices.length === 0) return
    this.#isFirst = false
    this.#sequence++
    for (const facts of devices) this.#facts.set(facts.device, facts)
    for (const change of rules) this.#change(change, baseUs)
    const gone = this.#byOrder([...this.#states.values()]).filter(
      ({ live, device }) => !this.#concerns(live.rule, device),
    )
    for (const state of gone) this.#end(state, baseUs)
    this.#silence.watch(this.#silences(), clockUs)
  }

  /** All rules on silence with the devices that they look at. */
  #silences(): Pair[] {
    return [...this.#live.values()]
      .filter(({ rule }) => rule.on === 'silence')
      .flatMap((live) => DEVICES.map((device) => ({ live, device })))
      .filter(({ live, device }) => this.#concerns(live.rule, device))
  }

  #change(change: RuleChange, baseUs: number): void {
    if ('retain' in change) {
      const others = [...this.#live.values()].filter(({ order }) => order >= 1_000_000)
      const kept = new Set(change.retain.map(({ id }) => id))
      for (const { rule } of others) if (!kept.has(rule.id)) this.#drop(rule.id, baseUs)
      return
    }
    const { id, version } = 'put' in change ? change.put : change.remove
    const isOfPlan = this.#plan.rules.some((rule) => rule.id === id)
    if (isOfPlan || version <= (this.#known.get(id) ?? 0)) return
    this.#known.set(id, version)
    this.#drop(id, baseUs)
    if (!('put' in change)) return
    const live = { rule: change.put as Rule, order: this.#changes++, since: this.#sequence }
    this.#live.set(id, live)
  }

  #drop(id: string, baseUs: number): void {
    const live = this.#live.get(id)
    if (live === undefined) return
    const states = [...this.#states.values()].filter((state) => state.live === live)
    for (const state of states.sort((a, b) => a.device - b.device)) this.#end(state, baseUs)
    this.#live.delete(id)
  }

  #concerns({ deviceIds, tags }: Rule, device: number): boolean {
    if (deviceIds !== undefined && !deviceIds.includes(`device-${device}`)) return false
    const actual = this.#facts.get(device)?.tags
    return Object.entries(tags).every(([name, value]) => actual?.[name] === value)
  }

  hear(device: number, ingestUs: number): void {
    if (!this.#silences().some((one) => one.device === device)) return
    this.#silence.hear(device, ingestUs, this.#sequence)
    const silent = this.#byOrder([...this.#states.values()]).filter(
      (state) => state.device === device && state.live.rule.on === 'silence',
    )
    for (const state of silent) this.#end(state, ingestUs)
  }

  /** One comparison of a reading is decided as it is met, the others after the message. */
  message(
    device: number,
    readings: [string, number][],
    { eventUs, ingestUs }: { eventUs: number; ingestUs: number },
  ): void {
    const at = { eventUs, ingestUs, windowUs: -Infinity }
    const rules = this.#rulesOf(device).filter(({ rule }) => rule.on !== 'silence')
    const isDirect = ({ rule }: Live): boolean =>
      rule.on === 'readings' && rule.variables.length === 1 && /^[a-z] [<>]=? \d+$/.test(rule.when)
    for (const [metric, value] of readings) {
      const key = `${device} ${metric}`
      const heard = { eventUs, value, sequence: this.#sequence }
      this.#heard.set(key, [...(this.#heard.get(key) ?? []), heard])
      for (const live of rules.filter(isDirect))
        if (metricsOf(live.rule)[0] === metric) this.#judge(live, device, () => value, at)
    }
    const names = readings.map(([metric]) => metric)
    for (const live of rules) {
      const { rule } = live
      const isTouched = metricsOf(rule).some((metric) => names.includes(metric))
      if (isDirect(live) || !isTouched) continue
      if (rule.on === 'readings')
        this.#judge(live, device, (one) => this.#read(live, device, one), at)
      else if (rule.isEarly) {
        const startUs = startOf(eventUs, rule.windowMs)
        const running = (variable: Variable): number =>
          this.#running(device, variable, { startUs, windowMs: rule.windowMs })
        this.#judge(live, device, running, { ...at, windowUs: startUs }, true)
      }
    }
  }

  /** A window closed; `readings` were in time for it. */
  window(
    { windowMs, startUs }: { windowMs: number; startUs: number },
    readings: readonly { series: number; eventUs: number; value: number }[],
    ingestUs: number,
  ): void {
    const { alertStalenessUs, disorderUs, idleTimeoutUs } = this.#plan.time
    const endUs = startUs + windowMs * 1000
    if (endUs < ingestUs - alertStalenessUs - disorderUs - idleTimeoutUs) return
    const at = { eventUs: endUs, ingestUs, windowUs: startUs }
    // Rules on one metric are decided series by series, the others behind them.
    for (const isOfOne of [true, false])
      for (const device of DEVICES)
        for (const metric of isOfOne ? METRICS.map(({ name }) => name) : ['']) {
          for (const live of this.#rulesOf(device)) {
            const names = metricsOf(live.rule)
            if (live.rule.windowMs !== windowMs || (names.length === 1) !== isOfOne) continue
            if (isOfOne && names[0] !== metric) continue
            const read = (variable: Variable): number =>
              aggregated(variable, readings.filter(isOf(device, variable)))
            this.#judge(live, device, read, at)
          }
        }
  }

  tick(ingestUs: number): void {
    for (;;) {
      const [first] = [...this.#waitingStates(), ...this.#waitingSilences()]
        .filter(({ dueUs }) => dueUs <= ingestUs)
        .sort((x, y) => x.dueUs - y.dueUs)
      if (first === undefined) break
      first.happen()
    }
  }

  /** What falls together comes by rule and device. */
  #waitingStates(): Waiting[] {
    return [...this.#states.values()]
      .sort((x, y) => x.live.order - y.live.order || x.device - y.device)
      .map((state) => ({ state, dueUs: this.#dueUs(state) }))
      .map(({ state, dueUs }) => ({ dueUs, happen: () => this.#fallDue(state, dueUs) }))
  }

  /** And what is found of silence behind it, by device and rule. */
  #waitingSilences(): Waiting[] {
    return this.#silences()
      .filter(({ live, device }) => !this.#has(live, device))
      .sort((x, y) => x.device - y.device || x.live.order - y.live.order)
      .map((pair) => ({ pair, dueUs: this.#silence.dueUs(pair) }))
      .map(({ pair, dueUs }) => ({ dueUs, happen: () => this.#fireSilence(pair, dueUs) }))
  }

  #fireSilence({ live, device }: Pair, atUs: number): void {
    const state = this.#state(live, device)
    const { schedule } = live.rule
    state.breachUs = atUs
    state.closesUs = schedule === undefined ? Infinity : nextChangeUs(schedule, atUs)
    this.#fire(state, atUs)
  }

  /** Nothing is moved beyond now. */
  shift(stepUs: number, nowUs: number): void {
    const moved = (us: number): number => Math.min(us + stepUs, nowUs)
    for (const state of this.#states.values()) {
      if (state.sinceUs !== undefined) state.sinceUs = moved(state.sinceUs)
      if (state.endedUs !== undefined) state.endedUs = moved(state.endedUs)
      // Schedules go by the wall: what closed within the step closes now.
      state.closesUs = Math.max(state.closesUs, nowUs)
      state.counted = state.counted.map(moved)
    }
    this.#silence.shift(stepUs, nowUs)
  }

  #rulesOf(device: number): Live[] {
    return [...this.#live.values()]
      .filter(({ rule }) => this.#concerns(rule, device))
      .sort((a, b) => a.order - b.order)
  }

  #judge(
    live: Live,
    device: number,
    read: (variable: Variable) => number,
    at: Pick<Verdict, 'eventUs' | 'ingestUs' | 'windowUs'>,
    isRunning = false,
  ): void {
    const { rule } = live
    const values = new Map(rule.variables.map((one) => [one.label, read(one)]))
    if ([...values.values()].some(Number.isNaN)) return
    const of = (label: string): number => values.get(label)!
    const holds = CONDITIONS[rule.when]!(of)
    const ends = CLEARS[rule.id]
    const isEnded = ends === undefined ? !holds : CONDITIONS[ends]!(of)
    this.#decide(live, device, { ...at, holds, isEnded: isRunning ? undefined : isEnded })
  }

  #decide(live: Live, device: number, verdict: Verdict): void {
    const { holds, isEnded, eventUs, ingestUs, windowUs } = verdict
    const { rule } = live
    const isOpen = rule.schedule === undefined || isWithin(rule.schedule, ingestUs)
    if (!this.#has(live, device) && !(holds && isOpen)) return
    const state = this.#state(live, device)
    if (windowUs < state.windowUs) return
    if (holds) state.windowUs = windowUs
    if (state.triggeredUs !== undefined) {
      if (!isOpen) return this.#end(state, ingestUs)
      if (holds || isEnded === false) if (isEnded !== true) state.endedUs = undefined
      if (isEnded !== true) return
      state.endedUs ??= ingestUs
      if (ingestUs - state.endedUs >= rule.keepUs) this.#end(state, ingestUs)
      return
    }
    let isActive = holds && isOpen
    if (isActive && rule.repeat !== undefined) {
      const { count, withinUs } = rule.repeat
      state.counted = [...state.counted, ingestUs].slice(-count)
      isActive = state.counted.length === count && state.counted[0]! >= ingestUs - withinUs
    }
    if (!isActive) {
      state.sinceUs = undefined
      this.#forgetCounted(state, ingestUs)
    } else {
      if (state.sinceUs === undefined) {
        state.sinceUs = ingestUs
        state.breachUs = eventUs
        state.closesUs = rule.schedule ? nextChangeUs(rule.schedule, ingestUs) : Infinity
      }
      if (ingestUs - state.sinceUs >= rule.forUs) this.#fire(state, ingestUs)
    }
  }

  /** Breaches that count no more, and with them all of an idle state. */
  #forgetCounted(state: State, ingestUs: number): void {
    const untilUs = (state.counted.at(-1) ?? -Infinity) + (state.live.rule.repeat?.withinUs ?? 0)
    if (untilUs <= ingestUs) this.#states.delete(keyOf(state.live, state.device))
  }

  #dueUs({ live, sinceUs, triggeredUs, endedUs, closesUs, counted }: State): number {
    const { rule } = live
    if (triggeredUs !== undefined)
      return endedUs === undefined ? closesUs : Math.min(closesUs, endedUs + rule.keepUs)
    if (sinceUs !== undefined) return Math.min(closesUs, sinceUs + rule.forUs)
    return (counted.at(-1) ?? -Infinity) + (rule.repeat?.withinUs ?? 0)
  }

  #fallDue(state: State, atUs: number): void {
    const { live } = state
    const { schedule } = live.rule
    const isOpen = schedule === undefined || isWithin(schedule, atUs)
    if (!isOpen || (state.sinceUs === undefined && state.triggeredUs === undefined)) {
      if (live.rule.on === 'silence') this.#silence.close(state, atUs)
      return this.#end(state, atUs)
    }
    if (schedule !== undefined && state.closesUs <= atUs)
      state.closesUs = nextChangeUs(schedule, atUs)
    if (this.#dueUs(state) > atUs) return
    if (state.triggeredUs === undefined) this.#fire(state, atUs)
    else this.#end(state, atUs)
  }

  #read({ since }: Live, device: number, variable: Variable): number {
    if (variable.of === 'device') {
      const said = this.#facts.get(device)?.tags[variable.tag]
      return said === undefined ? NaN : Number(said)
    }
    const heard = this.#heard.get(`${device} ${variable.metric}`) ?? []
    const latest = heard.at(-1)
    if (variable.of === 'latest')
      return latest !== undefined && latest.sequence >= since ? latest.value : NaN
    return changed(variable, heard, since)
  }

  /** Of the newest window that the device's metric spoke in, if that is the one. */
  #running(
    device: number,
    variable: Variable,
    { startUs, windowMs }: { startUs: number; windowMs: number },
  ): number {
    if (variable.of === 'device') return NaN
    const heard = this.#heard.get(`${device} ${variable.metric}`) ?? []
    const starts = heard.map(({ eventUs }) => startOf(eventUs, windowMs))
    if (Math.max(-Infinity, ...starts) !== startUs) return NaN
    return aggregated(
      variable,
      heard.filter((_, index) => starts[index] === startUs),
    )
  }

  #has(live: Live, device: number): boolean {
    return this.#states.has(keyOf(live, device))
  }

  #state(live: Live, device: number): State {
    const known = this.#states.get(keyOf(live, device))
    if (known !== undefined) return known
    const state: State = {
      ...{ live, device, sinceUs: undefined, breachUs: 0, triggeredUs: undefined },
      ...{ endedUs: undefined, closesUs: Infinity, windowUs: -Infinity, counted: [] },
    }
    this.#states.set(keyOf(live, device), state)
    return state
  }

  #byOrder(states: State[]): State[] {
    return states.sort((a, b) => a.device - b.device || a.live.order - b.live.order)
  }

  #fire(state: State, ingestUs: number): void {
    state.triggeredUs = ingestUs
    state.counted = []
    this.#emit(state, undefined)
  }

  #end(state: State, ingestUs: number): void {
    if (state.triggeredUs !== undefined) this.#emit(state, ingestUs)
    this.#states.delete(keyOf(state.live, state.device))
  }

  #emit({ live, device, triggeredUs, breachUs }: State, resolvedAtUs: number | undefined): void {
    this.episodes.push({
      ...{ ruleId: live.rule.id, ruleVersion: live.rule.version, device },
      state: resolvedAtUs === undefined ? 'firing' : 'resolved',
      ...{ triggeredAtUs: triggeredUs!, resolvedAtUs, breachEventTimeUs: breachUs },
    })
  }
}

const keyOf = ({ order }: Live, device: number): string => `${order} ${device}`

const startOf = (eventUs: number, windowMs: number): number =>
  Math.floor(eventUs / windowMs / 1000) * windowMs * 1000

const isOf =
  (device: number, variable: Variable) =>
  ({ series }: { series: number }): boolean =>
    variable.of !== 'device' &&
    Math.floor(series / METRICS.length) === device &&
    METRICS[series % METRICS.length]!.name === variable.metric
