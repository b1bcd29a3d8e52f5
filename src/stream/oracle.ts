/**
 * The naive oracle: the stream's semantics said a second time, for the tests, with maps, sorting
 * and two passes instead of flat memory and running sums.
 */
import { metricsOf, type Plan, type Rule } from '../pipeline/pipeline.ts'
import {
  CONDITIONS,
  METRICS,
  type ScriptFrame,
  type ScriptMessage,
  seriesOf,
  METRIC_LABEL,
} from './script.ts'
import { FATE_DUPLICATE, FATE_FRESH, FATE_UNVERIFIED } from './stream.ts'

export interface OracleReading {
  series: number
  eventUs: number
  value: number
  fate: number
  isHistorical: boolean
}

export interface OracleEpisode {
  ruleId: string
  device: number
  state: 'firing' | 'resolved'
  triggeredAtUs: number
  resolvedAtUs: number | undefined
  breachEventTimeUs: number
}

interface RuleState {
  pendingSinceUs: number | undefined
  breachUs: number
  triggeredAtUs: number | undefined
}

export class Oracle {
  /** All readings in order of arrival. */
  readonly readings: OracleReading[] = []
  readonly episodes: OracleEpisode[] = []
  readonly anomalies: { series: number; eventUs: number; score: number }[] = []
  readonly #plan: Plan
  readonly #memory = new Map<number, { times: number[]; floor: number }>()
  readonly #identities = new Map<number, number[]>()
  readonly #accepted = new Map<number, number[]>()
  readonly #latest = new Map<string, number>()
  readonly #rules = new Map<string, RuleState>()
  #clockUs: number | undefined

  constructor(plan: Plan) {
    this.#plan = plan
  }

  process(frame: ScriptFrame): void {
    this.#follow(frame.baseUs)
    this.#tick(frame.baseUs)
    for (const message of frame.messages) this.#message(message, frame.baseUs)
  }

  /** Ten minutes at once, or a second back: the clock was set, and conditions go on pending. */
  #follow(baseUs: number): void {
    const passedUs = baseUs - (this.#clockUs ?? baseUs)
    const isSet = passedUs > 600e6 || passedUs < -1e6
    if (isSet) {
      for (const state of this.#rules.values())
        if (state.pendingSinceUs !== undefined) state.pendingSinceUs += passedUs
    }
    this.#clockUs = isSet ? baseUs : Math.max(this.#clockUs ?? baseUs, baseUs)
  }

  #message(message: ScriptMessage, baseUs: number): void {
    const { device, eventUs, isHistorical } = message
    const ingestUs = baseUs + message.ingestDeltaUs
    const isRepeat = this.#isRepeat(message)
    const fresh = new Set<string>()
    for (const [metric, value] of message.readings) {
      const series = seriesOf(device, metric)
      const fate = isRepeat ? FATE_DUPLICATE : this.#fate(series, eventUs)
      this.readings.push({ series, eventUs, value, fate, isHistorical })
      const isFed = fate === FATE_FRESH && !isHistorical
      if (!isFed || eventUs < ingestUs - this.#plan.time.alertStalenessUs) continue
      fresh.add(METRICS[metric]!.name)
      this.#latest.set(`${device} ${METRICS[metric]!.name}`, value)
      this.#score(series, METRICS[metric]!.name, eventUs, value)
    }
    this.#decide(device, fresh, eventUs, ingestUs)
  }

  #isRepeat({ device, identity }: ScriptMessage): boolean {
    if (identity === 0) return false
    const last = this.#identities.get(device) ?? []
    if (last.includes(identity)) return true
    this.#identities.set(device, [...last, identity].slice(-128))
    return false
  }

