/**
 * The chart of one device and metric: history from the query API, then live readings as they come.
 * Answers are asked for at most four points a pixel column (the server keeps the peaks), and when
 * live readings have filled POINTS_MAX the history is asked for again, coarser.
 */
import { RequestError, type Api, type Latest } from './api.ts'
import type { PageWorld } from './browser-world.ts'
import { button, byId, commandBlock, element, oncePerFrame, setText } from './dom.ts'
import { formatCount, formatValue } from './format.ts'
import { Plot } from './plot.ts'
import { Points } from './points.ts'
import type { Value } from '../query/query.ts'

export interface Selection {
  deviceId: string
  metric: string | undefined
}

export interface ChartReading {
  device_id: string
  metric: string
  ts: number
  value: Value
}

const POINTS_MAX = 10_000
/** A fast device's clock may run ahead by 5 s before it is no longer believed (DESIGN.md, Time). */
const AHEAD_MS = 5000
/** Readings this much older than the last one may still have been missed: late arrivals. */
const OVERLAP_MS = 30_000

export class ChartPanel {
  readonly #api: Api
  readonly #onSelect: (selection: Selection) => void
  readonly #title = byId('chart-title')
  readonly #range = byId('chart-range', HTMLSelectElement)
  readonly #metrics = byId('chart-metrics')
  readonly #host = byId('chart-plot')
  readonly #empty = byId('chart-empty')
  readonly #summary = byId('chart-summary')
  readonly #plot = new Plot(this.#host)
  readonly #points = new Points()
  readonly #drawSoon = oncePerFrame(() => this.#draw())
  #latest = new Map<string, Latest>()
  #buttons = new Map<string, HTMLButtonElement>()
  #deviceId: string | undefined
  #metric: string | undefined
  #request = new AbortController()
  #problem: string | undefined
  #isLoading = false

