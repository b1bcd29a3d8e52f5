/** One uPlot canvas in the page's colours, with a read-out under the pointer or the arrow keys. */
import uPlot from 'uplot'
import { element, setText } from './dom.ts'
import { formatFull, formatTick, formatValue } from './format.ts'
import type { PointKind } from './points.ts'

export interface Picture {
  kind: PointKind
  /** Texts by their number, when the kind is text. */
  texts: readonly string[]
  unit: string
  fromMs: number
  toMs: number
  columns: [number[], (number | null)[]]
}

/** Up to this many points each one gets a dot: a lone reading would be invisible as a line. */
const DOTS_MAX = 60

export class Plot {
  readonly #host: HTMLElement
  readonly #onZoom: (fromMs: number, toMs: number) => void
  readonly #readout = element('div', { class: 'readout', hidden: '' })
  #plot: uPlot | undefined
  #picture: Picture | undefined

  /** `onZoom` is told the time range that the person has drawn over the plot. */
  constructor(host: HTMLElement, onZoom: (fromMs: number, toMs: number) => void) {
    this.#host = host
    this.#onZoom = onZoom
    new ResizeObserver(() => this.#resize()).observe(host)
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#rebuild())
    host.addEventListener('keydown', (event) => this.#onKey(event))
  }

  get widthPixels(): number {
    return this.#host.clientWidth
  }

  draw(picture: Picture): void {
    const isOther = this.#picture?.kind !== picture.kind
    this.#picture = picture
    if (this.#plot === undefined || isOther) return this.#rebuild()
    this.#plot.setData(picture.columns)
  }

  clear(): void {
    this.#plot?.destroy()
    this.#plot = undefined
    this.#picture = undefined
  }

  #rebuild(): void {
    this.#plot?.destroy()
    this.#plot = undefined
    if (this.#picture === undefined || this.#host.clientWidth === 0) return
    this.#plot = new uPlot(this.#options(this.#picture.kind), this.#picture.columns, this.#host)
    this.#plot.over.append(this.#readout)
  }

  #resize(): void {
    if (this.#plot === undefined && this.#picture !== undefined) return this.#rebuild()
    this.#plot?.setSize({ width: this.#host.clientWidth, height: this.#host.clientHeight })
  }

  #options(kind: PointKind): uPlot.Options {
    const style = getComputedStyle(this.#host)
    const colour = (name: string): string => style.getPropertyValue(name).trim()
    const axis = {
      stroke: colour('--quiet'),
      font: `12px ${style.fontFamily}`,
      grid: { stroke: colour('--line'), width: 1 },
      ticks: { stroke: colour('--line'), width: 1, size: 4 },
    }
    const stepped = uPlot.paths.stepped?.({ align: 1 })
    return {
      width: this.#host.clientWidth,
      height: this.#host.clientHeight,
      ms: 1,
      padding: [12, 24, 0, 0],
      legend: { show: false },
      cursor: {
        y: false,
        drag: { x: true, y: false, setScale: false, dist: 5 },
        points: { size: 8, fill: colour('--accent'), stroke: colour('--surface'), width: 2 },
      },
      scales: {
        x: { time: true, range: () => [this.#picture?.fromMs ?? 0, this.#picture?.toMs ?? 1] },
        y: { range: (_plot, low, high) => this.#rangeOfValues(low, high) },
      },
      series: [
        {},
        {
          stroke: colour('--accent'),
          fill: colour('--accent-wash'),
          width: 1.75,
          points: { show: (plot) => plot.data[0].length <= DOTS_MAX, size: 5 },
          ...(kind === 'number' || stepped === undefined ? {} : { paths: stepped }),
        },
      ],
      axes: [
        { ...axis, space: 84, size: 34, values: timeLabels },
        { ...axis, size: (_plot, labels) => axisWidth(labels), ...this.#valueTicks(kind) },
      ],
      hooks: {
        setCursor: [(plot) => this.#showReadout(plot)],
        setSelect: [(plot) => this.#zoom(plot)],
      },
    }
  }

  /** A number gets some air above and below; a state its whole set of values. */
  #rangeOfValues(low: number | null, high: number | null): [number, number] {
    const picture = this.#picture
    if (picture?.kind === 'boolean') return [-0.1, 1.1]
    if (picture?.kind === 'text') return [-0.2, Math.max(1, picture.texts.length - 1) + 0.2]
    if (low === null || high === null) return [0, 1]
    const air = (high - low) * 0.08 || Math.abs(high) * 0.05 || 1
    return [low - air, high + air]
  }

  #valueTicks(kind: PointKind): uPlot.Axis {
    if (kind === 'number') {
      return { values: (_plot, splits) => splits.map((value) => formatValue(value)) }
    }
    return {
      splits: () => (kind === 'boolean' ? [0, 1] : (this.#picture?.texts ?? []).map((_, i) => i)),
      values: (_plot, splits) => splits.map((value) => this.#name(value)),
    }
  }

  #name(value: number): string {
    const picture = this.#picture
    if (picture?.kind === 'boolean') return value === 1 ? 'true' : 'false'
    if (picture?.kind === 'text') return picture.texts[value] ?? ''
    return formatValue(value, picture?.unit)
  }

  #zoom(plot: uPlot): void {
    const { left, width } = plot.select
    if (width === 0) return
    const [fromMs, toMs] = [plot.posToVal(left, 'x'), plot.posToVal(left + width, 'x')]
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false)
    this.#onZoom(fromMs, toMs)
  }

  #showReadout(plot: uPlot): void {
    const index = plot.cursor.idx ?? -1
    const timeMs = plot.data[0][index]
    const value = plot.data[1]?.[index]
    const left = plot.cursor.left ?? -1
    this.#readout.hidden = left < 0 || timeMs === undefined || value === null || value === undefined
    if (this.#readout.hidden || timeMs === undefined || typeof value !== 'number') return
    setText(this.#readout, `${this.#name(value)}\n${formatFull(timeMs)}`)
    const isRight = left > plot.over.clientWidth / 2
    // The CSS object model may set styles under a policy that forbids style attributes.
    this.#readout.style.left = isRight ? '' : `${left + 14}px`
    // In the half of the height where the point is not, so that it never covers what it tells.
    const isHigh = plot.valToPos(value, 'y') < plot.over.clientHeight / 2
    this.#readout.style.top = isHigh ? '' : '8px'
    this.#readout.style.bottom = isHigh ? '8px' : ''
    this.#readout.style.right = isRight ? `${plot.over.clientWidth - left + 14}px` : ''
  }

  /** Left and right walk along the points; Home and End go to the first and the last. */
  #onKey(event: KeyboardEvent): void {
    const plot = this.#plot
    if (plot === undefined) return
    const last = plot.data[0].length - 1
    const here = plot.cursor.idx ?? last + 1
    const step = event.shiftKey ? 10 : 1
    const places: Record<string, number> = {
      ArrowLeft: here - step,
      ArrowRight: here + step,
      Home: 0,
      End: last,
    }
    const place = places[event.key]
    if (place === undefined) return
    event.preventDefault()
    const timeMs = plot.data[0][Math.max(0, Math.min(last, place))] ?? 0
    plot.setCursor({ left: plot.valToPos(timeMs, 'x'), top: plot.over.clientHeight / 2 })
  }
}

/** uPlot passes the ticks' distance as the fifth argument. */
const timeLabels: uPlot.Axis.DynamicValues = (_plot, ticks, _axis, _space, stepMs) =>
  ticks.map((ms) => formatTick(ms, stepMs))

/** Wide enough for the longest label, so that large numbers and texts are not cut. */
function axisWidth(labels: string[] | null): number {
  const longest = Math.max(3, ...(labels ?? []).map((label) => label?.length ?? 0))
  return Math.min(140, 16 + longest * 7)
}
