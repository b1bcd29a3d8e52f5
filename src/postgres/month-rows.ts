/** What PostgreSQL has of a month: its series, and of each the rows that the lake has not. */
import type { SeriesDefinition } from '../batch/batch.ts'
import type { Span } from '../query/query.ts'
import type { ColdFiles } from './cold-files.ts'
import { loadColdRuns, type ColdRun } from './cold-tables.ts'
import { mergeRows, monthSpan, withoutRepeats } from './cold-view.ts'
import type { QueryDatabase, Row } from './query-database.ts'
import { seriesOf, type SeriesRow } from './query-source.ts'
import { readPages, type PageOfReadings } from './reading-pages.ts'
import type { Month } from './time-tables.ts'

/** Ages in µs, ascending. */
export interface ColdAges {
  /** Then readings go to the lake, */
  warmUs: number
  /** and then away. */
  coldUs: number
}

export type AgesOf = (series: { tenant: string; deviceType: string; metric: string }) => ColdAges

export interface MonthSeries {
  series: SeriesDefinition
  deviceHash: number
  rows: number
  ages: ColdAges
}

interface MonthRow extends SeriesRow, Row {
  tenant: string
  device_hash: number
  rows: number
}

export interface MonthReaderParts {
  database: QueryDatabase
  files: ColdFiles
  agesOf: AgesOf
  /** Read at once. */
  rowsMax: number
}

export class MonthReader {
  readonly #parts: MonthReaderParts

  constructor(parts: MonthReaderParts) {
    this.#parts = parts
  }

  /** Those with readings in the span, as they are to lie in files. */
  async seriesOf({ startUs, endUs }: Span): Promise<MonthSeries[]> {
    const rows = await this.#parts.database.snapshot((ask) =>
      ask<MonthRow>(
        `SELECT series.*, device_hash, rows FROM (
           SELECT series, device_hash, count(*) AS rows FROM reading
           WHERE time_us >= $1 AND time_us < $2 GROUP BY series, device_hash
         ) AS counted JOIN series ON id = counted.series
         ORDER BY tenant, device_type COLLATE "C", device_id, metric, dimensions, kind`,
        [startUs, endUs],
      ),
    )
    return rows.map((row) => {
      const series = seriesOf(row, row.tenant)
      const ages = this.#parts.agesOf(series)
      return { series, deviceHash: row.device_hash, rows: row.rows, ages }
    })
  }

  runsOf(series: readonly MonthSeries[], month: Month): Promise<ColdRun[]> {
    const ids = series.map(({ series: { series } }) => series)
    return this.#parts.database.snapshot((ask) => loadColdRuns(ask, ids, month))
  }

  /** A month in stretches of a file at most; `rows` counts also what the lake has. */
  async *rowsOf(
    { series, deviceHash, rows }: MonthSeries,
    { month, runs }: { month: Month; runs: readonly ColdRun[] },
  ): AsyncGenerator<PageOfReadings & { rows: number }> {
    const isText = series.kind === 'text'
    const own = runs.filter((run) => run.series === series.series)
    const read = await Promise.all(own.map((run) => this.#parts.files.rows(run, isText)))
    const known = mergeRows(read).timeUs
    const { startUs, endUs } = monthSpan(month)
    const stretches = Math.ceil(rows / this.#parts.rowsMax)
    const stepUs = Math.ceil((endUs - startUs) / stretches)
    for (let fromUs = startUs; fromUs < endUs; fromUs += stepUs) {
      const toUs = Math.min(endUs, fromUs + stepUs)
      const pages: PageOfReadings[] = []
      await this.#parts.database.snapshot((ask) => {
        const stretch = { series: series.series, startUs: fromUs, endUs: toUs }
        const wanted = { stretches: [stretch], hashOf: () => deviceHash, isText }
        return readPages(ask, wanted, (page) => {
          pages.push(page)
        })
      })
      for (const page of pages) yield { ...newOf(page, known), rows: page.timeUs.length }
    }
  }
}

/** What of a page is not known. */
function newOf(page: PageOfReadings, known: Float64Array): PageOfReadings {
  if (known.length === 0) return page
  // Texts stay beside their rows by their places.
  const places = Float64Array.from(page.timeUs, (_, row) => row)
  const { timeUs, value: kept } = withoutRepeats({ timeUs: page.timeUs, value: places }, known)
  const texts = page.texts && Array.from(kept, (row) => page.texts![row]!)
  return { series: page.series, timeUs, value: kept.map((row) => page.value[row]!), texts }
}