  constructor(api: Api, world: PageWorld, onSelect: (selection: Selection) => void) {
    this.#api = api
    this.#onSelect = onSelect
    this.#range.addEventListener('change', () => void this.#load())
    // The window slides even when nothing arrives.
    world.clock.every(1000, this.#drawSoon)
    this.#showEmpty()
  }

  get deviceId(): string | undefined {
    return this.#deviceId
  }

  /** Without a metric: the first one that is a number. */
  async select(deviceId: string, metric?: string): Promise<void> {
    this.#deviceId = deviceId
    this.#metric = metric
    this.#latest = new Map()
    this.#buttons = new Map()
    this.#metrics.replaceChildren()
    this.#points.clear()
    setText(this.#title, deviceId)
    await this.#loadLatest()
    if (this.#deviceId !== deviceId) return
    if (this.#metric === undefined) this.#chooseMetric(firstMetric(this.#latest))
    else await this.#load()
  }

  /** After the live connection was away: fetches what has happened since the last point. */
  async refill(): Promise<void> {
    if (this.#deviceId === undefined) return
    await this.#loadLatest()
    const lastMs = this.#points.lastMs
    if (this.#metric === undefined) return this.#chooseMetric(firstMetric(this.#latest))
    if (lastMs === undefined || this.#problem !== undefined) return this.#load()
    await this.#fetch(Math.max(this.#fromMs, lastMs - OVERLAP_MS))
  }

  onReading(reading: ChartReading): void {
    if (reading.device_id !== this.#deviceId) return
    this.#noteLatest(reading.metric, reading)
    if (this.#metric === undefined) return this.#chooseMetric(reading.metric)
    if (reading.metric !== this.#metric) return
    this.#points.add([[reading.ts, reading.value]])
    if (this.#points.count > POINTS_MAX) void this.#load()
    this.#drawSoon()
  }

  get #rangeMs(): number {
    return Number(this.#range.value)
  }

  get #fromMs(): number {
    return this.#api.nowMs() - this.#rangeMs
  }

  #chooseMetric(metric: string | undefined): void {
    this.#metric = metric
    if (metric === undefined || this.#deviceId === undefined) return this.#showEmpty()
    for (const [name, choice] of this.#buttons) {
      choice.setAttribute('aria-pressed', String(name === metric))
    }
    this.#onSelect({ deviceId: this.#deviceId, metric })
    void this.#load()
  }

  async #loadLatest(): Promise<void> {
    const deviceId = this.#deviceId
    if (deviceId === undefined) return
    try {
      const metrics = await this.#api.latest(deviceId)
      if (deviceId !== this.#deviceId) return
      for (const [name, latest] of Object.entries(metrics)) this.#noteLatest(name, latest)
    } catch (error) {
      if (!(error instanceof RequestError)) throw error
      this.#problem = error.status === 404 ? undefined : `${error.message} ${error.hint}`
    }
    this.#showEmpty()
  }

  /** The whole range anew. */
  async #load(): Promise<void> {
    this.#points.clear()
    this.#plot.clear()
    await this.#fetch(this.#fromMs)
  }

  async #fetch(startMs: number): Promise<void> {
    const [deviceId, metric] = [this.#deviceId, this.#metric]
    if (deviceId === undefined || metric === undefined) return
    this.#request.abort()
    const request = new AbortController()
    this.#request = request
    this.#isLoading = true
    const pointsMax = Math.max(500, Math.min(POINTS_MAX, this.#plot.widthPixels * 4))
    const endMs = this.#api.nowMs() + AHEAD_MS
    try {
      const question = { deviceId, metric, startMs, endMs, pointsMax }
      const { points } = await this.#api.history(question, request.signal)
      if (request.signal.aborted) return
      this.#points.add(points)
      this.#problem = undefined
    } catch (error) {
      if (request.signal.aborted) return
      if (!(error instanceof RequestError)) throw error
      // A device or metric without any reading is no problem: the empty chart says what to do.
      this.#problem = error.status === 404 ? undefined : `${error.message} ${error.hint}`
    }
    this.#isLoading = false
    this.#draw()
  }

  #draw(): void {
    this.#showEmpty()
    const nowMs = this.#api.nowMs()
    const toMs = Math.max(nowMs, Math.min(this.#points.lastMs ?? 0, nowMs + AHEAD_MS))
    this.#points.trimBefore(toMs - this.#rangeMs - OVERLAP_MS)
    if (this.#points.count === 0) return this.#plot.clear()
    this.#plot.draw({
      kind: this.#points.kind,
      texts: this.#points.texts,
      unit: this.#unit,
      fromMs: toMs - this.#rangeMs,
      toMs,
      columns: this.#points.columns(),
    })
    this.#summarise()
  }

  get #unit(): string {
    return this.#latest.get(this.#metric ?? '')?.unit ?? ''
  }

  #summarise(): void {
    const summary = this.#points.kind === 'number' ? this.#points.summary() : undefined
    const count = `${formatCount(this.#points.count)} points`
    const show = (value: number): string => formatValue(value, this.#unit)
    const text =
      summary === undefined
        ? count
        : `${count} · lowest ${show(summary.min)} · mean ${show(summary.avg)} · highest ${show(summary.max)}`
    setText(this.#summary, text)
    this.#host.setAttribute('aria-label', `${this.#metric} of ${this.#deviceId}`)
  }

  #noteLatest(name: string, latest: { ts: number; value: Value; unit?: string }): void {
    const known = this.#latest.get(name)
    if (known !== undefined && known.ts > latest.ts) return
    const unit = latest.unit ?? known?.unit
    const noted = { ts: latest.ts, value: latest.value, ...(unit === undefined ? {} : { unit }) }
    this.#latest.set(name, noted)
    setText(this.#metricValue(name), formatValue(latest.value, unit))
  }

  /** The value inside the metric's button, which is made on first sight, in order of names. */
  #metricValue(name: string): Element {
    let choice = this.#buttons.get(name)
    if (choice === undefined) {
      choice = button('', () => this.#chooseMetric(name), 'metric')
      choice.append(element('span', {}, name), element('b'))
      choice.setAttribute('aria-pressed', String(name === this.#metric))
      this.#buttons.set(name, choice)
      const names = [...this.#buttons.keys()].sort()
      this.#metrics.insertBefore(choice, this.#metrics.children[names.indexOf(name)] ?? null)
    }
    return choice.lastElementChild ?? choice
  }

  #showEmpty(): void {
    const isEmpty = this.#points.count === 0 && !this.#isLoading
    this.#empty.hidden = !isEmpty
    if (!isEmpty) return
    setText(this.#summary, '')
    const content = this.#emptyContent()
    const key = content.map((node) => (typeof node === 'string' ? node : node.textContent)).join()
    if (this.#empty.textContent !== key) this.#empty.replaceChildren(...content)
  }

  #emptyContent(): (Node | string)[] {
    const latest = this.#latest.get(this.#metric ?? '')
    if (this.#problem !== undefined) {
      return [element('p', {}, this.#problem), button('Try again', () => void this.#load())]
    }
    if (this.#deviceId === undefined) {
      return [element('p', {}, 'Choose a device to see what it measures.')]
    }
    if (latest === undefined) {
      const text = 'No readings yet. Send the first one with the device’s token:'
      return [element('p', {}, text), commandBlock(telemetryCommand(this.#deviceId))]
    }
    const range = this.#rangeThatReaches(latest.ts)
    const text = element('p', {}, 'No readings in this time range.')
    if (range === undefined) return [text]
    const widen = button(`Show the ${range.label.toLowerCase()}`, () => {
      this.#range.value = range.value
      void this.#load()
    })
    return [text, widen]
  }

  /** The shortest range that includes this moment. */
  #rangeThatReaches(ms: number): HTMLOptionElement | undefined {
    const ageMs = this.#api.nowMs() - ms
    const ranges = [...this.#range.options]
    return ranges.find(({ value }) => Number(value) > Math.max(ageMs, this.#rangeMs))
  }
}

function firstMetric(latest: ReadonlyMap<string, Latest>): string | undefined {
  const names = [...latest.keys()].sort()
  return names.find((name) => typeof latest.get(name)?.value === 'number') ?? names[0]
}

/** The line that sends one reading, ready for a terminal. */
export function telemetryCommand(deviceId: string): string {
  const path = `${location.origin}/v1/devices/${encodeURIComponent(deviceId)}/telemetry`
  return `curl ${path} \\
  -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" \\
  -d '{"metrics": {"temperature": 21.5}}'`
}
