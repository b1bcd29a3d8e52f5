/** Throughput: the current rates, and the readings per second of the last two minutes as a line. */
import { byId, setAttributes, setText } from './dom.ts'
import { formatCount } from './format.ts'

export interface Rate {
  readings_per_second: number
  messages_per_second: number
  devices: number
}

/** One rate a second: two minutes. */
const HISTORY_MAX = 120
/** Drawing units; the SVG stretches to its box. */
const HEIGHT = 40

export class RatePanel {
  readonly #readings = byId('rate-readings')
  readonly #messages = byId('rate-messages')
  readonly #devices = byId('rate-devices')
  readonly #firing = byId('rate-firing')
  readonly #firingFigure = byId('rate-firing-figure')
  readonly #history = byId('rate-history', SVGSVGElement)
  readonly #line = svgPath('line')
  readonly #area = svgPath('area')
  #rates: number[] = []

  constructor() {
    setAttributes(this.#history, { viewBox: `0 0 ${HISTORY_MAX - 1} ${HEIGHT}` })
    this.#history.append(this.#area, this.#line)
  }

  show(rate: Rate): void {
    setText(this.#readings, formatCount(rate.readings_per_second))
    setText(this.#messages, formatCount(rate.messages_per_second))
    setText(this.#devices, formatCount(rate.devices))
    this.#rates.push(rate.readings_per_second)
    if (this.#rates.length > HISTORY_MAX) this.#rates.shift()
    this.#draw()
  }

  showFiring(count: number): void {
    setText(this.#firing, formatCount(count))
    this.#firingFigure.classList.toggle('is-firing', count > 0)
  }

  /** The rate is unknown while the connection is down: a stale number would be a lie. */
  pause(): void {
    setText(this.#readings, '–')
    setText(this.#messages, '–')
  }

  #draw(): void {
    const highest = Math.max(1, ...this.#rates)
    const from = HISTORY_MAX - this.#rates.length
    const steps = this.#rates.map((rate, index) => {
      const y = HEIGHT - 1 - (rate / highest) * (HEIGHT - 3)
      return `${from + index},${y.toFixed(1)}`
    })
    const label = `Readings per second over the last ${this.#rates.length} s, at most ${formatCount(highest)}`
    setAttributes(this.#line, { d: `M${steps.join('L')}` })
    setAttributes(this.#area, {
      d: `M${from},${HEIGHT}L${steps.join('L')}L${HISTORY_MAX - 1},${HEIGHT}Z`,
    })
    setAttributes(this.#history, { 'aria-label': label })
  }
}

function svgPath(className: string): SVGPathElement {
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path')
  setAttributes(path, { class: className, 'vector-effect': 'non-scaling-stroke' })
  return path
}
