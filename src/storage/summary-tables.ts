/** What the catalogue has of summaries: how far there are some, and where they are old. */
import type { DatabaseSync } from 'node:sqlite'
import { WeirError } from '../errors/errors.ts'
import { isIntact, withCrc, type Row } from '../sqlite/sqlite.ts'
import type { RangesBySeries } from './late-ranges.ts'
import type { SummedUp } from './rollup-coverage.ts'

/** Format 7. */
export const SUMMARY_SCHEMA = `
CREATE TABLE summed_up (
  id INTEGER PRIMARY KEY CHECK (id = 0), from_ms INTEGER NOT NULL, to_ms INTEGER NOT NULL,
  row_crc INTEGER
) STRICT;
CREATE TABLE late_ranges (
  series INTEGER NOT NULL, start_us INTEGER NOT NULL, end_us INTEGER NOT NULL, row_crc INTEGER,
  PRIMARY KEY (series, start_us)
) STRICT, WITHOUT ROWID;
`

export class SummaryTables {
  readonly #database: DatabaseSync
  readonly #path: string
  #summedUp: SummedUp | undefined

  constructor(database: DatabaseSync, path: string) {
    this.#database = database
    this.#path = path
  }

  /** Undefined: nothing yet. */
  get summedUp(): SummedUp | undefined {
    if (this.#summedUp !== undefined) return this.#summedUp
    const [row] = this.#rows('summed_up')
    if (row === undefined) return undefined
    this.#summedUp = { fromMs: Number(row['from_ms']), toMs: Number(row['to_ms']) }
    return this.#summedUp
  }

  /** Within the caller's transaction, as what follows. */
  setSummedUp({ fromMs, toMs }: SummedUp): void {
    this.#database
      .prepare('INSERT OR REPLACE INTO summed_up VALUES (?, ?, ?, ?)')
      .run(...withCrc(0, fromMs, toMs))
    this.#summedUp = undefined
  }

  /** All of these series; without spans there is none of it any more. */
  putLate(late: RangesBySeries): void {
    const remove = this.#database.prepare('DELETE FROM late_ranges WHERE series = ?')
    const insert = this.#database.prepare('INSERT INTO late_ranges VALUES (?, ?, ?, ?)')
    for (const [series, spans] of late) {
      remove.run(series)
      for (const { startUs, endUs } of spans) insert.run(...withCrc(series, startUs, endUs))
    }
  }

  late(): RangesBySeries {
    const rows = this.#rows('late_ranges').map((row) => ({
      series: Number(row['series']),
      span: { startUs: Number(row['start_us']), endUs: Number(row['end_us']) },
    }))
    const inOrder = rows.toSorted((a, b) => a.span.startUs - b.span.startUs)
    const bySeries = Map.groupBy(inOrder, ({ series }) => series)
    return new Map([...bySeries].map(([series, own]) => [series, own.map(({ span }) => span)]))
  }

  #rows(table: string): Row[] {
    const rows = this.#database.prepare(`SELECT * FROM ${table}`).all()
    if (rows.every(isIntact)) return rows
    const problem = `a row of ${table} fails its checksum`
    throw new WeirError('DATA_FILE_DAMAGED', `${this.#path}: ${problem}`)
  }
}
