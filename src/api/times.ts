/** Times and durations as the API's parameters carry them. */
import { WeirError } from '../errors/errors.ts'
import { parseDurationUs } from '../config/config.ts'
import { isOfDays, type CalendarStep } from '../query/query.ts'
import { isTimeZone } from '../schedule/schedule.ts'
import { invalidParameter } from './parameters.ts'

/** `date-time` of RFC 3339, 5.6: any count of fraction digits, and always an offset. */
const RFC_3339 =
  /^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))$/

/** The years 1653 to 2255: beyond them microseconds are not exact in a number. */
const TIME_US_MAX = Number.MAX_SAFE_INTEGER - 1

/**
 * Milliseconds since 1970 or RFC 3339 → integer µs (digits below 1 µs are cut). Throws
 * API_PARAMETER_INVALID naming `parameter`.
 */
export function parseTime(text: string, parameter: string): number {
  const us = /^-?\d{1,16}(\.\d+)?$/.test(text)
    ? Math.floor(Number(text) * 1000)
    : parseRfc3339(text)
  if (us !== undefined && Math.abs(us) <= TIME_US_MAX) return us
  throw new WeirError(
    'API_PARAMETER_INVALID',
    `${parameter}: "${text}" is neither milliseconds since 1970 nor RFC 3339 (2026-01-31T12:00:00Z)`,
  )
}

function parseRfc3339(text: string): number | undefined {
  const match = RFC_3339.exec(text)
  if (match === null) return undefined
  const part = (index: number): number => Number(match[index] ?? 0)
  const [year, month, day, hour, minute] = [part(1), part(2), part(3), part(4), part(5)]
  // A leap second counts as the second after it, as POSIX time has none.
  const second = part(6)
  const isInRange = hour <= 23 && minute <= 59 && second <= 60 && part(9) <= 23 && part(10) <= 59
  const date = new Date(0)
  date.setUTCFullYear(year, month - 1, day)
  if (!isInRange || date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return undefined
  const offsetMinutes = (part(9) * 60 + part(10)) * (match[8] === '-' ? -1 : 1)
  const seconds = (hour * 60 + minute - offsetMinutes) * 60 + second
  const fractionUs = Number((match[7] ?? '').slice(0, 6).padEnd(6, '0'))
  return (date.getTime() + seconds * 1000) * 1000 + fractionUs
}

/** Milliseconds, or a duration such as `30s`, `5m`, `1h` → µs, at least 1 ms. */
export function parseStep(text: string, parameter: string): number {
  const us = /^\d{1,12}$/.test(text) ? Number(text) * 1000 : parseDurationUs(text)
  if (us !== undefined && us > 0) return us
  throw new WeirError(
    'API_PARAMETER_INVALID',
    `${parameter}: "${text}" is neither milliseconds nor a duration such as 30s, 5m or 1h`,
  )
}

const CALENDAR = /^([1-9]\d{0,3})(d|w|mo|y)$/
const UNITS = { d: 'day', w: 'week', mo: 'month', y: 'year' } as const

/**
 * A step: a width, or with a time zone days of its calendar; weeks, months and years are always of
 * a calendar, UTC's without a zone. Throws API_PARAMETER_INVALID.
 */
export function parseGrid(
  step: string | undefined,
  timeZone: string | undefined,
): { stepUs: number | undefined; calendar: CalendarStep | undefined } {
  if (timeZone !== undefined && !isTimeZone(timeZone)) {
    throw new WeirError('API_PARAMETER_INVALID', `tz: "${timeZone}" is no time zone of IANA`, {
      details: { parameter: 'tz' },
    })
  }
  if (step === undefined) return { stepUs: undefined, calendar: undefined }
  const [, count, unit] = CALENDAR.exec(step) ?? []
  const isCalendar = unit !== undefined && (unit !== 'd' || timeZone !== undefined)
  if (!isCalendar) return { stepUs: parseStep(step, 'step'), calendar: undefined }
  const calendar: CalendarStep = {
    ...{ unit: UNITS[unit as keyof typeof UNITS], count: Number(count) },
    timeZone: timeZone ?? 'UTC',
  }
  return { stepUs: undefined, calendar }
}

/**
 * How much earlier is compared with: µs, or of steps of the calendar how many of them. Of other
 * steps it is a whole number, too, so that what is compared stands at the times of now. Throws
 * API_PARAMETER_INVALID.
 */
export function parseEarlier(
  text: string,
  { stepUs, calendar }: { stepUs: number | undefined; calendar?: CalendarStep | undefined },
): { us: number } | { steps: number } {
  const wrong = (detail: string): WeirError => invalidParameter('compare', detail)
  const [, count, letter] = CALENDAR.exec(text) ?? []
  if (calendar !== undefined) {
    const unit = letter === undefined ? undefined : UNITS[letter as keyof typeof UNITS]
    const steps = unit === undefined ? NaN : (Number(count) * SIZES[unit]) / sizeOf(calendar)
    const isOfSame = unit !== undefined && isOfDays(unit) === isOfDays(calendar.unit)
    if (isOfSame && Number.isInteger(steps)) return { steps }
    throw wrong(`"${text}" is no whole number of steps; as 1w beside step=1d, 1y beside step=1mo`)
  }
  const us = parseStep(letter === 'w' ? `${Number(count) * 7}d` : text, 'compare')
  if (stepUs === undefined || us % stepUs === 0) return { us }
  throw wrong(`"${text}" is no whole number of steps`)
}

/** In days, or in months. */
const SIZES = { day: 1, week: 7, month: 1, year: 12 }
const sizeOf = ({ unit, count }: CalendarStep): number => SIZES[unit] * count

/** A duration of a body → µs, more than none. Throws API_BODY_INVALID naming `key`. */
export function durationUsOf(text: string, key: string): number {
  const us = parseDurationUs(text)
  if (us !== undefined && us > 0) return us
  throw new WeirError('API_BODY_INVALID', `${key}: "${text}" is no duration such as 30s, 5m or 1h`)
}
