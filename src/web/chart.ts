/**
 * The chart of one device and metric: history from the query API, then live readings as they come.
 * Answers are asked for at most four points a pixel column (the server keeps the peaks), and when
 * live readings have filled POINTS_MAX the history is asked for again, coarser.
 */
import { RequestError, type Api, type Latest } from './api.ts'
import type { PageWorld } from './browser-world.ts'
import { chartEmptiness } from './chart-empty.ts'
import { button, byId, element, oncePerFrame, setText } from './dom.ts'
import { formatCount, formatValue } from './format.ts'
import { noteLatest, type Reading } from './latest.ts'
import { Plot } from './plot.ts'
import { Points } from './points.ts'

export interface Selection {
  deviceId: string
  metric: string | undefined
}

export interface ChartListener {
  onSelect(selection: Selection): void
  /** What the title says about the device besides its id. */
  describe(deviceId: string): string
}

const POINTS_MAX = 10_000
/** A device's clock may run ahead by 5 s before it is no longer believed (DESIGN.md, Time). */
const AHEAD_MS = 5000
/** Readings this much older than the last one may still have been missed: late arrivals. */
const OVERLAP_MS = 30_000

export class ChartPanel {
  readonly #api: Api
  readonly #listener: ChartListener
  readonly #title = byId('chart-title')
  readonly #about = byId('chart-about')
  readonly #range = byId('chart-range', HTMLSelectElement)
  readonly #reset = byId('chart-reset', HTMLButtonElement)
  readonly #metrics = byId('chart-metrics')
  readonly #host = byId('chart-plot')
  readonly #empty = byId('chart-empty')
  readonly #summary = byId('chart-summary')
  readonly #plot = new Plot(this.#host, (fromMs, toMs) => this.#zoomTo({ fromMs, toMs }))
  readonly #drawSoon = oncePerFrame(() => this.#draw())
  readonly #latest = new Map<string, Latest>()
  readonly #buttons = new Map<string, HTMLButtonElement>()
  #points = new Points()
  #deviceId: string | undefined
  /** The server does not know the device: an old link, or a fresh data folder. */
  #isUnknown = false
  #metric: string | undefined
  /** A range drawn by hand stands still; otherwise the window ends now and slides. */
  #zoom: { fromMs: number; toMs: number } | undefined
  #request = new AbortController()
  /** The end of the load that is under way. */
  #loaded = Promise.resolve()
  #problem: string | undefined
  #isLoading = false
  #shownEmptiness = ''

