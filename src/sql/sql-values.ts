/** Values of the database as JSON has them: times in RFC 3339, what JSON lacks as text. */
import {
  DuckDBListValue,
  DuckDBMapValue,
  DuckDBStructValue,
  DuckDBTimestampTZValue,
  DuckDBTimestampValue,
  type DuckDBValue,
} from '@duckdb/node-api'
import type { SqlValue } from './sql.ts'

export function toSqlValue(value: DuckDBValue): SqlValue {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value)
  if (typeof value === 'bigint') {
    const number = Number(value)
    return Number.isSafeInteger(number) ? number : String(value)
  }
  if (value instanceof DuckDBTimestampValue || value instanceof DuckDBTimestampTZValue) {
    return timeOf(value.micros)
  }
  if (value instanceof DuckDBListValue) return value.items.map(toSqlValue)
  if (value instanceof DuckDBStructValue) {
    const entries = Object.entries(value.entries)
    return Object.fromEntries(entries.map(([name, one]) => [name, toSqlValue(one)]))
  }
  if (value instanceof DuckDBMapValue) {
    return value.entries.map(({ key, value: one }) => [toSqlValue(key), toSqlValue(one)])
  }
  return String(value)
}

/** With as many digits behind the second as it has. */
function timeOf(micros: bigint): string {
  const ms = Number(micros / 1000n) - (micros % 1000n < 0n ? 1 : 0)
  const rest = Number(((micros % 1000n) + 1000n) % 1000n)
  const date = new Date(ms)
  if (Number.isNaN(date.getTime())) return String(micros)
  const text = date.toISOString()
  return rest === 0 ? text : `${text.slice(0, -1)}${String(rest).padStart(3, '0')}Z`
}
