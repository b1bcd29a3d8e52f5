/** How numbers and times are written for people: the reader's locale and time zone. */
import { element, setText } from './dom.ts'
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

const secondsFormat = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium' })
const minutesFormat = new Intl.DateTimeFormat(undefined, { timeStyle: 'short' })
const daysFormat = new Intl.DateTimeFormat(undefined, { month: 'short', day: 'numeric' })
const millisecondsFormat = new Intl.DateTimeFormat(undefined, {
  minute: '2-digit',
  second: '2-digit',
  fractionalSecondDigits: 3,
})
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

/** A tick of a time axis whose ticks stand `stepMs` apart: as much as tells them apart. */
export function formatTick(ms: number, stepMs: number): string {
  if (stepMs < SECOND_MS) return millisecondsFormat.format(ms)
  if (stepMs < MINUTE_MS) return secondsFormat.format(ms)
  const isMidnight = new Date(ms).getHours() === 0 && new Date(ms).getMinutes() === 0
  return stepMs >= DAY_MS || isMidnight ? daysFormat.format(ms) : minutesFormat.format(ms)
}

function formatAgo(ms: number, nowMs: number): string {
  return nowMs - ms < 2 * SECOND_MS ? 'now' : `${formatDuration(nowMs - ms)} ago`
}

/** `ago`: `3 min ago`; `for`: `for 3 min`. */
type AgeStyle = 'ago' | 'for'

function formatAge(ms: number, nowMs: number, style: AgeStyle): string {
  return style === 'ago' ? formatAgo(ms, nowMs) : `for ${formatDuration(nowMs - ms)}`
}

/** An age that `refreshAges` keeps true; hovering shows the moment with its milliseconds. */
export function ageElement(ms: number, nowMs: number, style: AgeStyle = 'ago'): HTMLTimeElement {
  const made = element('time', { 'data-style': style })
  setAge(made, ms, nowMs)
  return made
}

/** Moves an age to another moment. */
export function setAge(target: HTMLTimeElement, ms: number, nowMs: number): void {
  target.dataset['age'] = String(ms)
  target.dateTime = new Date(ms).toISOString()
  target.title = formatFull(ms)
  refreshAge(target, nowMs)
}

function refreshAge(target: HTMLTimeElement, nowMs: number): void {
  const style = target.dataset['style'] === 'for' ? 'for' : 'ago'
  setText(target, formatAge(Number(target.dataset['age']), nowMs, style))
}

export function refreshAges(nowMs: number): void {
  for (const age of document.querySelectorAll<HTMLTimeElement>('time[data-age]')) {
    refreshAge(age, nowMs)
  }
}
