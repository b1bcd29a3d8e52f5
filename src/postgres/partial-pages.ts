/** Window partials, and rollups, which have the same columns, by pages of the primary key. */
import type { Span } from '../query/query.ts'
import * as words from '../stream/stream.ts'
import type { Ask } from './query-database.ts'
import { packed, unpack } from './query-columns.ts'
import { ID_COLUMN } from './rollup-rows.ts'

const ROWS_PER_PAGE = 5000
const SERIES_PER_PAGE = 64

/** Where a row's columns go. */
const PLACES = {
  start_ms: words.PARTIAL_START_MS,
  late: words.PARTIAL_IS_LATE,
  count: words.PARTIAL_COUNT,
  sum: words.PARTIAL_SUM,
  min: words.PARTIAL_MIN,
  max: words.PARTIAL_MAX,
  mean: words.PARTIAL_MEAN,
  squares: words.PARTIAL_SQUARES,
  first: words.PARTIAL_FIRST,
  first_us: words.PARTIAL_FIRST_TIME_US,
  last: words.PARTIAL_LAST,
  last_us: words.PARTIAL_LAST_TIME_US,
}

/** Of a table: whose its rows are, and which of a window. */
const TABLES = {
  window_partial: { id: 'series', late: 'is_late' },
  hour_rollup: { id: ID_COLUMN.hour_rollup, late: undefined },
  fleet_rollup: { id: ID_COLUMN.fleet_rollup, late: undefined },
}
export type PartialTable = keyof typeof TABLES
const COLUMNS = Object.keys(PLACES) as (keyof typeof PLACES)[]

interface Row extends Record<keyof typeof PLACES, Uint8Array | null>, Record<string, unknown> {
  place: number
  sketches?: (Uint8Array | null)[] | null
}

function pageSql(table: PartialTable, hasSketches: boolean): string {
  const { id, late } = TABLES[table]
  const order = late === undefined ? ['start_ms'] : ['start_ms', late]
  const after = late === undefined ? ['after_ms'] : ['after_ms', 'after_late']
  return `
  SELECT wanted.place, page.*
  FROM unnest($1::integer[], $2::bigint[], $3::boolean[])
    WITH ORDINALITY AS wanted (id, after_ms, after_late, place)
  CROSS JOIN LATERAL (
    SELECT ${COLUMNS.map(packed).join(', ')}
      ${hasSketches ? ', array_agg(sketch) AS sketches' : ''}
    FROM (
      SELECT *, ${late === undefined ? '0' : `${late}::integer`} AS late FROM ${table}
      WHERE ${table}.${id} = wanted.id AND window_ms = $4
        AND (${order.join(', ')}) > (${after.map((name) => `wanted.${name}`).join(', ')})
        AND start_ms >= $5 AND start_ms < $6
      ORDER BY ${order.join(', ')} LIMIT $7
    ) AS row
  ) AS page`
}

export interface PartialPages {
  /** Series, or fleets. */
  ids: readonly number[]
  windowMs: number
  /** Of starts. */
  span: Span
  /** Only of rollups. */
  hasSketches?: boolean
}

/** The row is the same array every time. `count` is told of each page before its rows. */
export async function readPartialPages(
  ask: Ask,
  table: PartialTable,
  {
    pages: { ids, windowMs, span, hasSketches = false },
    count,
    consume,
  }: {
    pages: PartialPages
    count: (rows: number) => void
    consume: (row: Float64Array, sketch?: Uint8Array) => void
  },
): Promise<void> {
  const text = pageSql(table, hasSketches)
  const startMs = Math.ceil(span.startUs / 1000)
  const endMs = Math.ceil(span.endUs / 1000)
  const row = new Float64Array(words.PARTIAL_STRIDE)
  row[words.PARTIAL_WINDOW_MS] = windowMs
  const pending = ids.map((id) => ({ id, afterMs: startMs - 1, afterLate: true })).reverse()
  while (pending.length > 0) {
    const chosen = pending.splice(-SERIES_PER_PAGE).reverse()
    const limit = Math.ceil(ROWS_PER_PAGE / chosen.length)
    const pages = await ask<Row>(text, [
      chosen.map(({ id }) => id),
      chosen.map(({ afterMs }) => afterMs),
      chosen.map(({ afterLate }) => afterLate),
      windowMs,
      Math.min(...chosen.map(({ afterMs }) => afterMs)),
      endMs,
      limit,
    ])
    for (const page of pages) {
      const { id } = chosen[page.place - 1]!
      const columns = COLUMNS.map((name) => ({ at: PLACES[name], doubles: unpack(page[name]) }))
      const rows = columns[0]!.doubles.length
      count(rows)
      for (let index = 0; index < rows; index++) {
        row[words.PARTIAL_SERIES] = id
        for (const { at, doubles } of columns) row[at] = doubles[index]!
        consume(row, page.sketches?.[index] ?? undefined)
      }
      if (rows < limit) continue
      const [afterMs, late] = [row[words.PARTIAL_START_MS]!, row[words.PARTIAL_IS_LATE]!]
      pending.push({ id, afterMs, afterLate: late !== 0 })
    }
  }
}
