/**
 * Readings around a breach as a small SVG: one line, the threshold dashed, the extremes and both
 * ends of the time written at the edges. No script, no style sheet, no link, so it may stand alone
 * or inside of a page.
 */
import { timeText } from './body.ts'
import { plain, shortNumber } from './explanation.ts'
import { escapeHtml } from './html.ts'
import type { ChartReadings } from './notify.ts'

const WIDTH = 480
const HEIGHT = 160
const LEFT = 64
const RIGHT = 12
const TOP = 12
const BOTTOM = 24
/** More than pixels would only make it large: each column keeps its lowest and highest. */
const COLUMNS_MAX = WIDTH - LEFT - RIGHT

export interface ChartOptions {
  title: string
  unit?: string | undefined
  threshold?: number | undefined
}

/** Undefined when there is nothing to draw: fewer than two readings that are numbers. */
export function drawChart(readings: ChartReadings, options: ChartOptions): string | undefined {
  const drawn = thin(finite(readings))
  if (drawn.length < 2) return undefined
  const { threshold } = options
  const values = drawn.map(({ value }) => value)
  const levels = threshold === undefined || !Number.isFinite(threshold) ? [] : [threshold]
  const toY = scale(extent([...values, ...levels]), { from: HEIGHT - BOTTOM, to: TOP })
  const times = { low: drawn[0]!.timeUs, high: drawn.at(-1)!.timeUs }
  const toX = scale(times, { from: LEFT, to: WIDTH - RIGHT })
  const points = drawn.map(({ timeUs, value }) => `${toX(timeUs)},${toY(value)}`).join(' ')
  const { low, high } = extent(values)
  const marks = labels([high, low, ...levels], toY, options.unit)
  const lines = levels.map((level) => {
    const y = toY(level)
    const ends = `x1="${LEFT}" y1="${y}" x2="${WIDTH - RIGHT}" y2="${y}"`
    return `<line ${ends} stroke="#c0392b" stroke-dasharray="6 4"/>`
  })
  const bottom = HEIGHT - 8
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}"` +
      ` height="${HEIGHT}" role="img" font-family="sans-serif" font-size="11">`,
    `<title>${escapeHtml(plain(options.title))}</title>`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#ffffff"/>`,
    ...lines,
    `<polyline fill="none" stroke="#1f6feb" stroke-width="1.5" points="${points}"/>`,
    ...marks,
    `<text x="${LEFT}" y="${bottom}">${timeText(times.low)}</text>`,
    `<text x="${WIDTH - RIGHT}" y="${bottom}" text-anchor="end">${timeText(times.high)}</text>`,
    '</svg>',
  ].join('\n')
}

interface Point {
  timeUs: number
  value: number
}

function finite({ timesUs, values }: ChartReadings): Point[] {
  return timesUs
    .map((timeUs, at) => ({ timeUs, value: values[at] ?? Number.NaN }))
    .filter(({ timeUs, value }) => Number.isFinite(timeUs) && Number.isFinite(value))
}

/** The lowest and the highest of each column, in the order of their times. */
function thin(points: Point[]): Point[] {
  if (points.length <= 2 * COLUMNS_MAX) return points
  const perColumn = points.length / COLUMNS_MAX
  return Array.from({ length: COLUMNS_MAX }, (_, column) =>
    points.slice(Math.floor(column * perColumn), Math.floor((column + 1) * perColumn)),
  ).flatMap((some) => {
    const lowest = some.reduce((least, one) => (one.value < least.value ? one : least))
    const highest = some.reduce((most, one) => (one.value > most.value ? one : most))
    if (lowest === highest) return [lowest]
    return lowest.timeUs <= highest.timeUs ? [lowest, highest] : [highest, lowest]
  })
}

interface Extent {
  low: number
  high: number
}

const extent = (values: number[]): Extent => ({
  low: values.reduce((least, one) => Math.min(least, one)),
  high: values.reduce((most, one) => Math.max(most, one)),
})

/** Linear, to a tenth of a pixel; what has no extent lies in the middle. */
function scale({ low, high }: Extent, { from, to }: { from: number; to: number }) {
  // Halves, since the extent of huge values is no number.
  const range = high / 2 - low / 2
  return (value: number): number => {
    const part = range > 0 ? (value / 2 - low / 2) / range : 0.5
    return Math.round((from + part * (to - from)) * 10) / 10
  }
}

const LABEL_DISTANCE = 11

/** Left of the line; one that would cover another is left out. */
function labels(values: number[], toY: (value: number) => number, unit = ''): string[] {
  const shown: number[] = []
  return values.flatMap((value) => {
    const y = toY(value)
    if (shown.some((other) => Math.abs(other - y) < LABEL_DISTANCE)) return []
    shown.push(y)
    const text = escapeHtml(`${shortNumber(value, 4)} ${plain(unit, 8)}`.trim())
    return [`<text x="${LEFT - 6}" y="${y + 4}" text-anchor="end">${text}</text>`]
  })
}
