/** Points and other rows as lines of text. */
import { formatTimeUs } from '../../config/config.ts'
import type { ReadingsAnswer, Value } from '../../query/query.ts'
import type { Answer } from '../route.ts'

export function pointsAsText(
  points: ReadingsAnswer['points'],
  metric: string,
  format: 'ndjson' | 'csv',
): NonNullable<Answer['text']> {
  if (format === 'ndjson') return rowsAsLines(points.map(([ts, value]) => ({ ts, value })))
  const rows = points.map(([ms, value]) => [timeCell(ms), value ?? ''])
  return rowsAsCsv(['time', metric], rows)
}

/** With microseconds, where there are some: else two readings would be of one time. */
export const timeCell = (ms: number): string => formatTimeUs(Math.round(ms * 1000))

export function rowsAsLines(rows: readonly object[]): NonNullable<Answer['text']> {
  const lines = rows.map((row) => `${JSON.stringify(row)}\n`)
  return { mediaType: 'application/x-ndjson', text: lines.join('') }
}

export function rowsAsCsv(
  names: readonly string[],
  rows: readonly (readonly Value[])[],
): NonNullable<Answer['text']> {
  const lines = [names, ...rows].map((row) => `${row.map(csvCell).join()}\r\n`)
  return { mediaType: 'text/csv; charset=utf-8', text: lines.join('') }
}

/** RFC 4180; what a spreadsheet would take for a formula is a text. */
function csvCell(value: Value): string {
  if (typeof value !== 'string') return String(value)
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
