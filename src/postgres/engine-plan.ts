/**
 * What of a question about many devices another engine is to answer: of each month all that is
 * asked for, or nothing. A month is its own when PostgreSQL has no row of the series asked for in
 * it, and its files have nothing that was erased, as of one moment. Then the lake's files of it
 * have every reading once, since what goes there leaves out what earlier files of the month have
 * (`month-rows.ts`).
 */
import type { EngineFile } from '../lake-engine/lake-engine.ts'
import { dimensionsOf } from '../lake/lake.ts'
import {
  matchesDimensions,
  seriesAsked,
  subtractSpans,
  type GroupsQuestion,
  type Span,
} from '../query/query.ts'
import { monthSpan } from './cold-view.ts'
import { monthOf, monthOfTable } from './month-partitions.ts'
import type { Ask, Row } from './query-database.ts'
import { SERIES_MAX } from './query-groups.ts'
import { ASKED, askedOf } from './query-scan.ts'
import { kindOf } from './query-source.ts'
import type { Month } from './time-tables.ts'

export interface EnginePlan {
  /** What the engine tells; in order and apart. */
  spans: Span[]
  files: EngineFile[]
  /** In those files, of the series asked for. */
  readings: number
  /** Series asked for. */
  series: number
  areBooleans: boolean
  /** As the lake has them; undefined: any. */
  dimensions: string[] | undefined
}

/** Of which a timestamp of SQL can be written, and more than any clock says. */
const [MONTH_MIN, MONTH_MAX] = [1970 * 12, 2200 * 12]

/** As the conditions of ASKED, and of these dimensions. */
const OF_DIMENSIONS = '(dimensions = ANY ($5) OR $5 IS NULL)'

const KINDS = `SELECT device_type, kind, dimensions, count(*) AS series FROM series
  WHERE ${ASKED} GROUP BY device_type, kind, dimensions`

/** Months that PostgreSQL has a table for. */
const TABLES = `SELECT relkind = 'p' AS "isCut", ARRAY(
    SELECT relname::text FROM pg_inherits JOIN pg_class AS part ON inhrelid = part.oid
    WHERE inhparent = pg_class.oid
  ) AS names
  FROM pg_class WHERE oid = 'reading'::regclass`

/** Of some spans those in which there is a row. */
const HOT = `SELECT month FROM unnest($6::integer[], $7::bigint[], $8::bigint[])
    AS one (month, start_us, end_us)
  WHERE EXISTS (
    SELECT FROM series CROSS JOIN LATERAL (
      SELECT FROM reading
      WHERE reading.series = id AND time_us >= start_us AND time_us < end_us LIMIT 1
    ) AS row WHERE ${ASKED} AND ${OF_DIMENSIONS}
  )`

/** What was erased may be in a file until that is written anew, and in an archive for good. */
const FILES = `SELECT number, key, month, device_type, sum(cold_run.row_count)::bigint AS rows,
    bool_or(EXISTS (
      SELECT FROM tombstone WHERE tombstone.tenant = series.tenant
        AND tombstone.device_id = series.device_id AND from_us <= max_us AND min_us < to_us
    )) AS "isErased"
  FROM series JOIN cold_run ON cold_run.series = id JOIN cold_file ON number = file
  WHERE ${ASKED} AND ${OF_DIMENSIONS} AND month BETWEEN $6 AND $7
  GROUP BY number, device_type ORDER BY number`

/**
 * Undefined: there is nothing for an engine, or too little of what is asked. Within one snapshot;
 * PostgreSQL's rows are asked for first, so that no month leaves between.
 */
export async function planEngine(
  ask: Ask,
  question: GroupsQuestion,
  readingsMin: number,
): Promise<EnginePlan | undefined> {
  const asked = askedOf(seriesAsked(question))
  const found = (await ask<KindRow>(KINDS, asked)).map((row) => ({
    ...{ kind: kindOf(row.kind), series: row.series, text: row.dimensions },
    dimensions: JSON.parse(row.dimensions) as [string, string][],
  }))
  const meant = found.filter((one) => matchesDimensions(one, question))
  const hasTexts = meant.some(({ kind }) => kind === 'text')
  if (meant.length === 0 || (hasTexts && question.aggregate !== 'count')) return undefined
  const isAny = meant.length === found.length
  const own = [...asked, isAny ? null : [...new Set(meant.map(({ text }) => text))]]

  const { startUs, endUs } = question
  const first = monthOf(startUs / 1000)
  const last = monthOf((endUs - 1) / 1000)
  const months = await hotMonths(ask, own, { first, last })
  if (months === undefined) return undefined
  const hot = new Set(months)
  const rows = await ask<FileRow>(FILES, [...own, first, last])
  // What cannot be asked of the engine stays with the tables, which look into the lake themselves.
  for (const { month, isErased } of rows) {
    if (isErased || month < MONTH_MIN || month >= MONTH_MAX) hot.add(month)
  }
  const files = rows.filter(({ month }) => !hot.has(month)).map(fileOf)

  const readings = files.reduce((sum, { rows }) => sum + rows, 0)
  const left = [...hot].toSorted((a, b) => a - b).map(monthSpan)
  const isMany = found.reduce((sum, { series }) => sum + series, 0) > SERIES_MAX
  // Then the tables refuse what is left for them.
  if (isMany && left.length > 0) return undefined
  if (files.length === 0 || (readings < readingsMin && !isMany)) return undefined
  return {
    ...{ spans: subtractSpans({ startUs, endUs }, left), files, readings },
    series: meant.reduce((sum, { series }) => sum + series, 0),
    areBooleans: meant.every(({ kind }) => kind === 'boolean'),
    dimensions: isAny ? undefined : [...new Set(meant.map(dimensionsOf))],
  }
}

interface KindRow extends Row {
  device_type: string
  kind: number
  dimensions: string
  series: number
}

interface FileRow extends Row {
  key: string
  month: Month
  device_type: string
  rows: number
  isErased: boolean
}

/** In which PostgreSQL has something; undefined: it is not cut into months. */
async function hotMonths(
  ask: Ask,
  own: readonly unknown[],
  { first, last }: { first: Month; last: Month },
): Promise<Month[] | undefined> {
  const [tables] = await ask<{ isCut: boolean; names: string[] } & Row>(TABLES, [])
  const all = tables!.names.map(monthOfTable)
  if (!tables!.isCut || all.includes(undefined)) return undefined
  const months = all.filter((month) => month !== undefined && month >= first && month <= last)
  const spans = months.map((month) => monthSpan(month!))
  const [startsUs, endsUs] = [spans.map((one) => one.startUs), spans.map((one) => one.endUs)]
  const rows = await ask<{ month: Month } & Row>(HOT, [...own, months, startsUs, endsUs])
  return rows.map(({ month }) => month)
}

const fileOf = ({ key, month, device_type: deviceType, rows }: FileRow): EngineFile => ({
  ...{ key, deviceType, rows },
  ...{ year: Math.floor(month / 12), month: (month % 12) + 1 },
})
