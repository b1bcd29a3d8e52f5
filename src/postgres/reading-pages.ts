/**
 * Readings by pages of the primary key: never more of an answer in memory than a page. A page
 * serves many short stretches at once, or one long one from where the page before ended.
 */
import type { Ask } from './query-database.ts'
import { packed, unpack } from './query-columns.ts'

/** Readings of one series in a span of event time, µs. */
export interface Stretch {
  series: number
  startUs: number
  endUs: number
}

export interface PageOfReadings {
  series: number
  timeUs: Float64Array
  value: Float64Array
  /** Only of series of texts. */
  texts: string[] | undefined
}

const NUMBERS_PER_PAGE = 20_000
/** Of up to 64 KiB each. */
const TEXTS_PER_PAGE = 1000
const STRETCHES_PER_PAGE = 64

interface Row extends Record<string, unknown> {
  place: number
  time_us: Uint8Array | null
  value: Uint8Array | null
  texts: string[] | null
}

/** The bounds of all stretches are said once more, so that the planner can leave out months. */
const pageSql = (isText: boolean): string => `
  SELECT wanted.place, page.*
  FROM unnest($1::integer[], $2::bigint[], $3::bigint[])
    WITH ORDINALITY AS wanted (series, start_us, end_us, place)
  CROSS JOIN LATERAL (
    SELECT ${packed('time_us')},
      ${isText ? 'json_agg(text_value) AS texts' : packed('value')}
    FROM (
      SELECT time_us, value, text_value FROM reading
      WHERE reading.series = wanted.series AND device_hash = $4
        AND time_us >= wanted.start_us AND time_us < wanted.end_us
        AND time_us >= $5 AND time_us < $6
      ORDER BY time_us LIMIT $7
    ) AS row
  ) AS page`

const NUMBERS_SQL = pageSql(false)
const TEXTS_SQL = pageSql(true)

/** In time order within a stretch. `consume` may throw to end it. */
export async function readPages(
  ask: Ask,
  { stretches, deviceHash, isText }: { stretches: Stretch[]; deviceHash: number; isText: boolean },
  consume: (page: PageOfReadings) => void,
): Promise<void> {
  const pending = stretches.toReversed()
  while (pending.length > 0) {
    const chosen = pending.splice(-STRETCHES_PER_PAGE).reverse()
    const limit = Math.ceil((isText ? TEXTS_PER_PAGE : NUMBERS_PER_PAGE) / chosen.length)
    const rows = await ask<Row>(isText ? TEXTS_SQL : NUMBERS_SQL, [
      chosen.map(({ series }) => series),
      chosen.map(({ startUs }) => startUs),
      chosen.map(({ endUs }) => endUs),
      deviceHash,
      Math.min(...chosen.map(({ startUs }) => startUs)),
      Math.max(...chosen.map(({ endUs }) => endUs)),
      limit,
    ])
    for (const { place, time_us, value, texts } of rows) {
      const stretch = chosen[place - 1]!
      const timeUs = unpack(time_us)
      if (timeUs.length === 0) continue
      const values = isText ? new Float64Array(timeUs.length) : unpack(value)
      consume({ series: stretch.series, timeUs, value: values, texts: texts ?? undefined })
      if (timeUs.length < limit) continue
      pending.push({ ...stretch, startUs: timeUs.at(-1)! + 1 })
    }
  }
}
