/** Which sums are worth a row, and how they get into their tables. */
import type pg from 'pg'
import type { SeriesDefinition } from '../batch/batch.ts'
import { addPartial, addReading, emptyPartial, Sketch } from '../query/query.ts'
import * as words from '../stream/stream.ts'
import type { AgesOf } from './month-rows.ts'
import type { Hours } from './rollup-tables.ts'

/** So many times smaller than its readings is what is kept. */
export const GAIN = 4
/**
 * Of a row without its sketch: 28 bytes of header and pointer, 96 of numbers, 32 in the index, and
 * what rounding takes.
 */
export const ROW_BYTES = 160
/** Of a reading in `reading` and its index: docs/decisions/0010, 9 GB of 100 million. */
const READING_BYTES = 90
/** Of a reading in the lake's files, as the benchmarks find it. */
export const LAKE_READING_BYTES = 1.8
const ROWS_AT_ONCE = 2000

/** A row of PARTIAL_* places, and a sketch of its values. */
export interface SummedRow {
  row: Float64Array
  sketch: Uint8Array | undefined
}

/** Readings, or other sums, of one window. */
export class WindowSum {
  readonly row: Float64Array
  /** Undefined: some of its values have none. */
  #sketch: Sketch | undefined = new Sketch()

  constructor(key: { series: number; windowMs: number; startMs: number }) {
    this.row = emptyPartial(key)
  }

  /** In the order of their times. */
  addReading(timeUs: number, value: number): void {
    addReading(this.row, timeUs, value)
    this.#sketch?.add(value)
  }

  add({ row, sketch }: SummedRow): void {
    addPartial(this.row, row)
    if (sketch === undefined) this.#sketch = undefined
    else this.#sketch?.addBytes(sketch)
  }

  sum(): SummedRow {
    return { row: this.row, sketch: this.#sketch?.toBytes() }
  }
}

export type FleetName = Pick<SeriesDefinition, 'tenant' | 'deviceType' | 'metric'>

/** What is kept of a sum of this fleet, or of one of its series. */
export type KeptOf = (of: FleetName, sum: SummedRow) => SummedRow | undefined

/** Beside readings that are in PostgreSQL. */
export const keptBesideRows: KeptOf = (_, sum) => worthOf(sum, READING_BYTES)

/** Those of old days lie in the lake, or are about to go there. `agesOf`: undefined without one. */
export function keptOfHistory(nowMs: number, agesOf: AgesOf | undefined): KeptOf {
  return (of, sum) => {
    const endMs = sum.row[words.PARTIAL_START_MS]! + sum.row[words.PARTIAL_WINDOW_MS]!
    const isCold = agesOf !== undefined && endMs <= nowMs - agesOf(of).warmUs / 1000
    return worthOf(sum, isCold ? LAKE_READING_BYTES : READING_BYTES)
  }
}

/** All, the row alone, or nothing. */
function worthOf({ row, sketch }: SummedRow, readingBytes: number): SummedRow | undefined {
  const room = (row[words.PARTIAL_COUNT]! * readingBytes) / GAIN - ROW_BYTES
  if (room < 0) return undefined
  return { row, sketch: sketch !== undefined && sketch.length <= room ? sketch : undefined }
}

export type RollupTable = 'hour_rollup' | 'fleet_rollup'
export const ID_COLUMN = { hour_rollup: 'series', fleet_rollup: 'fleet' } as const

const COLUMNS = {
  window_ms: [words.PARTIAL_WINDOW_MS, 'integer'],
  start_ms: [words.PARTIAL_START_MS, 'bigint'],
  count: [words.PARTIAL_COUNT, 'bigint'],
  sum: [words.PARTIAL_SUM, 'double precision'],
  min: [words.PARTIAL_MIN, 'double precision'],
  max: [words.PARTIAL_MAX, 'double precision'],
  mean: [words.PARTIAL_MEAN, 'double precision'],
  squares: [words.PARTIAL_SQUARES, 'double precision'],
  first: [words.PARTIAL_FIRST, 'double precision'],
  first_us: [words.PARTIAL_FIRST_TIME_US, 'bigint'],
  last: [words.PARTIAL_LAST, 'double precision'],
  last_us: [words.PARTIAL_LAST_TIME_US, 'bigint'],
} as const
const NAMES = Object.keys(COLUMNS)
const PLACES = Object.values(COLUMNS).map(([place]) => place)
const TYPES = Object.values(COLUMNS).map(([, type]) => type)

/** Keys that are not there. */
export async function insertRows(
  client: pg.ClientBase,
  table: RollupTable,
  rows: readonly SummedRow[],
): Promise<void> {
  const arrays = ['integer', ...TYPES, 'bytea'].map((type, at) => `$${at + 1}::${type}[]`)
  const text = `INSERT INTO ${table} (${ID_COLUMN[table]}, ${NAMES.join(', ')}, sketch)
    SELECT * FROM unnest(${arrays.join(', ')})`
  for (let at = 0; at < rows.length; at += ROWS_AT_ONCE) {
    const some = rows.slice(at, at + ROWS_AT_ONCE)
    await client.query(text, [
      some.map(({ row }) => row[words.PARTIAL_SERIES]),
      ...PLACES.map((place) => some.map(({ row }) => row[place])),
      some.map(({ sketch }) => sketch ?? null),
    ])
  }
}

/** Those of these series, or fleets, whose windows have something of the hours. */
export async function deleteRows(
  client: pg.ClientBase,
  table: RollupTable,
  {
    ids,
    fromMs,
    toMs,
    windowsMs,
  }: Hours & { ids: readonly number[]; windowsMs: readonly number[] },
): Promise<void> {
  const own = `${ID_COLUMN[table]} = ANY ($1::integer[])`
  for (const windowMs of windowsMs) {
    await client.query(
      `DELETE FROM ${table} WHERE ${own} AND window_ms = $2 AND start_ms > $3 AND start_ms < $4`,
      [ids, windowMs, fromMs - windowMs, toMs],
    )
  }
}
