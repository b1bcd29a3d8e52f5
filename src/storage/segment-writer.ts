/**
 * Writes segments. DuckDB makes the Parquet file under a temporary name; it does not flush, so we
 * flush file and folder. Nothing counts before the catalogue names it.
 *
 * Format (measured, docs/decisions/0002-storage.md): Parquet version 2, zstd, row groups of 61,440.
 */
import { DOUBLE, INTEGER, type DuckDBConnection } from '@duckdb/node-api'
import { PARTIAL_STRIDE } from '../stream/stream.ts'
import type { Clock, Disk } from '../world/world.ts'
import { ChunkSource } from './chunk-source.ts'
import { columnItems, quote, type Duck } from './duck.ts'
import { fileChecksum, type FileChecksum } from './file-checksum.ts'
import type { SortedReadings } from './recent-readings.ts'

/** Between two flushes of a segment that is being written. */
const FLUSH_INTERVAL_MS = 40
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

export class SegmentWriter {
  readonly #folder: string
  readonly #duck: Duck
  readonly #disk: Disk
  readonly #clock: Clock
  readonly #readings: ChunkSource
  readonly #partials: ChunkSource

  constructor(parts: { folder: string; duck: Duck; disk: Disk; clock: Clock }) {
    this.#folder = parts.folder
    this.#duck = parts.duck
    this.#disk = parts.disk
    this.#clock = parts.clock
    this.#readings = new ChunkSource(parts.duck, 'sealed_readings', [
      { name: 'series', type: INTEGER },
      { name: 'time', type: DOUBLE },
      { name: 'value', type: DOUBLE },
    ])
    this.#partials = new ChunkSource(
      parts.duck,
      'sealed_partials',
      ROLLUP_COLUMNS.map(([name]) => ({ name, type: DOUBLE })),
    )
  }

  /** Returns length and checksum of the file, which is durable. */
  async writeReadings(file: string, sorted: SortedReadings): Promise<FileChecksum> {
    const source = this.#readings
    await this.#duck.write(async (connection) => {
      source.give(sorted.count, (chunk, from, to) => {
        columnItems<Int32Array>(chunk, 0).set(sorted.series.subarray(from, to))
        columnItems<Float64Array>(chunk, 1).set(sorted.timeUs.subarray(from, to))
        columnItems<Float64Array>(chunk, 2).set(sorted.value.subarray(from, to))
      })
      const query = `SELECT series, CAST(time AS BIGINT) AS time, value FROM ${source.table}`
      await this.#copy(connection, query, file).finally(() => source.clear())
    })
    return this.#publish(file)
  }

  /** `offset` is the checkpoint's: of one key the row with the highest offset counts. */
  async writePartials(
    file: string,
    rows: readonly Float64Array[],
    offset: number,
  ): Promise<FileChecksum> {
    const source = this.#partials
    await this.#duck.write(async (connection) => {
      source.give(rows.length, (chunk, from, to) => {
        for (let column = 0; column < PARTIAL_STRIDE; column++) {
          const items = columnItems<Float64Array>(chunk, column)
          for (let row = from; row < to; row++) items[row - from] = rows[row]![column]!
        }
      })
      const casts = ROLLUP_COLUMNS.map(([name, type]) => `CAST("${name}" AS ${type}) AS "${name}"`)
      const query = `SELECT ${casts.join()}, CAST(${offset} AS BIGINT) AS "offset" FROM ${source.table}`
      await this.#copy(connection, query, file).finally(() => source.clear())
    })
    return this.#publish(file)
  }

  /** Writes what a statement selects. */
  async writeQuery(file: string, query: string): Promise<FileChecksum & { rows: number }> {
    const rows = await this.#duck.write(async (connection) => {
      const result = await this.#copy(connection, query, file)
      return result.rowsChanged
    })
    return { ...(await this.#publish(file)), rows }
  }

  /**
   * Copies a query's rows into the temporary file, flushing what is there every now and then, so
   * that the log's flushes, for which devices wait, have no flush of a whole segment before them.
   */
  async #copy(connection: DuckDBConnection, query: string, file: string) {
    const path = `${this.#folder}/${file}.tmp`
    let isCopying = true
    const copied = connection
      .run(`COPY (${query}) TO ${quote(path)} (${PARQUET})`)
      .finally(() => (isCopying = false))
    const flushed = (async () => {
      while (isCopying) {
        await new Promise<void>((resolve) => this.#clock.after(FLUSH_INTERVAL_MS, resolve))
        if (isCopying && (await this.#disk.exists(path))) await this.#flush(path)
      }
    })()
    try {
      const [result] = await Promise.all([copied, flushed])
      return result
    } catch (error) {
      // Half a file on a full disk takes the room that the next attempt needs.
      await this.#disk.remove(path)
      throw error
    }
  }

  async #flush(path: string): Promise<void> {
    const handle = await this.#disk.open(path, 'write')
    await handle.sync().finally(() => handle.close())
  }

  async #publish(file: string): Promise<FileChecksum> {
    const path = `${this.#folder}/${file}`
    await this.#flush(`${path}.tmp`)
    const checksum = await fileChecksum(this.#disk, `${path}.tmp`)
    await this.#disk.rename(`${path}.tmp`, path)
    await this.#disk.syncFolder(this.#folder)
    return checksum
  }
}
