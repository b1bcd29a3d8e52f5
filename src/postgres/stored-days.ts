/**
 * Days of which a store has readings of numbers, before a time: in its tables by their index, of
 * each series where none is known yet, and in the lake by what the catalogue says of a month. Each
 * look is short; together they know what was stored before the first.
 */
import type pg from 'pg'
import { clipSpans, subtractSpans, type Span } from '../query/query.ts'
import { monthSpan } from './cold-view.ts'
import { askIn, type Ask, type Row } from './query-database.ts'
import type { HashDevice } from './query-source.ts'
import { numberSeries } from './rollup-series.ts'
import { DAY_MS, dayOf, joinSpans, OLDEST_MS } from './rollup-tables.ts'
import type { Month } from './time-tables.ts'

const LOOKS_AT_ONCE = 1000

const FIRST = `
  SELECT wanted.series, time_us
  FROM unnest($1::integer[], $2::integer[], $3::bigint[], $4::bigint[])
    AS wanted (series, hash, start_us, end_us)
  CROSS JOIN LATERAL (
    SELECT time_us FROM reading
    WHERE reading.series = wanted.series AND device_hash = wanted.hash
      AND time_us >= wanted.start_us AND time_us < wanted.end_us
    ORDER BY time_us LIMIT 1
  ) AS first`

const IN_LAKE = `
  SELECT month, min(min_us) AS min_us, max(max_us) AS max_us
  FROM cold_run JOIN cold_file ON number = file JOIN series ON id = series
  WHERE kind = 0 GROUP BY month`

export interface StoredDaysParts {
  client: pg.ClientBase
  hashDevice: HashDevice
  isOver: () => boolean
}

/** Where they begin, ms; `beforeMs` is whole days. Undefined: it is to end. */
export async function storedDays(
  { client, hashDevice, isOver }: StoredDaysParts,
  beforeMs: number,
): Promise<Set<number> | undefined> {
  const all: Span = { startUs: OLDEST_MS * 1000, endUs: beforeMs * 1000 }
  const ask = askIn(client)
  const days = new Set<number>()
  for await (const page of numberSeries(ask)) {
    let series = page.map((one) => ({
      ...{ series: one.series, hash: hashDevice(one.tenant, one.deviceId) },
    }))
    // Who has said a new day may have more of them.
    while (series.length > 0) {
      if (isOver()) return undefined
      const found = await firstTimes(ask, series, subtractSpans(all, spansOf(days)))
      for (const times of found.values()) for (const timeUs of times) days.add(dayOf(timeUs / 1000))
      series = series.filter((one) => found.has(one.series))
    }
  }
  // Behind the tables: what leaves them is in the lake before.
  for (const { month, min_us, max_us } of await ask<LakeRow>(IN_LAKE, [])) {
    const inLake = clipSpans(all, [{ startUs: min_us, endUs: max_us + 1 }])
    for (const { startUs, endUs } of clipSpans(monthSpan(month), inLake)) {
      for (let dayMs = dayOf(startUs / 1000); dayMs * 1000 < endUs; dayMs += DAY_MS) days.add(dayMs)
    }
  }
  return days
}

interface LakeRow extends Row {
  month: Month
  min_us: number
  max_us: number
}

const spansOf = (days: ReadonlySet<number>): Span[] =>
  joinSpans([...days].map((dayMs) => ({ startUs: dayMs * 1000, endUs: (dayMs + DAY_MS) * 1000 })))

/** Of each series that has some the first in each of the spans. */
async function firstTimes(
  ask: Ask,
  series: readonly { series: number; hash: number }[],
  spans: readonly Span[],
): Promise<Map<number, number[]>> {
  const looks = series.flatMap((one) => spans.map((span) => ({ ...one, ...span })))
  const found = new Map<number, number[]>()
  for (let at = 0; at < looks.length; at += LOOKS_AT_ONCE) {
    const some = looks.slice(at, at + LOOKS_AT_ONCE)
    const rows = await ask<{ series: number; time_us: number } & Row>(FIRST, [
      some.map((one) => one.series),
      some.map((one) => one.hash),
      some.map((one) => one.startUs),
      some.map((one) => one.endUs),
    ])
    for (const { series, time_us } of rows) {
      found.set(series, [...(found.get(series) ?? []), time_us])
    }
  }
  return found
}
