/**
 * Whether a figure stayed where it was. It is judged by the medians of the first and the last
 * third, which a checkpoint or a merge here and there does not move; the slope (least squares) says
 * where it goes, in units an hour.
 */
import { median } from './report.ts'

export interface Trend {
  first: number
  last: number
  perHour: number
}

/** `points`: when, in seconds, and the value; in order of time. */
export function trendOf(points: readonly { seconds: number; value: number }[]): Trend {
  const known = points.filter(({ value }) => Number.isFinite(value))
  const third = Math.max(1, Math.floor(known.length / 3))
  const values = known.map(({ value }) => value)
  const meanOf = (of: number[]): number => of.reduce((sum, one) => sum + one, 0) / of.length
  const meanSeconds = meanOf(known.map(({ seconds }) => seconds))
  const meanValue = meanOf(values)
  let along = 0
  let square = 0
  for (const { seconds, value } of known) {
    along += (seconds - meanSeconds) * (value - meanValue)
    square += (seconds - meanSeconds) ** 2
  }
  return {
    first: median(values.slice(0, third)),
    last: median(values.slice(-third)),
    perHour: (along / square) * 3600,
  }
}

/** Whether the last third is at most `factor` times the first and `more` above that. */
export const isFlat = ({ first, last }: Trend, factor: number, more = 0): boolean =>
  last <= first * factor + more
