/**
 * How time is cut into steps: of one width, aligned to 1970 in UTC; by the calendar of a time zone,
 * where days and months are as long as they are there; or not at all.
 */
import { WeirError } from '../errors/errors.ts'
import { DAY_MINUTES, MINUTE_US, offsetAt, wallAt } from '../schedule/schedule.ts'

/** Steps of the calendar: `count` of a unit, counted from 1970 (weeks from a Monday). */
export interface CalendarStep {
  unit: 'day' | 'week' | 'month' | 'year'
  count: number
  /** `Europe/Berlin`. */
  timeZone: string
}

export interface StepGrid {
  /** Of the step that a time lies in; rising with time. */
  indexOf(timeUs: number): number
  startUsOf(index: number): number
  /** Whether windows of this width, aligned to 1970, lie within one step each. */
  takesWindows(widthUs: number): boolean
  /** About how wide a step is. */
  readonly widthUs: number
}

const DAY_US = DAY_MINUTES * MINUTE_US
const DAY_MS = DAY_US / 1000
const DAYS = { day: 1, week: 7, month: 30.436875, year: 365.2425 }
/** 1970-01-05, the first Monday. */
const MONDAY = 4

export function gridOf(question: {
  stepUs: number | undefined
  calendar?: CalendarStep | undefined
  startUs: number
  endUs: number
  pointsMax: number
}): StepGrid {
  const { stepUs, calendar, startUs, endUs } = question
  if (calendar !== undefined) return new CalendarGrid(calendar, question)
  if (stepUs === undefined) return wholeGrid(startUs, endUs)
  return {
    widthUs: stepUs,
    indexOf: (timeUs) => Math.floor(timeUs / stepUs),
    startUsOf: (index) => index * stepUs,
    takesWindows: (widthUs) => stepUs % widthUs === 0,
  }
}

const wholeGrid = (startUs: number, endUs: number): StepGrid => ({
  widthUs: endUs - startUs,
  indexOf: () => 0,
  startUsOf: () => startUs,
  takesWindows: () => true,
})

class CalendarGrid implements StepGrid {
  readonly widthUs: number
  /** Starts of steps, from the one that the question begins in to one behind its end. */
  readonly #starts: number[] = []

  constructor(
    step: CalendarStep,
    { startUs, endUs, pointsMax }: { startUs: number; endUs: number; pointsMax: number },
  ) {
    this.widthUs = step.count * DAYS[step.unit] * DAY_US
    for (let number = numberOf(step, startUs); ; number++) {
      const start = startOf(step, number)
      this.#starts.push(start)
      if (start >= endUs) break
      if (this.#starts.length > pointsMax + 1) {
        const detail = `The answer has more than ${pointsMax} steps: narrow it or raise step`
        throw new WeirError('QUERY_LIMIT_EXCEEDED', detail, { details: { limit: pointsMax } })
      }
    }
  }

  indexOf(timeUs: number): number {
    let low = 0
    let high = this.#starts.length
    while (high - low > 1) {
      const middle = (low + high) >> 1
      if (this.#starts[middle]! <= timeUs) low = middle
      else high = middle
    }
    return low
  }

  startUsOf(index: number): number {
    return this.#starts[index]!
  }

  takesWindows(widthUs: number): boolean {
    return this.#starts.every((start) => start % widthUs === 0)
  }
}

/** Else it is of months. */
export const isOfDays = (unit: CalendarStep['unit']): unit is 'day' | 'week' =>
  unit === 'day' || unit === 'week'

/**
 * The time so many steps before, as the wall has it: of an earlier day the same minute; of a month
 * that is too short its last day.
 */
export function stepsBefore(step: CalendarStep, timeUs: number, steps: number): number {
  const { unit, count, timeZone } = step
  const { sinceEpoch, minute } = wallAt(timeUs, timeZone)
  const day = Math.floor(sinceEpoch / DAY_MINUTES)
  const units = steps * count
  const earlier = isOfDays(unit)
    ? day - units * DAYS[unit]
    : monthsBefore(day, unit === 'month' ? units : 12 * units)
  const restUs = timeUs - Math.floor(timeUs / MINUTE_US) * MINUTE_US
  return wallUs(earlier * DAY_MINUTES + minute, timeZone) + restUs
}

/** Of the step that is so many behind the one that a time lies in. */
export const startOfStepBehind = (step: CalendarStep, timeUs: number, steps: number): number =>
  startOf(step, numberOf(step, timeUs) + steps)

function monthsBefore(day: number, months: number): number {
  const date = new Date(day * DAY_MS)
  const number = monthNumber(date) - months
  const first = firstDayOf('month', 1, number)
  const last = firstDayOf('month', 1, number + 1) - 1
  return Math.min(first + date.getUTCDate() - 1, last)
}

/** Since 1970. */
const monthNumber = (date: Date): number => (date.getUTCFullYear() - 1970) * 12 + date.getUTCMonth()

/** The number of the step that a time lies in. */
function numberOf({ unit, count, timeZone }: CalendarStep, timeUs: number): number {
  const day = Math.floor(wallAt(timeUs, timeZone).sinceEpoch / DAY_MINUTES)
  if (unit === 'day') return Math.floor(day / count)
  if (unit === 'week') return Math.floor((day - MONDAY) / (7 * count))
  const months = monthNumber(new Date(day * DAY_MS))
  return Math.floor(months / (unit === 'month' ? count : 12 * count))
}

function startOf({ unit, count, timeZone }: CalendarStep, number: number): number {
  return midnightUs(firstDayOf(unit, count, number), timeZone)
}

/** Days since 1970 of the wall. */
function firstDayOf(unit: CalendarStep['unit'], count: number, number: number): number {
  if (unit === 'day') return number * count
  if (unit === 'week') return MONDAY + number * 7 * count
  const months = number * count * (unit === 'month' ? 1 : 12)
  const date = new Date(0)
  date.setUTCFullYear(1970, months, 1)
  return Math.floor(date.getTime() / DAY_MS)
}

const midnightUs = (day: number, timeZone: string): number => wallUs(day * DAY_MINUTES, timeZone)

/** When the wall first shows this; of what is left out there, as far behind the gap. */
function wallUs(wallMinutes: number, timeZone: string): number {
  const nearUs = wallMinutes * MINUTE_US
  // Both offsets of a day on which the wall is put right are near enough to be tried.
  const guesses = [-1, 0, 1].map((days) => offsetAt(nearUs + days * DAY_US, timeZone))
  const times = guesses.map((offset) => (wallMinutes - offset) * MINUTE_US)
  const fits = times.filter((us) => wallAt(us, timeZone).sinceEpoch === wallMinutes)
  if (fits.length > 0) return Math.min(...fits)
  // No moment shows it: the first that shows something later.
  return Math.min(...times.filter((us) => wallAt(us, timeZone).sinceEpoch > wallMinutes))
}
