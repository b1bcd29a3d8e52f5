/**
 * One block of a readings file while it is read: each of its columns is decoded when it is asked
 * for.
 */
import { eachLevel, joinBytes, unpack, type Page, type PageTable } from '../parquet/parquet.ts'
import { POWERS_OF_TEN } from './decimals.ts'
import { BLOCK_ROWS, MANTISSA, MICROS, REAL, SCALE, SERIES, TIME } from './reading-columns.ts'

/** Reads one page of a column. */
export type PageReader = (column: number, page: number) => Promise<Page>

/** Room for a block; whoever reads blocks one after the other uses the same for all. */
export class BlockRoom {
  readonly series = new Int32Array(BLOCK_ROWS)
  readonly timeUs = new Float64Array(BLOCK_ROWS)
  readonly value = new Float64Array(BLOCK_ROWS)
  readonly narrow = new Int32Array(BLOCK_ROWS)
  readonly wide = new Float64Array(BLOCK_ROWS)
  #page = new Uint8Array(1 << 16)

  /** Room for a page as it lies on the disk. */
  page(bytes: number): Uint8Array {
    if (this.#page.length < bytes) this.#page = new Uint8Array(bytes * 2)
    return this.#page.subarray(0, bytes)
  }
}

export class ReadingBlock {
  readonly rows: number
  readonly #tables: readonly PageTable[]
  readonly #index: number
  readonly #room: BlockRoom
  readonly #read: PageReader
  #timesReady = 0

  constructor(parts: {
    tables: readonly PageTable[]
    index: number
    room: BlockRoom
    read: PageReader
  }) {
    this.#tables = parts.tables
    this.#index = parts.index
    this.#room = parts.room
    this.#read = parts.read
    const { firstRow } = parts.tables[SERIES]!
    this.rows = firstRow[parts.index + 1]! - firstRow[parts.index]!
  }

  /** The series of each row. */
  async series(): Promise<Int32Array> {
    const { series } = this.#room
    const { least, most } = this.#tables[SERIES]!
    if (least[this.#index] === most[this.#index]) series.fill(least[this.#index]!, 0, this.rows)
    else unpack((await this.#read(SERIES, this.#index)).values, series, this.rows)
    return series
  }

  /** µs of at least the first `count` rows. */
  async times(count: number): Promise<Float64Array> {
    const { timeUs } = this.#room
    if (count <= this.#timesReady) return timeUs
    this.#timesReady = count
    unpack((await this.#read(TIME, this.#index)).values, timeUs, count)
    for (let at = 0; at < count; at++) timeUs[at] = timeUs[at]! * 1000
    const { least, most } = this.#tables[MICROS]!
    if (least[this.#index] === 0 && most[this.#index] === 0) return timeUs
    const micros = this.#room.narrow
    unpack((await this.#read(MICROS, this.#index)).values, micros, count)
    for (let at = 0; at < count; at++) timeUs[at]! += micros[at]!
    return timeUs
  }

  /** The values of rows [from, to), at their places; others are not valid. */
  async values(from: number, to: number): Promise<Float64Array> {
    const { least, most } = this.#tables[SCALE]!
    const isOneScale = least[this.#index] === most[this.#index]
    const scale = least[this.#index]!
    if (!isOneScale || scale >= 0) await this.#addMantissas(from, to)
    if (isOneScale && scale >= 0) divide(this.#room.value, { from, to }, POWERS_OF_TEN[scale]!)
    if (!isOneScale) await this.#divideEach(from, to)
    if (scale < 0) await this.#addReals(to)
    return this.#room.value
  }

  async #addMantissas(from: number, to: number): Promise<void> {
    const { firstRow } = this.#tables[MANTISSA]!
    const start = this.#tables[SERIES]!.firstRow[this.#index]!
    for (let page = pageOf(firstRow, start + from); firstRow[page]! < start + to; page++) {
      const { levels, values, nulls, rows } = await this.#read(MANTISSA, page)
      if (nulls === rows) continue
      unpack(values, this.#room.wide, rows - nulls)
      this.#spread(levels, firstRow[page]! - start, rows - nulls)
    }
  }

  async #divideEach(from: number, to: number): Promise<void> {
    const scale = this.#room.narrow
    unpack((await this.#read(SCALE, this.#index)).values, scale, to)
    const { value } = this.#room
    for (let at = from; at < to; at++) {
      if (scale[at]! > 0) value[at] = value[at]! / POWERS_OF_TEN[scale[at]!]!
    }
  }

  async #addReals(to: number): Promise<void> {
    const { levels, values, nulls, rows } = await this.#read(REAL, this.#index)
    if (to > rows) throw new RangeError('rows are missing')
    joinBytes(values, this.#room.wide.subarray(0, rows - nulls))
    this.#spread(levels, 0, rows - nulls)
  }

  /** Puts the page's values, which are in `wide`, at their rows. */
  #spread(levels: Uint8Array, start: number, count: number): void {
    let row = start
    let taken = 0
    eachLevel(levels, (rows, isSet) => {
      if (isSet) {
        this.#room.value.set(this.#room.wide.subarray(taken, taken + rows), row)
        taken += rows
      }
      row += rows
    })
    if (taken !== count) throw new RangeError('levels and values differ')
  }
}

function divide(value: Float64Array, { from, to }: { from: number; to: number }, by: number): void {
  if (by === 1) return
  for (let at = from; at < to; at++) value[at] = value[at]! / by
}

/** The page that holds a row: the last that begins at or before it. */
function pageOf(firstRow: Float64Array, row: number): number {
  let low = 0
  let high = firstRow.length - 1
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if (firstRow[middle]! <= row) low = middle
    else high = middle
  }
  return low
}
