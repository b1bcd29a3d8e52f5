/**
 * One device's readings through the stream's rules, each as if it came the moment it was measured.
 *
 * The clock is the device's own: it goes to each of its readings, and on the way stops wherever a
 * window closes. `for`, `keep`, silence and schedules happen at their moments, wherever a clock
 * stops, here as in a live stream.
 */
import type { DeviceFacts, SeriesDefinition } from '../batch/batch.ts'
import type { ScanBlock } from '../query/query.ts'
import { ReplayWindows } from '../stream/replay-windows.ts'
import { RuleEngine } from '../stream/rule-engine.ts'
import { PARTIAL_STRIDE, type RuleEvent } from '../stream/stream.ts'
import type { BacktestQuestion } from './backtest.ts'

/** Windows that close at one moment again and again would be a fault, and never end. */
const STOPS_AT_ONE_TIME_MAX = 1000

export type ReplayOptions = Pick<BacktestQuestion, 'rules' | 'plan' | 'startUs' | 'endUs'>

export class DeviceReplay {
  readonly #engine: RuleEngine
  readonly #endUs: number
  readonly #windows: ReplayWindows | undefined
  readonly #isText: readonly boolean[]
  readonly #isWatched: readonly boolean[]
  /** Highest event time of each series so far, µs. */
  readonly #newestUs: Float64Array
  readonly #hasTexts: boolean
  readonly #texts = new Map<string, number>()

  constructor(
    { rules, plan, startUs, endUs }: ReplayOptions,
    series: readonly SeriesDefinition[],
    facts: DeviceFacts | undefined,
  ) {
    // Numbers of the device's own: it is alone here.
    const limits = { seriesMax: series.length, deviceMax: 1 }
    const newestUs = new Float64Array(series.length).fill(-Infinity)
    const newestOf = (one: number): number => newestUs[one]!
    const engine = new RuleEngine({ rules, time: plan.time, limits, newestOf })
    const defined = series.map((one, place) => ({ ...one, series: place, device: 0 }))
    const devices = facts === undefined ? [] : [{ ...facts, device: 0 }]
    engine.define({ series: defined, texts: [], devices }, startUs)
    this.#engine = engine
    this.#newestUs = newestUs
    this.#endUs = endUs
    this.#windows = engine.hasWindows ? new ReplayWindows(plan, { rules, series }) : undefined
    this.#isText = series.map(({ kind }) => kind === 'text')
    this.#isWatched = defined.map((one) => engine.isWatched(one.series))
    this.#hasTexts = this.#isText.includes(true)
  }

  /** Blocks come in the order of their times. */
  add(block: ScanBlock): void {
    if (this.#hasTexts) this.#renumber(block)
    const { count, timeUs, value, place } = block
    const engine = this.#engine
    const windows = this.#windows
    const isWatched = this.#isWatched
    const newestUs = this.#newestUs
    for (let row = 0; row < count;) {
      const atUs = timeUs[row]!
      this.#goTo(atUs)
      if (engine.hasSilence) engine.hear(0, atUs)
      for (; row < count && timeUs[row] === atUs; row++) {
        const series = place === undefined ? 0 : place[row]!
        windows?.add(series, atUs, value[row]!)
        if (isWatched[series]) engine.observe(series, value[row]!, atUs, atUs, newestUs[series]!)
        newestUs[series] = atUs
      }
      engine.endMessage(atUs, atUs)
    }
  }

  /** The clock goes on to the end. Returns all that the rules said, in order. */
  finish(): readonly RuleEvent[] {
    this.#goTo(this.#endUs)
    return this.#engine.take()
  }

  /** To this moment, and until then to each at which a window closes. */
  #goTo(atUs: number): void {
    if (this.#windows !== undefined) this.#closeUntil(this.#windows, atUs)
    this.#engine.tick(atUs)
  }

  #closeUntil(windows: ReplayWindows, atUs: number): void {
    const engine = this.#engine
    let stops = 0
    for (let lastUs = -Infinity; ;) {
      const { closingUs } = windows
      if (closingUs > atUs) break
      stops = closingUs > lastUs ? 0 : stops + 1
      if (stops > STOPS_AT_ONE_TIME_MAX) throw new RangeError('the windows’ clock stands still')
      lastUs = closingUs
      engine.tick(closingUs)
      const rows = windows.close(closingUs)
      engine.closeWindows(rows, [0, rows.length / PARTIAL_STRIDE], closingUs)
    }
  }

  /** Numbers of texts hold for one block, those that the rules know for the whole device. */
  #renumber({ texts, value, place, count }: ScanBlock): void {
    const numbers = new Map<number, number>()
    for (const [id, text] of texts) {
      let number = this.#texts.get(text)
      if (number === undefined) {
        number = this.#texts.size
        this.#texts.set(text, number)
        this.#engine.define({ series: [], texts: [[number, text]] }, this.#endUs)
      }
      numbers.set(id, number)
    }
    for (let row = 0; row < count; row++) {
      if (this.#isText[place?.[row] ?? 0]) value[row] = numbers.get(value[row]!)!
    }
  }
}
