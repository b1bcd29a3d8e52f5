/** The time of a CSV record, from one column in a common format or from a column for each part. */
import { WeirError } from '../errors/errors.ts'
import type { TimeZone } from './local-time.ts'

/** Milliseconds, or RFC 3339 text where that keeps more digits; undefined: not readable. */
export type Timestamp = number | string | undefined

const WITH_ZONE = /^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.(\d+))?)?(Z|[+-]\d{2}:?\d{2})$/i
const LOCAL = /^(\d{4})[-/](\d{1,2})[-/](\d{1,2})(?:[T ](\d{1,2}):(\d{2})(?::(\d{2}(?:\.\d+)?))?)?$/
const EPOCH = /^-?\d+(\.\d+)?$/

/** Seconds reach this in the year 5138, milliseconds passed it in 1973. */
const SECONDS_MAX = 1e11
/** Milliseconds reach this in 5138; larger numbers are µs or ns. */
const MILLISECONDS_MAX = 1e14

/** One value of a time column. */
export function parseTimestamp(text: string, zone: TimeZone): Timestamp {
  const trimmed = text.trim()
  if (EPOCH.test(trimmed)) return parseEpoch(Number(trimmed))
  const withZone = WITH_ZONE.exec(trimmed)
  if (withZone !== null) {
    const rfc3339 = trimmed.replace(' ', 'T').replace(/([+-]\d{2})(\d{2})$/, '$1:$2')
    const ms = Date.parse(rfc3339)
    if (!Number.isFinite(ms)) return undefined
    return (withZone[3]?.length ?? 0) > 3 ? rfc3339 : ms
  }
  const local = LOCAL.exec(trimmed)
  if (local === null) return undefined
  const [year, month, day, hour = '0', minute = '0', second = '0'] = local.slice(1)
  return fromParts([year, month, day, hour, minute, second], zone)
}

function parseEpoch(value: number): Timestamp {
  const size = Math.abs(value)
  if (size < SECONDS_MAX) return Math.round(value * 1000)
  return size < MILLISECONDS_MAX ? Math.round(value) : undefined
}

/** Year, month, day and, as far as given, hour, minute and second. */
function fromParts(parts: (string | undefined)[], zone: TimeZone): Timestamp {
  const numbers = parts.map((part) =>
    part === undefined || !/^\s*\d+(\.\d+)?\s*$/.test(part) ? NaN : Number(part),
  )
  const [year = NaN, month = NaN, day = NaN, hour = 0, minute = 0, second = 0] = numbers
  const ms = zone.toUtcMs({ year, month, day, hour, minute, second })
  if (ms === undefined || Number.isInteger(ms)) return ms
  // A fraction of a millisecond is kept as text: "ts" takes whole milliseconds or RFC 3339.
  const us = Math.round(ms * 1000)
  const micros = String(((us % 1_000_000) + 1_000_000) % 1_000_000).padStart(6, '0')
  return new Date(Math.floor(us / 1000)).toISOString().replace(/\.\d{3}Z$/, `.${micros}Z`)
}

/**
 * A reader of the time of a record. `columns` are the names given to --time: one column, or the
 * parts in the order year, month, day, hour, minute, second. Throws CLI_USAGE_INVALID.
 */
export function timeReader(
  header: string[],
  columns: string[],
  zone: TimeZone,
): (record: string[]) => Timestamp {
  const places = columns.map((column) => columnPlace(header, column))
  const [only] = places
  if (places.length === 1 && only !== undefined)
    return (record) => parseTimestamp(record[only] ?? '', zone)
  if (places.length < 3 || places.length > 6)
    throw new WeirError(
      'CLI_USAGE_INVALID',
      '--time takes one column, or three to six: year, month, day, hour, minute, second',
    )
  return (record) =>
    fromParts(
      places.map((place) => record[place]),
      zone,
    )
}

/** Where a column is. Throws CLI_USAGE_INVALID with the columns that there are. */
export function columnPlace(header: string[], name: string): number {
  const place = header.indexOf(name)
  if (place >= 0) return place
  const known = header.join(', ')
  throw new WeirError('CLI_USAGE_INVALID', `there is no column "${name}"; there are: ${known}`)
}
