/** Window partials by pages of the primary key. */
import type { Span } from '../query/query.ts'
import * as words from '../stream/stream.ts'
import type { Ask } from './query-database.ts'
import { packed, unpack } from './query-columns.ts'

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
const COLUMNS = Object.keys(PLACES) as (keyof typeof PLACES)[]

interface Row extends Record<keyof typeof PLACES, Uint8Array | null>, Record<string, unknown> {
  place: number
}

const PAGE_SQL = `
  SELECT wanted.place, page.*
  FROM unnest($1::integer[], $2::bigint[], $3::boolean[])
    WITH ORDINALITY AS wanted (series, after_ms, after_late, place)
  CROSS JOIN LATERAL (
    SELECT ${COLUMNS.map(packed).join(', ')}
    FROM (
      SELECT *, is_late::integer AS late FROM window_partial
      WHERE window_partial.series = wanted.series AND window_ms = $4
        AND (start_ms, is_late) > (wanted.after_ms, wanted.after_late)
        AND start_ms >= $5 AND start_ms < $6
      ORDER BY start_ms, is_late LIMIT $7
    ) AS row
  ) AS page`

/** The row is the same array every time. `count` is told of each page before its rows. */
export async function readPartialPages(
  ask: Ask,
  {
    series,
    windowMs,
    span,
  }: {
    series: readonly number[]
    windowMs: number
    span: Span
  },
  { count, consume }: { count: (rows: number) => void; consume: (row: Float64Array) => void },
): Promise<void> {
  const startMs = Math.ceil(span.startUs / 1000)
  const endMs = Math.ceil(span.endUs / 1000)
  const row = new Float64Array(words.PARTIAL_STRIDE)
  row[words.PARTIAL_WINDOW_MS] = windowMs
  const pending = series.map((id) => ({ id, afterMs: startMs - 1, afterLate: true })).reverse()
  while (pending.length > 0) {
    const chosen = pending.splice(-SERIES_PER_PAGE).reverse()
    const limit = Math.ceil(ROWS_PER_PAGE / chosen.length)
    const pages = await ask<Row>(PAGE_SQL, [
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
      row[words.PARTIAL_SERIES] = id
      for (let index = 0; index < rows; index++) {
        for (const { at, doubles } of columns) row[at] = doubles[index]!
        consume(row)
      }
      if (rows < limit) continue
      const [afterMs, late] = [row[words.PARTIAL_START_MS]!, row[words.PARTIAL_IS_LATE]!]
      pending.push({ id, afterMs, afterLate: late !== 0 })
    }
  }
}
