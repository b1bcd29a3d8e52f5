/** How numbers and times are written for people: the reader's locale and time zone. */
import { element } from './dom.ts'
import type { Value } from '../query/query.ts'

const formats = new Map<number, Intl.NumberFormat>()

/** A number formatter costs 50 µs to make and 1 µs to use, so there is one per digit count. */
function withDecimals(decimals: number): Intl.NumberFormat {
  let format = formats.get(decimals)
  if (format === undefined) {
    format = new Intl.NumberFormat(undefined, { maximumFractionDigits: decimals })
    formats.set(decimals, format)
  }
  return format
}

/** About four significant digits, and never an exponent between 10⁻⁶ and 10¹⁵. */
export function formatNumber(value: number): string {
  const size = Math.abs(value)
  if (!Number.isFinite(value)) return '–'
  if (size !== 0 && (size < 1e-6 || size >= 1e15)) return value.toExponential(3)
  const magnitude = size === 0 ? 0 : Math.floor(Math.log10(size))
  return withDecimals(Math.max(0, Math.min(9, 3 - magnitude))).format(value)
}

/** A value of any kind with its unit (empty when unknown). */
export function formatValue(value: Value | null, unit = ''): string {
  if (value === null) return '–'
  if (typeof value !== 'number') return String(value)
  return unit === '' ? formatNumber(value) : `${formatNumber(value)} ${unit}`
}

export const formatCount = (value: number): string => withDecimals(0).format(value)

const clockFormat = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium' })
const fullFormat = new Intl.DateTimeFormat(undefined, {
  year: 'numeric',
  month: 'short',
  day: 'numeric',
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  fractionalSecondDigits: 3,
  timeZoneName: 'short',
})

/** Local time of day. */
export const formatClock = (ms: number): string => clockFormat.format(ms)

/** Local date and time with milliseconds and zone. */
export const formatFull = (ms: number): string => fullFormat.format(ms)

const SECOND_MS = 1000
const MINUTE_MS = 60 * SECOND_MS
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS

/** The two largest units: `45 s`, `3 min`, `2 h 5 min`, `4 d 3 h`. */
export function formatDuration(durationMs: number): string {
  const ms = Math.max(0, durationMs)
  if (ms < MINUTE_MS) return `${Math.floor(ms / SECOND_MS)} s`
  if (ms < HOUR_MS) return `${Math.floor(ms / MINUTE_MS)} min`
  const [large, small, largeMs, smallMs] =
    ms < DAY_MS ? ['h', 'min', HOUR_MS, MINUTE_MS] : ['d', 'h', DAY_MS, HOUR_MS]
  const rest = Math.floor((ms % largeMs) / smallMs)
  return `${Math.floor(ms / largeMs)} ${large}${rest === 0 ? '' : ` ${rest} ${small}`}`
}

export function formatAgo(ms: number, nowMs: number): string {
  return nowMs - ms < 2 * SECOND_MS ? 'now' : `${formatDuration(nowMs - ms)} ago`
}

/** An age that `refreshAges` keeps true; hovering shows the moment with its milliseconds. */
export function ageElement(ms: number, nowMs: number): HTMLTimeElement {
  const attributes = { datetime: new Date(ms).toISOString(), title: formatFull(ms) }
  const made = element('time', attributes, formatAgo(ms, nowMs))
  made.dataset['age'] = String(ms)
  return made
}

/** Moves an age to another moment. */
export function setAge(target: HTMLTimeElement, ms: number, nowMs: number): void {
  target.dataset['age'] = String(ms)
  target.dateTime = new Date(ms).toISOString()
  target.title = formatFull(ms)
  target.textContent = formatAgo(ms, nowMs)
}

export function refreshAges(nowMs: number): void {
  for (const age of document.querySelectorAll<HTMLTimeElement>('time[data-age]')) {
    const text = formatAgo(Number(age.dataset['age']), nowMs)
    if (age.textContent !== text) age.textContent = text
  }
}
