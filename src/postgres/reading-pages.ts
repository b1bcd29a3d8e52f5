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

/**
 * The bounds of all stretches are said once more, so that the planner can leave out months; and for
 * one device its hash as a value, so that it can leave out parts of months.
 */
function pageSql(isText: boolean, isOneDevice: boolean): string {
  const hashes = isOneDevice ? '' : ', $4::integer[]'
  return `
  SELECT wanted.place, page.*
  FROM unnest($1::integer[], $2::bigint[], $3::bigint[]${hashes})
    WITH ORDINALITY AS wanted (series, start_us, end_us${isOneDevice ? '' : ', hash'}, place)
  CROSS JOIN LATERAL (
    SELECT ${packed('time_us')},
      ${isText ? 'json_agg(text_value) AS texts' : packed('value')}
    FROM (
      SELECT time_us, value, text_value FROM reading
      WHERE reading.series = wanted.series
        AND device_hash = ${isOneDevice ? '$4' : 'wanted.hash'}
        AND time_us >= wanted.start_us AND time_us < wanted.end_us
        AND time_us >= $5 AND time_us < $6
      ORDER BY time_us LIMIT $7
    ) AS row
  ) AS page`
}

export interface WantedPages {
  stretches: Stretch[]
  /** Of the device that a series is of. */
  hashOf: (series: number) => number
  isText: boolean
}

/** In time order within a stretch. `consume` may throw to end it. */
export async function readPages(
  ask: Ask,
  { stretches, hashOf, isText }: WantedPages,
  consume: (page: PageOfReadings) => void,
): Promise<void> {
  const pending = stretches.toReversed()
  while (pending.length > 0) {
    const chosen = pending.splice(-STRETCHES_PER_PAGE).reverse()
    const limit = Math.ceil((isText ? TEXTS_PER_PAGE : NUMBERS_PER_PAGE) / chosen.length)
    const hashes = chosen.map(({ series }) => hashOf(series))
    const isOneDevice = hashes.every((hash) => hash === hashes[0])
    const rows = await ask<Row>(pageSql(isText, isOneDevice), [
      chosen.map(({ series }) => series),
      chosen.map(({ startUs }) => startUs),
      chosen.map(({ endUs }) => endUs),
      isOneDevice ? hashes[0] : hashes,
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
