/**
 * Rollups as Parquet by DuckDB, which does not flush: the file is flushed before it gets its name.
 *
 * Format (measured, docs/decisions/0002-storage.md): Parquet version 2, zstd, row groups of 61,440.
 */
import { BLOB, DOUBLE, DuckDBBlobValue, type DuckDBConnection } from '@duckdb/node-api'
import { PARTIAL_SERIES, PARTIAL_START_MS, PARTIAL_STRIDE } from '../stream/stream.ts'
import type { Clock, Disk } from '../world/world.ts'
import { ChunkSource } from './chunk-source.ts'
import { columnItems, quote, type Duck } from './duck.ts'
import {
  flushFile,
  publishSegment,
  temporaryName,
  type PartialsWanted,
  type SketchesByRow,
  type WrittenFile,
} from './segment-files.ts'
import type { Box, Segment } from './segment-set.ts'

/** Between two flushes of a segment that is being written. */
const FLUSH_INTERVAL_MS = 40
const PARQUET = `FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION V2, ROW_GROUP_SIZE 61440`

/** Columns of a rollup segment in the order of a partial's places, with their Parquet types. */
const ROLLUP_COLUMNS = [
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

/** Kinds of segments that have sketches; in files of before decision 0018 there is no column. */
const SKETCHED: readonly Segment['kind'][] = ['summary', 'fleet']

/** More are forgotten, and asked again. */
const KNOWN_FILES_MAX = 10_000

type Bounds = Omit<WrittenFile, 'bytes' | 'crc' | 'isCold' | 'tail'>

function boundsOf(rows: readonly Float64Array[]): Bounds {
  const bounds = {
    ...{ rows: rows.length, minSeries: Infinity, maxSeries: -Infinity },
    ...{ minTimeUs: Infinity, maxTimeUs: -Infinity },
  }
  for (const row of rows) {
    const [series, timeUs] = [row[PARTIAL_SERIES]!, row[PARTIAL_START_MS]! * 1000]
    bounds.minSeries = Math.min(bounds.minSeries, series)
    bounds.maxSeries = Math.max(bounds.maxSeries, series)
    bounds.minTimeUs = Math.min(bounds.minTimeUs, timeUs)
    bounds.maxTimeUs = Math.max(bounds.maxTimeUs, timeUs)
  }
  return bounds
}

/** Windows whose start lies in the box. */
function isIn({ startUs, endUs, minSeries, maxSeries, without }: Box): string {
  const conditions = [
    [`start_ms >= ${startUs / 1000}`, startUs],
    [`start_ms < ${endUs / 1000}`, endUs],
    [`series >= ${minSeries}`, minSeries],
    [`series <= ${maxSeries}`, maxSeries],
  ] as const
  const finite: string[] = conditions.flatMap(([sql, bound]) =>
    Number.isFinite(bound) ? [sql] : [],
  )
  if (without !== undefined && without.series.size > 0) {
    const { startUs: fromUs, endUs: toUs } = without.span
    finite.push(`NOT (series IN (${[...without.series].join()}) AND start_ms * 1000 < ${toUs}
      AND (start_ms + window_ms) * 1000 > ${fromUs})`)
  }
  return finite.length === 0 ? '' : ` WHERE ${finite.join(' AND ')}`
}

export class RollupFiles {
  readonly #folder: string
  readonly #duck: Duck
  readonly #disk: Disk
  readonly #clock: Clock
  readonly #plain: ChunkSource
  readonly #sketched: ChunkSource
  /** By file: whether it has a column for them. */
  readonly #hasSketches = new Map<string, boolean>()

  constructor(parts: { folder: string; duck: Duck; disk: Disk; clock: Clock }) {
    this.#folder = parts.folder
    this.#duck = parts.duck
    this.#disk = parts.disk
    this.#clock = parts.clock
    const columns = ROLLUP_COLUMNS.map(([name]) => ({ name, type: DOUBLE }))
    this.#plain = new ChunkSource(parts.duck, 'sealed_partials', columns)
    const sketched = [...columns, { name: 'sketch', type: BLOB }]
    this.#sketched = new ChunkSource(parts.duck, 'summed_up_partials', sketched)
  }

  /** See SegmentFiles.writePartials(). */
  async write(
    file: string,
    rows: readonly Float64Array[],
    { offset, sketches }: { offset: number; sketches?: SketchesByRow },
  ): Promise<WrittenFile> {
    const source = sketches === undefined ? this.#plain : this.#sketched
    await this.#duck.write(async (connection) => {
      source.give(rows.length, (chunk, from, to) => {
        for (let column = 0; column < PARTIAL_STRIDE; column++) {
          const items = columnItems<Float64Array>(chunk, column)
          for (let row = from; row < to; row++) items[row - from] = rows[row]![column]!
        }
        if (sketches === undefined) return
        const blobs = chunk.getColumnVector(PARTIAL_STRIDE)
        for (let row = from; row < to; row++) {
          const sketch = sketches.get(rows[row]!)
          blobs.setItem(row - from, sketch === undefined ? null : new DuckDBBlobValue(sketch))
        }
      })
      const casts = ROLLUP_COLUMNS.map(([name, type]) => `CAST("${name}" AS ${type}) AS "${name}"`)
      casts.push(`CAST(${offset} AS BIGINT) AS "offset"`)
      if (sketches !== undefined) casts.push('sketch')
      const query = `SELECT ${casts.join()} FROM ${source.table}`
      await this.#copy(connection, query, file).finally(() => source.clear())
    })
    return this.#publish(file, boundsOf(rows))
  }

  /** Of equal keys the highest offset stays: a later late partial replaces the earlier. */
  async merge(file: string, run: readonly Segment[], box: Box): Promise<WrittenFile | undefined> {
    const columns = [...ROLLUP_COLUMNS.map(([name]) => `"${name}"`), '"offset"']
    const hasSketches = run.some(({ kind }) => SKETCHED.includes(kind))
    if (hasSketches) columns.push('sketch')
    const sql = `SELECT DISTINCT ON (window_ms, series, start_ms, is_late) ${columns.join()}
      FROM ${await this.#from(run, hasSketches)}${isIn(box)}
      ORDER BY window_ms, series, start_ms, is_late, "offset" DESC`
    return this.#writeQuery(file, sql)
  }

  async #from(run: readonly Segment[], hasSketches: boolean): Promise<string> {
    const list = (own: readonly Segment[]): string => `read_parquet([${this.#files(own)}])`
    if (!hasSketches) return list(run)
    await this.#look(run)
    const { true: own = [], false: others = [] } = Object.groupBy(run, ({ file }) =>
      this.#hasSketches.get(file) === true ? 'true' : 'false',
    )
    if (others.length === 0) return list(own)
    const without = `SELECT *, CAST(NULL AS BLOB) AS sketch FROM ${list(others)}`
    if (own.length === 0) return `(${without})`
    return `(${without} UNION ALL BY NAME SELECT * FROM ${list(own)})`
  }

  #files(run: readonly Segment[]): string {
    return run.map(({ file }) => quote(`${this.#folder}/${file}`)).join()
  }

  /** Which of these files have sketches: asked once of those that others wrote. */
  async #look(run: readonly Segment[]): Promise<void> {
    if (this.#hasSketches.size > KNOWN_FILES_MAX) this.#hasSketches.clear()
    const unknown = run.filter(({ file }) => !this.#hasSketches.has(file))
    for (const segment of unknown) {
      const sql = `SELECT CAST(count(*) AS DOUBLE) FROM parquet_schema(${this.#files([segment])})
        WHERE name = 'sketch'`
      await this.#duck.read(sql, (chunk) => {
        this.#hasSketches.set(segment.file, columnItems<Float64Array>(chunk, 0)[0]! > 0)
      })
    }
  }

  /** Writes what a statement selects; undefined, and no file, when it is nothing. */
  async #writeQuery(file: string, query: string): Promise<WrittenFile | undefined> {
    const bounds = await this.#duck.write(async (connection) => {
      const { rowsChanged } = await this.#copy(connection, query, file)
      return rowsChanged === 0 ? undefined : this.#boundsOf(connection, file)
    })
    if (bounds !== undefined) return this.#publish(file, bounds)
    await this.#disk.remove(temporaryName(`${this.#folder}/${file}`))
    return undefined
  }

  async #boundsOf(connection: DuckDBConnection, file: string): Promise<Bounds> {
    const reader = await connection.runAndReadAll(
      `SELECT CAST(count(*) AS DOUBLE), CAST(min(series) AS DOUBLE), CAST(max(series) AS DOUBLE),
         CAST(min(start_ms) AS DOUBLE), CAST(max(start_ms) AS DOUBLE)
       FROM read_parquet(${quote(temporaryName(`${this.#folder}/${file}`))})`,
    )
    const [rows, minSeries, maxSeries, startMs, endMs] = reader.getRows()[0] as number[]
    return {
      ...{ rows: rows!, minSeries: minSeries!, maxSeries: maxSeries! },
      ...{ minTimeUs: startMs! * 1000, maxTimeUs: endMs! * 1000 },
    }
  }

  /**
   * Copies a query's rows into the temporary file, flushing what is there every now and then, so
   * that the log's flushes, for which devices wait, have no flush of a whole segment before them.
   */
  async #copy(connection: DuckDBConnection, query: string, file: string) {
    const path = temporaryName(`${this.#folder}/${file}`)
    let isCopying = true
    const copied = connection
      .run(`COPY (${query}) TO ${quote(path)} (${PARQUET})`)
      .finally(() => (isCopying = false))
    const flushed = (async () => {
      while (isCopying) {
        const waited = new Promise<void>((resolve) => this.#clock.after(FLUSH_INTERVAL_MS, resolve))
        await Promise.race([waited, copied.catch(() => undefined)])
        if (isCopying && (await this.#disk.exists(path))) await flushFile(this.#disk, path)
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

  async #publish(file: string, bounds: Bounds): Promise<WrittenFile> {
    const checksum = await publishSegment(this.#disk, this.#folder, file)
    return { ...checksum, ...bounds, isCold: false, tail: undefined }
  }

  /** Calls back for each row of one window size; `offset` says which of equal keys is newer. */
  async read(
    segments: readonly Segment[],
    { series, windowMs, span, hasSketches = false }: PartialsWanted,
    consume: (row: Float64Array, offset: number, sketch?: Uint8Array) => void,
  ): Promise<void> {
    if (segments.length === 0 || series.length === 0) return
    const columns = ROLLUP_COLUMNS.map(([name]) => `CAST("${name}" AS DOUBLE)`)
    columns.push('CAST("offset" AS DOUBLE)')
    if (hasSketches) columns.push('sketch')
    const sql = `SELECT ${columns.join()} FROM ${await this.#from(segments, hasSketches)}
      WHERE window_ms = ${windowMs} AND series IN (${series.join()})
      AND start_ms >= ${span.startUs / 1000} AND start_ms < ${span.endUs / 1000}`
    const row = new Float64Array(PARTIAL_STRIDE)
    await this.#duck.read(sql, (chunk) => {
      const items = Array.from({ length: PARTIAL_STRIDE + 1 }, (_, column) =>
        columnItems<Float64Array>(chunk, column),
      )
      const sketches = hasSketches ? chunk.getColumnVector(PARTIAL_STRIDE + 1) : undefined
      for (let at = 0; at < chunk.rowCount; at++) {
        for (let column = 0; column < PARTIAL_STRIDE; column++) row[column] = items[column]![at]!
        const sketch = sketches?.getItem(at)
        const bytes = sketch instanceof DuckDBBlobValue ? sketch.bytes : undefined
        consume(row, items[PARTIAL_STRIDE]![at]!, bytes)
      }
    })
  }
}
