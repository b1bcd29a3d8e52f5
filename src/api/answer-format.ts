/** In which form an answer leaves: what `format` says, else the first that Accept wants most. */
import { writeArrowStream } from '../arrow/arrow.ts'
import { writeTable } from '../parquet/parquet.ts'
import type { ReadingsAnswer, Value } from '../query/query.ts'
import type { Answer } from './route.ts'

const MEDIA_TYPES = {
  json: 'application/json',
  ndjson: 'application/x-ndjson',
  csv: 'text/csv',
  arrow: 'application/vnd.apache.arrow.stream',
  parquet: 'application/vnd.apache.parquet',
} as const

export type Format = keyof typeof MEDIA_TYPES
export const FORMATS = Object.keys(MEDIA_TYPES) as Format[]
/** Of all but JSON. */
export const OTHER_MEDIA_TYPES = Object.values(MEDIA_TYPES).slice(1)

/** Who accepts nothing that there is gets JSON. */
export function formatOf(format: Format | undefined, accept: string | undefined): Format {
  if (format !== undefined) return format
  let [chosen, most]: [Format, number] = ['json', 0]
  for (const range of accept?.split(',') ?? []) {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase())
    const quality = parameters.find((one) => one.startsWith('q='))
    const weight = quality === undefined ? 1 : Number(quality.slice(2))
    const named = type === '*/*' ? 'json' : FORMATS.find((one) => MEDIA_TYPES[one] === type)
    if (named !== undefined && weight > most) [chosen, most] = [named, weight]
  }
  return chosen
}

export interface Column {
  name: string
  type: 'timeUs' | 'double' | 'boolean' | 'text'
  isOptional: boolean
  values: (Value | null)[]
}

/** Points as a table: `time`, the group's name where there is one, `value`. */
export async function pointsAsTable(
  lists: readonly { group?: string | null; points: ReadingsAnswer['points'] }[],
  { format, groupName }: { format: 'arrow' | 'parquet'; groupName: string | undefined },
): Promise<NonNullable<Answer['text']>> {
  const all = lists.flatMap(({ points }) => points)
  const groups = lists.flatMap(({ group = null, points }) => points.map(() => group))
  const values = all.map(([, value]) => value)
  const type = typeOf(values)
  const columns: Column[] = [
    timeColumn(all),
    ...(groupName === undefined
      ? []
      : [{ name: groupName, type: 'text' as const, isOptional: true, values: groups }]),
    { name: 'value', type, isOptional: true, values: values.map((one) => asType(type, one)) },
  ]
  return columnsAsTable(columns, format)
}

export async function columnsAsTable(
  columns: readonly Column[],
  format: 'arrow' | 'parquet',
): Promise<NonNullable<Answer['text']>> {
  const text = format === 'arrow' ? writeArrowStream(columns) : await writeTable(columns)
  return { mediaType: MEDIA_TYPES[format], text }
}

const timeColumn = (points: ReadingsAnswer['points']): Column => ({
  ...{ name: 'time', type: 'timeUs', isOptional: false },
  values: points.map(([ms]) => Math.round(ms * 1000)),
})

/** Series of several kinds have texts in common. */
function typeOf(values: readonly (Value | null)[]): Exclude<Column['type'], 'timeUs'> {
  const kinds = new Set(values.filter((value) => value !== null).map((value) => typeof value))
  if (kinds.size > 1 || kinds.has('string')) return 'text'
  return kinds.has('boolean') ? 'boolean' : 'double'
}

const asType = (type: Column['type'], value: Value | null): Value | null =>
  type === 'text' && value !== null ? String(value) : value
