/**
 * Writes segments. DuckDB makes the Parquet file under a temporary name; it does not flush, so we
 * flush file and folder. Nothing counts before the catalogue names it.
 *
 * Format (measured, docs/decisions/0002-storage.md): Parquet version 2, zstd, row groups of 61,440.
 */
import {
  DOUBLE,
  DuckDBDataChunk,
  INTEGER,
  type DuckDBConnection,
  type DuckDBType,
} from '@duckdb/node-api'
import { PARTIAL_STRIDE } from '../stream/stream.ts'
import type { Disk } from '../world/world.ts'
import { columnItems, quote, type Duck } from './duck.ts'
import type { SortedReadings } from './recent-readings.ts'
import type { Turns } from './turns.ts'

/** DuckDB's vector size: a data chunk holds no more. */
const VECTOR_ROWS = 2048
const PARQUET = `FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION V2, ROW_GROUP_SIZE 61440`

/** Columns of a rollup segment in the order of a partial's places, with their Parquet types. */
export const ROLLUP_COLUMNS = [
  ['series', 'INTEGER'],
  ['window_ms', 'BIGINT'],
  ['start_ms', 'BIGINT'],
  ['is_late', 'TINYINT'],
  ['count', 'BIGINT'],
  ['sum', 'DOUBLE'],
  ['min', 'DOUBLE'],
  ['max', 'DOUBLE'],
  ['mean', 'DOUBLE'],
  ['squares', 'DOUBLE'],
  ['first', 'DOUBLE'],
  ['first_time', 'BIGINT'],
  ['last', 'DOUBLE'],
  ['last_time', 'BIGINT'],
] as const

type Fill = (chunk: DuckDBDataChunk, from: number, to: number) => void

export class SegmentWriter {
  readonly #folder: string
  readonly #duck: Duck
  readonly #disk: Disk
  readonly #turns: Turns

  constructor(parts: { folder: string; duck: Duck; disk: Disk; turns: Turns }) {
    this.#folder = parts.folder
    this.#duck = parts.duck
    this.#disk = parts.disk
    this.#turns = parts.turns
  }

  /** Returns the file's length in bytes, durable. */
  async writeReadings(file: string, sorted: SortedReadings): Promise<number> {
    const fill: Fill = (chunk, from, to) => {
      columnItems<Int32Array>(chunk, 0).set(sorted.series.subarray(from, to))
      columnItems<Float64Array>(chunk, 1).set(sorted.timeUs.subarray(from, to))
      columnItems<Float64Array>(chunk, 2).set(sorted.value.subarray(from, to))
    }
    await this.#duck.write(async (connection) => {
      await connection.run(
        'CREATE OR REPLACE TABLE sealed (series INTEGER, time DOUBLE, value DOUBLE)',
      )
      await this.#append(connection, { types: [INTEGER, DOUBLE, DOUBLE], rows: sorted.count, fill })
      const query = 'SELECT series, CAST(time AS BIGINT) AS time, value FROM sealed'
      await connection.run(this.#copy(query, file))
      await connection.run('DROP TABLE sealed')
    })
    return this.#publish(file)
  }

  /** `offset` is the checkpoint's: of one key the row with the highest offset counts. */
  async writePartials(
    file: string,
    rows: readonly Float64Array[],
    offset: number,
  ): Promise<number> {
    const fill: Fill = (chunk, from, to) => {
      for (let column = 0; column < PARTIAL_STRIDE; column++) {
        const items = columnItems<Float64Array>(chunk, column)
        for (let row = from; row < to; row++) items[row - from] = rows[row]![column]!
      }
    }
    const types = ROLLUP_COLUMNS.map(() => DOUBLE)
    await this.#duck.write(async (connection) => {
      const columns = ROLLUP_COLUMNS.map(([name]) => `"${name}" DOUBLE`).join()
      await connection.run(`CREATE OR REPLACE TABLE sealed (${columns})`)
      await this.#append(connection, { types, rows: rows.length, fill })
      const casts = ROLLUP_COLUMNS.map(([name, type]) => `CAST("${name}" AS ${type}) AS "${name}"`)
      const query = `SELECT ${casts.join()}, CAST(${offset} AS BIGINT) AS "offset" FROM sealed`
      await connection.run(this.#copy(query, file))
      await connection.run('DROP TABLE sealed')
    })
    return this.#publish(file)
  }

  /** Writes what a statement selects. */
  async writeQuery(file: string, query: string): Promise<{ bytes: number; rows: number }> {
    const rows = await this.#duck.write(async (connection) => {
      const result = await connection.run(this.#copy(query, file))
      return result.rowsChanged
    })
    return { bytes: await this.#publish(file), rows }
  }

  #copy(query: string, file: string): string {
    return `COPY (${query}) TO ${quote(`${this.#folder}/${file}.tmp`)} (${PARQUET})`
  }

  async #append(
    connection: DuckDBConnection,
    { types, rows, fill }: { types: DuckDBType[]; rows: number; fill: Fill },
  ): Promise<void> {
    const appender = await connection.createAppender('sealed')
    const chunk = DuckDBDataChunk.create(types, VECTOR_ROWS)
    for (let from = 0; from < rows; from += VECTOR_ROWS) {
      const to = Math.min(from + VECTOR_ROWS, rows)
      if (to - from < VECTOR_ROWS) chunk.rowCount = to - from
      fill(chunk, from, to)
      for (let column = 0; column < types.length; column++) {
        chunk.getColumnVector(column).flush()
      }
      appender.appendDataChunk(chunk)
      if (this.#turns.isDue) {
        await this.#turns.yield()
        this.#duck.throwIfAbandoned()
      }
    }
    appender.closeSync()
  }

  async #publish(file: string): Promise<number> {
    const path = `${this.#folder}/${file}`
    const handle = await this.#disk.open(`${path}.tmp`, 'write')
    const bytes = await handle.size()
    await handle.sync().finally(() => handle.close())
    await this.#disk.rename(`${path}.tmp`, path)
    await this.#disk.syncFolder(this.#folder)
    return bytes
  }
}
