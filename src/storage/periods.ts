/**
 * The calendar of segments: UTC months that are over, and the days of those that are not. A merge
 * cuts its rows at these borders, so that each file can be kept, moved and deleted by its age.
 */
import type { Span } from '../query/query.ts'

const DAY_US = 86_400_000_000
/** What is late by less than this belongs to the period's own merge, and not to one of its own. */
const SETTLE_US = 7_200_000_000

/** The month that a time lies in when it is over, else its day. Start included, end excluded. */
export function periodOf(timeUs: number, nowUs: number): Span {
  const month = monthOf(timeUs)
  if (isClosed(month, nowUs)) return month
  const startUs = Math.floor(timeUs / DAY_US) * DAY_US
  return { startUs, endUs: startUs + DAY_US }
}

export function isClosed({ endUs }: Span, nowUs: number): boolean {
  return nowUs >= endUs + SETTLE_US
}

/** In order. */
export function periodsBetween(firstUs: number, lastUs: number, nowUs: number): Span[] {
  const periods: Span[] = []
  for (let atUs = firstUs; atUs <= lastUs; atUs = periods.at(-1)!.endUs) {
    periods.push(periodOf(atUs, nowUs))
  }
  return periods
}

function monthOf(timeUs: number): Span {
  const date = new Date(Math.floor(timeUs / 1000))
  const year = date.getUTCFullYear()
  const month = date.getUTCMonth()
  return { startUs: startOfMonth(year, month), endUs: startOfMonth(year, month + 1) }
}

function startOfMonth(year: number, month: number): number {
  // Not Date.UTC(year): it takes the years 0 to 99 for those of 1900.
  const date = new Date(0)
  date.setUTCFullYear(year, month, 1)
  return date.getTime() * 1000
}
