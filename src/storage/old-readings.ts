/**
 * Readings from before decision 0006, read by DuckDB, which also wrote them: columns series, time
 * (µs) and value, sorted by series and time. A merge leaves none of them.
 */
import type { DuckDBDataChunk } from '@duckdb/node-api'
import type { Wanted } from '../query/query.ts'
import { columnItems, quote, type Duck } from './duck.ts'
import { GrowingColumns } from './growing-columns.ts'
import type { SeriesRows } from './reading-file.ts'
import type { SegmentRows } from './segment-files.ts'
import type { Segment } from './segment-set.ts'

export class OldReadings {
  readonly #folder: string
  readonly #duck: Duck

  constructor(folder: string, duck: Duck) {
    this.#folder = folder
    this.#duck = duck
  }

  /** Rows come in no order. */
  async read(
    segments: readonly Segment[],
    wanted: readonly Wanted[],
    consume: (rows: SegmentRows) => void,
  ): Promise<void> {
    const sql = `${this.#select(segments)} WHERE ${condition(wanted)}`
    await this.#duck.read(sql, (chunk) => consume(toRows(chunk)))
  }

  /** All rows of one segment in order; `consume` is waited for. */
  async readAll(segment: Segment, consume: (rows: SegmentRows) => Promise<void>): Promise<void> {
    await this.#duck.read(this.#select([segment]), (chunk) => consume(toRows(chunk)))
  }

  /** Series by series, the rows of each in order, as one stretch. */
  async *rows(segment: Segment, wanted: readonly Wanted[]): AsyncGenerator<SeriesRows> {
    for (const one of wanted) {
      const columns = new GrowingColumns()
      await this.read([segment], [one], ({ count, timeUs, value }) => {
        for (let row = 0; row < count; row++) columns.push(timeUs[row]!, value[row]!)
      })
      const { timeUs, value, count } = columns
      if (count > 0) yield { series: one.series, timeUs, value, from: 0, to: count }
    }
  }

  #select(segments: readonly Segment[]): string {
    return `SELECT series, CAST(time AS DOUBLE) AS time, value
      FROM read_parquet([${this.#files(segments)}])`
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