  #fate(series: number, eventUs: number): number {
    const memory = this.#memory.get(series) ?? { times: [], floor: -Infinity }
    this.#memory.set(series, memory)
    if (eventUs <= memory.floor) return FATE_UNVERIFIED
    if (memory.times.includes(eventUs)) return FATE_DUPLICATE
    memory.times = [...memory.times, eventUs].sort((a, b) => a - b)
    if (memory.times.length > 64) memory.floor = memory.times.shift()!
    return FATE_FRESH
  }

  #score(series: number, metric: string, eventUs: number, value: number): void {
    for (const detector of this.#plan.detectors) {
      if (detector.metric !== metric || detector.type !== 'pump') continue
      const accepted = this.#accepted.get(series) ?? []
      this.#accepted.set(series, [...accepted, value])
      if (accepted.length < detector.n) continue
      const { mean, squares } = twoPass(accepted.slice(-detector.n))
      const score = (value - mean) / Math.sqrt(squares / (detector.n - 1))
      if (squares > 0 && Math.abs(score) >= detector.threshold)
        this.anomalies.push({ series, eventUs, score })
    }
  }

  /** Threshold rules are decided as their reading is met, the others after the message. */
  #decide(device: number, fresh: Set<string>, eventUs: number, ingestUs: number): void {
    const touched = this.#plan.rules.filter((rule) => metricsOf(rule).some((m) => fresh.has(m)))
    const isFast = ({ program }: Rule): boolean => program.threshold !== undefined
    const ordered = [...touched.filter(isFast), ...touched.filter((rule) => !isFast(rule))]
    for (const rule of ordered) {
      const values = metricsOf(rule).map((metric) => this.#latest.get(`${device} ${metric}`))
      if (values.includes(undefined)) continue
      const isBreach = CONDITIONS[rule.id]!(values as number[])
      const state = this.#state(rule, device)
      if (!isBreach) {
        if (state.triggeredAtUs !== undefined) this.#emit(rule, device, state, ingestUs)
        this.#rules.delete(`${rule.id} ${device}`)
      } else if (state.triggeredAtUs === undefined) {
        if (state.pendingSinceUs === undefined) {
          state.pendingSinceUs = ingestUs
          state.breachUs = eventUs
        }
        if (ingestUs - state.pendingSinceUs >= rule.forUs) this.#fire(rule, device, ingestUs)
      }
    }
  }

  #tick(ingestUs: number): void {
    const due = this.#plan.rules
      .flatMap((rule, index) => [0, 1, 2, 3].map((device) => ({ rule, index, device })))
      .map((one) => ({ ...one, state: this.#state(one.rule, one.device) }))
      .filter(({ state }) => state.pendingSinceUs !== undefined && !state.triggeredAtUs)
      .map((one) => ({ ...one, dueUs: one.state.pendingSinceUs! + one.rule.forUs }))
      .filter(({ dueUs }) => dueUs <= ingestUs)
      .sort((a, b) => a.dueUs - b.dueUs || a.index - b.index || a.device - b.device)
    for (const { rule, device } of due) this.#fire(rule, device, ingestUs)
  }

  #state(rule: Rule, device: number): RuleState {
    const key = `${rule.id} ${device}`
    const state = this.#rules.get(key)
    if (state !== undefined) return state
    const fresh = { pendingSinceUs: undefined, breachUs: 0, triggeredAtUs: undefined }
    this.#rules.set(key, fresh)
    return fresh
  }

  #fire(rule: Rule, device: number, ingestUs: number): void {
    const state = this.#state(rule, device)
    state.triggeredAtUs = ingestUs
    this.#emit(rule, device, state, undefined)
  }

  #emit(rule: Rule, device: number, state: RuleState, resolvedAtUs: number | undefined): void {
    this.episodes.push({
      ruleId: rule.id,
      device,
      state: resolvedAtUs === undefined ? 'firing' : 'resolved',
      triggeredAtUs: state.triggeredAtUs!,
      resolvedAtUs,
      breachEventTimeUs: state.breachUs,
    })
  }
}

export interface OracleWindow {
  series: number
  windowMs: number
  startMs: number
  count: number
  sum: number
  min: number
  max: number
  mean: number
  squares: number
  first: number
  last: number
}

/** The windows that the fresh, non-historical readings fill, by `series window start`. */
export function windowsOf(readings: OracleReading[], windowMs: number): Map<string, OracleWindow> {
  const groups = new Map<string, OracleReading[]>()
  for (const reading of readings) {
    if (reading.fate !== FATE_FRESH || reading.isHistorical) continue
    if (reading.series % METRICS.length === METRIC_LABEL) continue
    const startMs = Math.floor(reading.eventUs / 1000 / windowMs) * windowMs
    const key = `${reading.series} ${windowMs} ${startMs}`
    groups.set(key, [...(groups.get(key) ?? []), reading])
  }
  const windows = new Map<string, OracleWindow>()
  for (const [key, group] of groups) {
    const inTime = group.toSorted((a, b) => a.eventUs - b.eventUs)
    const values = inTime.map(({ value }) => value)
    const [series, , startMs] = key.split(' ').map(Number)
    windows.set(key, {
      series: series!,
      windowMs,
      startMs: startMs!,
      count: values.length,
      sum: values.reduce((sum, one) => sum + one, 0),
      min: Math.min(...values),
      max: Math.max(...values),
      ...twoPass(values),
      first: values[0]!,
      last: values.at(-1)!,
    })
  }
  return windows
}

/** Mean and centred squares, in two passes relative to the first value. */
export function twoPass(values: number[]): { mean: number; squares: number } {
  const [pivot] = values
  const offset = values.reduce((sum, value) => sum + (value - pivot!), 0) / values.length
  const squares = values.reduce((sum, value) => sum + (value - pivot! - offset) ** 2, 0)
  return { mean: pivot! + offset, squares }
}
