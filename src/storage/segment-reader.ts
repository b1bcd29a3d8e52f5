/**
 * Reads segments: chooses those that can hold what is wanted, and streams their rows as columns.
 * Without unverified segments rows come in no order. With them DuckDB sorts by identity and file,
 * and of equal identities only the first goes on (T4): file names sort as offsets do.
 */
import type { DuckDBDataChunk } from '@duckdb/node-api'
import type { Span, Wanted } from '../query/query.ts'
import { PARTIAL_STRIDE } from '../stream/stream.ts'
import { columnItems, quote, type Duck } from './duck.ts'
import { ROLLUP_COLUMNS } from './segment-writer.ts'
import type { SegmentRows } from './segment-files.ts'
import type { Segment } from './segment-set.ts'

export class SegmentReader {
  readonly #folder: string
  readonly #duck: Duck

  constructor(folder: string, duck: Duck) {
    this.#folder = folder
    this.#duck = duck
  }

  async readReadings(
    segments: readonly Segment[],
    { wanted, isSorted }: { wanted: readonly Wanted[]; isSorted: boolean },
    consume: (rows: SegmentRows) => void,
  ): Promise<void> {
    if (segments.length === 0 || wanted.length === 0) return
    const order = isSorted ? 'ORDER BY series, time, filename' : ''
    const sql = `SELECT series, CAST(time AS DOUBLE) AS time, value
      FROM read_parquet([${this.#files(segments)}], filename = ${isSorted})
      WHERE ${condition(wanted)} ${order}`
    await this.#duck.read(sql, (chunk) => consume(toRows(chunk)))
  }

  /** Calls back for each row of one window size; `offset` says which of equal keys is newer. */
  async readPartials(
    segments: readonly Segment[],
    { series, windowMs, span }: { series: readonly number[]; windowMs: number; span: Span },
    consume: (row: Float64Array, offset: number) => void,
  ): Promise<void> {
    if (segments.length === 0 || series.length === 0) return
    const columns = ROLLUP_COLUMNS.map(([name]) => `CAST("${name}" AS DOUBLE)`)
    const sql = `SELECT ${columns.join()}, CAST("offset" AS DOUBLE)
      FROM read_parquet([${this.#files(segments)}])
      WHERE window_ms = ${windowMs} AND series IN (${series.join()})
      AND start_ms >= ${span.startUs / 1000} AND start_ms < ${span.endUs / 1000}`
    const row = new Float64Array(PARTIAL_STRIDE)
    await this.#duck.read(sql, (chunk) => {
      const items = Array.from({ length: PARTIAL_STRIDE + 1 }, (_, column) =>
        columnItems<Float64Array>(chunk, column),
      )
      for (let at = 0; at < chunk.rowCount; at++) {
        for (let column = 0; column < PARTIAL_STRIDE; column++) row[column] = items[column]![at]!
        consume(row, items[PARTIAL_STRIDE]![at]!)
      }
    })
  }

  #files(segments: readonly Segment[]): string {
    return segments.map(({ file }) => quote(`${this.#folder}/${file}`)).join()
  }
}

function toRows(chunk: DuckDBDataChunk): SegmentRows {
  return {
    count: chunk.rowCount,
    series: columnItems<Int32Array>(chunk, 0),
    timeUs: columnItems<Float64Array>(chunk, 1),
    value: columnItems<Float64Array>(chunk, 2),
  }
}

/** Bounds of series and time come first: Parquet's statistics skip row groups by them. */
function condition(wanted: readonly Wanted[]): string {
  const series = wanted.map((one) => one.series)
  const spans = wanted.flatMap((one) => one.spans)
  const start = spans.reduce((least, { startUs }) => Math.min(least, startUs), Infinity)
  const end = spans.reduce((most, { endUs }) => Math.max(most, endUs), -Infinity)
  const bounds = [
    `series >= ${Math.min(...series)} AND series <= ${Math.max(...series)}`,
    `time >= ${start} AND time < ${end}`,
  ]
  const isPlain = wanted.length === 1 && spans.length === 1
  return isPlain ? bounds.join(' AND ') : [...bounds, `(${exact(wanted)})`].join(' AND ')
}

/** Series with the same spans share one term. */
function exact(wanted: readonly Wanted[]): string {
  const bySpans = new Map<string, number[]>()
  for (const { series, spans } of wanted) {
    const times = spans.map(({ startUs, endUs }) => `(time >= ${startUs} AND time < ${endUs})`)
    const key = times.join(' OR ')
    const sharing = bySpans.get(key)
    if (sharing === undefined) bySpans.set(key, [series])
    else sharing.push(series)
  }
  return [...bySpans]
    .map(([times, series]) => `(series IN (${series.join()}) AND (${times}))`)
    .join(' OR ')
}
