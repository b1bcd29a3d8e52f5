/**
 * The naive oracle: the stream's semantics said a second time, for the tests, with maps, sorting
 * and two passes instead of flat memory and running sums.
 */
import type { Plan } from '../pipeline/pipeline.ts'
import { RuleOracle, type OracleEpisode } from './rule-oracle.ts'
import { METRICS, type ScriptFrame, type ScriptMessage, seriesOf, METRIC_LABEL } from './script.ts'
import { FATE_DUPLICATE, FATE_FRESH, FATE_UNVERIFIED } from './stream.ts'
import { Watermark } from './watermark.ts'

export interface OracleReading {
  series: number
  eventUs: number
  value: number
  fate: number
  isHistorical: boolean
}

export class Oracle {
  /** All readings in order of arrival. */
  readonly readings: OracleReading[] = []
  readonly anomalies: { series: number; eventUs: number; score: number }[] = []
  readonly #plan: Plan
  readonly #memory = new Map<number, { times: number[]; floor: number }>()
  readonly #identities = new Map<number, number[]>()
  readonly #accepted = new Map<number, number[]>()
  readonly #watermark: Watermark
  readonly #rules: RuleOracle
  /** Readings of open windows, by `size start`. */
  readonly #open = new Map<string, OracleReading[]>()
  #clockUs: number | undefined

  constructor(plan: Plan) {
    this.#plan = plan
    this.#watermark = new Watermark(plan.time)
    this.#rules = new RuleOracle(plan)
  }

  get episodes(): readonly OracleEpisode[] {
    return this.#rules.episodes
  }

  process(frame: ScriptFrame): void {
    const beforeUs = this.#clockUs
    const passedUs = this.#follow(frame.baseUs)
    // Nothing that waits happens while the clock stands still.
    if (this.#clockUs !== beforeUs) this.#rules.tick(frame.baseUs)
    if (this.#watermark.tick(frame.baseUs, passedUs)) this.#closeWindows(frame.baseUs)
    this.#rules.define(frame, this.#clockUs!)
    for (const message of frame.messages) this.#message(message, frame.baseUs)
  }

  /** Ten minutes at once, or a second back: the clock was set, and what waits goes on waiting. */
  #follow(baseUs: number): number {
    const passedUs = baseUs - (this.#clockUs ?? baseUs)
    const isSet = passedUs > 600e6 || passedUs < -1e6
    if (isSet) {
      this.#rules.shift(passedUs, baseUs)
      const { lastIngestUs } = this.#watermark
      this.#watermark.lastIngestUs = Math.min(lastIngestUs + passedUs, baseUs)
    }
    this.#clockUs = isSet ? baseUs : Math.max(this.#clockUs ?? baseUs, baseUs)
    return isSet ? 0 : Math.max(0, passedUs)
  }

  #message(message: ScriptMessage, baseUs: number): void {
    const { device, eventUs, isHistorical } = message
    const ingestUs = baseUs + message.ingestDeltaUs
    if (!isHistorical) this.#rules.hear(device, ingestUs)
    const isRepeat = this.#isRepeat(message)
    if (!isHistorical && this.#watermark.observe(eventUs, ingestUs)) this.#closeWindows(ingestUs)
    const fed: [string, number][] = []
    for (const [metric, value] of message.readings) {
      const series = seriesOf(device, metric)
      const fate = isRepeat ? FATE_DUPLICATE : this.#fate(series, eventUs)
      this.readings.push({ series, eventUs, value, fate, isHistorical })
      if (fate !== FATE_FRESH || isHistorical) continue
      this.#collect({ series, eventUs, value, fate, isHistorical })
      if (eventUs < ingestUs - this.#plan.time.alertStalenessUs) continue
      fed.push([METRICS[metric]!.name, value])
      this.#score(series, METRICS[metric]!.name, eventUs, value)
    }
    this.#rules.message(device, fed, { eventUs, ingestUs })
  }

  /** A window is closed when the watermark reaches its last millisecond. */
  #isClosed(endUs: number): boolean {
    return endUs <= this.#watermark.watermarkUs + 1000
  }

  /** What each window holds that is open still. */
  #collect(reading: OracleReading): void {
    if (reading.series % METRICS.length === METRIC_LABEL) return
    for (const windowMs of this.#plan.windowsMs) {
      const startUs = Math.floor(reading.eventUs / windowMs / 1000) * windowMs * 1000
      if (this.#isClosed(startUs + windowMs * 1000)) continue
      const key = `${windowMs} ${startUs}`
      this.#open.set(key, [...(this.#open.get(key) ?? []), reading])
    }
  }

  #closeWindows(ingestUs: number): void {
    const closed = [...this.#open.keys()]
      .map((key) => key.split(' ').map(Number) as [number, number])
      .map(([windowMs, startUs]) => ({ windowMs, startUs, endUs: startUs + windowMs * 1000 }))
      .filter(({ endUs }) => this.#isClosed(endUs))
      .sort((x, y) => x.endUs - y.endUs || x.windowMs - y.windowMs)
    for (const { windowMs, startUs } of closed) {
      const readings = this.#open.get(`${windowMs} ${startUs}`)!
      this.#open.delete(`${windowMs} ${startUs}`)
      this.#rules.window({ windowMs, startUs }, readings, ingestUs)
    }
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