  constructor(api: Api, world: PageWorld, listener: ChartListener) {
    this.#api = api
    this.#listener = listener
    this.#range.addEventListener('change', () => this.#zoomTo(undefined))
    this.#reset.addEventListener('click', () => this.#zoomTo(undefined))
    // The window slides even when nothing arrives.
    world.clock.every(1000, this.#drawSoon)
    this.#showEmptiness()
  }

  get deviceId(): string | undefined {
    return this.#deviceId
  }

  /** The device whose readings the chart wants live. */
  get followedId(): string | undefined {
    return this.#isUnknown ? undefined : this.#deviceId
  }

  /** Without a metric: the first one that is a number. Resolves once the device is known or not. */
  async select(deviceId: string, metric: string | undefined): Promise<void> {
    this.#request.abort()
    this.#deviceId = deviceId
    this.#metric = metric
    this.#problem = undefined
    this.#isUnknown = true
    this.#latest.clear()
    this.#buttons.clear()
    this.#metrics.replaceChildren()
    this.#points = new Points()
    this.#plot.clear()
    this.#isLoading = true
    setText(this.#title, deviceId)
    await this.#loadLatest()
    if (this.#deviceId === deviceId) this.#chooseMetric(metric ?? firstMetric(this.#latest))
  }

  /** After the live connection was away: fetches what has happened since the last point. */
  async refill(): Promise<void> {
    await this.#loaded
    if (this.#deviceId === undefined || this.#isLoading) return
    await this.#loadLatest()
    if (this.#metric === undefined) return this.#chooseMetric(firstMetric(this.#latest))
    const lastMs = this.#points.lastMs
    if (lastMs === undefined || this.#problem !== undefined) return this.#load()
    await this.#fetch(Math.max(this.#window.fromMs, lastMs - OVERLAP_MS))
  }

  onReading(reading: Reading): void {
    if (reading.device_id !== this.#deviceId) return
    this.#note(reading.metric, reading)
    if (this.#metric === undefined && !this.#isLoading) return this.#chooseMetric(reading.metric)
    if (reading.metric !== this.#metric) return
    this.#points.add([[reading.ts, reading.value]])
    if (this.#points.count > POINTS_MAX && !this.#isLoading) void this.#load()
    this.#drawSoon()
  }

  get #rangeMs(): number {
    return Number(this.#range.value)
  }

  /** Readings of a fast clock stand a little in the future and are shown. */
  get #window(): { fromMs: number; toMs: number } {
    if (this.#zoom !== undefined) return this.#zoom
    const nowMs = this.#api.nowMs()
    const toMs = Math.max(nowMs, Math.min(this.#points.lastMs ?? 0, nowMs + AHEAD_MS))
    return { fromMs: toMs - this.#rangeMs, toMs }
  }

  #zoomTo(zoom: { fromMs: number; toMs: number } | undefined): void {
    this.#zoom = zoom
    this.#reset.hidden = zoom === undefined
    void this.#load()
  }

  #chooseMetric(metric: string | undefined): void {
    this.#isLoading = false
    if (metric === undefined || this.#deviceId === undefined) return this.#showEmptiness()
    if (metric !== this.#metric) this.#plot.clear()
    this.#metric = metric
    for (const [name, choice] of this.#buttons) {
      choice.setAttribute('aria-pressed', String(name === metric))
    }
    this.#listener.onSelect({ deviceId: this.#deviceId, metric })
    void this.#load()
  }

  async #loadLatest(): Promise<void> {
    const deviceId = this.#deviceId
    if (deviceId === undefined) return
    try {
      const metrics = await this.#api.latest(deviceId)
      if (deviceId !== this.#deviceId) return
      this.#isUnknown = false
      for (const [name, latest] of Object.entries(metrics)) this.#note(name, latest)
    } catch (error) {
      if (deviceId !== this.#deviceId) return
      this.#isUnknown = error instanceof RequestError && error.status === 404
      this.#noteProblem(error)
    }
  }

  /** The whole window anew; the old picture stays until the answer is here. */
  async #load(): Promise<void> {
    this.#points = new Points()
    this.#loaded = this.#fetch(this.#window.fromMs)
    await this.#loaded
  }

  async #fetch(startMs: number): Promise<void> {
    const [deviceId, metric] = [this.#deviceId, this.#metric]
    if (deviceId === undefined || metric === undefined) return
    this.#request.abort()
    const request = new AbortController()
    this.#request = request
    this.#isLoading = true
    const pointsMax = Math.max(500, Math.min(POINTS_MAX, this.#plot.widthPixels * 4))
    const endMs = this.#zoom?.toMs ?? this.#api.nowMs() + AHEAD_MS
    try {
      const question = { deviceId, metric, startMs, endMs, pointsMax }
      const { points } = await this.#api.history(question, request.signal)
      if (request.signal.aborted) return
      this.#points.add(points)
      this.#problem = undefined
    } catch (error) {
      if (request.signal.aborted) return
      this.#noteProblem(error)
    }
    this.#isLoading = false
    this.#draw()
  }

  #noteProblem(error: unknown): void {
    if (!(error instanceof RequestError)) throw error
    this.#problem = `${error.message} ${error.hint}`
  }

  #draw(): void {
    if (this.#deviceId !== undefined) setText(this.#about, this.#listener.describe(this.#deviceId))
    if (this.#isLoading) return
    this.#showEmptiness()
    const window = this.#window
    this.#points.trimBefore(window.fromMs - OVERLAP_MS)
    if (this.#points.count === 0) return this.#plot.clear()
    const { kind, texts } = this.#points
    const columns = this.#points.columns()
    this.#plot.draw({ kind, texts, unit: this.#unit, ...window, columns })
    this.#summarise()
  }

  get #unit(): string {
    return this.#latest.get(this.#metric ?? '')?.unit ?? ''
  }

  #summarise(): void {
    const extremes = this.#points.kind === 'number' ? this.#points.extremes() : undefined
    const { count } = this.#points
    const parts = [count === 1 ? '1 point' : `${formatCount(count)} points`]
    if (extremes !== undefined) {
      const show = (value: number): string => formatValue(value, this.#unit)
      parts.push(`lowest ${show(extremes.min)}`, `highest ${show(extremes.max)}`)
    }
    setText(this.#summary, parts.join(' · '))
    this.#host.setAttribute('aria-label', `${this.#metric} of ${this.#deviceId}`)
  }

  #note(name: string, latest: Latest): void {
    const noted = noteLatest(this.#latest, name, latest)
    if (noted !== undefined) setText(this.#valueElement(name), formatValue(noted.value, noted.unit))
  }

  /** The value inside the metric's button, which is made on first sight, in order of names. */
  #valueElement(name: string): Element {
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

  #showEmptiness(): void {
    const isEmpty = this.#points.count === 0 && !this.#isLoading
    this.#empty.hidden = !isEmpty
    if (!isEmpty) return
    setText(this.#summary, '')
    const lastMs = this.#latest.get(this.#metric ?? '')?.ts
    const range = lastMs === undefined ? undefined : this.#rangeThatReaches(lastMs)
    const key = JSON.stringify([this.#problem, this.#deviceId, lastMs, range?.value])
    // It is redrawn each second: what is the same must not lose its focus or its selection.
    if (key === this.#shownEmptiness) return
    this.#shownEmptiness = key
    const content = chartEmptiness({
      problem: this.#problem,
      deviceId: this.#deviceId,
      lastMs,
      wider: range && { label: range.label, show: () => this.#showRange(range.value) },
      retry: () => void this.#load(),
    })
    this.#empty.replaceChildren(...content)
  }

  #showRange(value: string): void {
    this.#range.value = value
    this.#zoomTo(undefined)
  }

  /** The shortest range that includes this moment, when it is wider than the one that is shown. */
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
