/** Writes sorted readings as a Parquet file, block by block, in bounded memory. */
import {
  BYTE_STREAM_SPLIT,
  ByteWriter,
  DELTA_BINARY_PACKED,
  Levels,
  packAligned,
  packExact,
  ParquetWriter,
  PLAIN,
  splitBytes,
  type PageValues,
  type Tail,
} from '../parquet/parquet.ts'
import { NO_SCALE, POWERS_OF_TEN, scaleOf } from './decimals.ts'
import {
  BLOCK_ROWS,
  MANTISSA,
  MICROS,
  READING_COLUMNS,
  REAL,
  SCALE,
  SERIES,
  TIME,
} from './reading-columns.ts'

/** About 2 MB of pages, which are held until the group is complete. */
const ROW_GROUP_ROWS = 1 << 20

/** How much work a file is worth. */
export interface Effort {
  /** zstd's level. */
  level: number
  blockRows: number
  /** A page of mantissas ends with the run of a series that brings it to so many rows. */
  pageRowsLeast: number
  pageRowsMost: number
  /** Mantissas are packed both ways, and the shorter one stays. */
  triesBoth: boolean
}

/** For commits at full speed. A block is what a question decodes of a file at least. */
export const QUICK: Effort = {
  ...{ level: 1, blockRows: BLOCK_ROWS / 2, triesBoth: false },
  ...{ pageRowsLeast: 8192, pageRowsMost: 8192 },
}
/** For merges, and for commits that nobody waits for. */
export const DENSE: Effort = {
  ...{ level: 6, blockRows: BLOCK_ROWS, triesBoth: true },
  ...{ pageRowsLeast: 1024, pageRowsMost: 4096 },
}

/** A stretch of rows of one series whose values are decimals of one scale, or none. */
interface Piece {
  from: number
  to: number
  scale: number
}

export interface WriterParts {
  effort: Effort
  /** Is done with the bytes when it resolves. */
  write: (bytes: Uint8Array, position: number) => Promise<void>
  /** Called about once a millisecond. */
  pause: () => Promise<void> | undefined
}

export interface WrittenReadings {
  bytes: number
  tail: Tail
  rows: number
  isCold: false
  minSeries: number
  maxSeries: number
  minTimeUs: number
  maxTimeUs: number
}

export class ReadingFileWriter {
  readonly #parquet: ParquetWriter
  readonly #effort: Effort
  readonly #pause: WriterParts['pause']
  // The block that is being filled.
  readonly #series = new Int32Array(BLOCK_ROWS)
  readonly #timeUs = new Float64Array(BLOCK_ROWS)
  readonly #value = new Float64Array(BLOCK_ROWS)
  #count = 0
  // Room for what pages are made of.
  readonly #wide = new Float64Array(BLOCK_ROWS)
  readonly #narrow = new Int32Array(BLOCK_ROWS)
  readonly #packed = new ByteWriter(4 * BLOCK_ROWS)
  readonly #packedOtherwise = new ByteWriter(1 << 14)
  #rows = 0
  #bounds = { minSeries: Infinity, maxSeries: -1, minTimeUs: Infinity, maxTimeUs: -Infinity }

  constructor({ effort, write, pause }: WriterParts) {
    this.#effort = effort
    this.#pause = pause
    this.#parquet = new ParquetWriter({ columns: READING_COLUMNS, level: effort.level, write })
  }

  /** How many rows fit before `writeBlock` is due. */
  get room(): number {
    return this.#effort.blockRows - this.#count
  }

  /** Takes rows [from, to), at most `room` of them, that come after all rows before. */
  add(
    rows: { series: number | Int32Array; timeUs: Float64Array; value: Float64Array },
    from: number,
    to: number,
  ): void {
    const at = this.#count
    const { series } = rows
    if (typeof series === 'number') this.#series.fill(series, at, at + to - from)
    else this.#series.set(series.subarray(from, to), at)
    this.#timeUs.set(rows.timeUs.subarray(from, to), at)
    this.#value.set(rows.value.subarray(from, to), at)
    this.#count += to - from
  }

  async writeBlock(): Promise<void> {
    const count = this.#count
    if (count === 0) return
    this.#addSeries(count)
    this.#addTimes(count)
    await this.#pause()
    const pieces = this.#cutPieces(count)
    let first = 0
    for (const [index, { to }] of pieces.entries()) {
      const isFull = to - pieces[first]!.from >= this.#effort.pageRowsLeast
      if (!isFull && to < count) continue
      this.#addMantissas(pieces.slice(first, index + 1))
      first = index + 1
      await this.#pause()
    }
    this.#addScales(pieces)
    this.#addReals(pieces)
    this.#rows += count
    this.#count = 0
    if (this.#rows % ROW_GROUP_ROWS === 0) await this.#parquet.endRowGroup()
  }

  async finish(): Promise<WrittenReadings> {
    await this.writeBlock()
    const { bytes, tail } = await this.#parquet.finish()
    return { bytes, tail, rows: this.#rows, isCold: false, ...this.#bounds }
  }

  #addSeries(count: number): void {
    const [least, most] = [this.#series[0]!, this.#series[count - 1]!]
    this.#bounds.minSeries = Math.min(this.#bounds.minSeries, least)
    this.#bounds.maxSeries = most
    this.#addIntegers(SERIES, this.#series, { count, least, most })
  }

  #addTimes(count: number): void {
    const milliseconds = this.#wide
    const micros = this.#narrow
    let { minTimeUs, maxTimeUs } = this.#bounds
    const ofTimes = { least: Infinity, most: -Infinity }
    const ofMicros = { least: 999, most: 0 }
    for (let at = 0; at < count; at++) {
      const timeUs = this.#timeUs[at]!
      if (timeUs < minTimeUs) minTimeUs = timeUs
      if (timeUs > maxTimeUs) maxTimeUs = timeUs
      const ms = Math.floor(timeUs / 1000)
      const rest = timeUs - ms * 1000
      milliseconds[at] = ms
      micros[at] = rest
      if (ms < ofTimes.least) ofTimes.least = ms
      if (ms > ofTimes.most) ofTimes.most = ms
      if (rest < ofMicros.least) ofMicros.least = rest
      if (rest > ofMicros.most) ofMicros.most = rest
    }
    this.#bounds.minTimeUs = minTimeUs
    this.#bounds.maxTimeUs = maxTimeUs
    this.#addIntegers(TIME, milliseconds, { count, ...ofTimes })
    this.#addIntegers(MICROS, micros, { count, ...ofMicros })
  }

  #addIntegers(
    column: number,
    values: Float64Array | Int32Array,
    { count, least, most }: { count: number; least: number; most: number },
  ): void {
    this.#parquet.addPage(column, {
      ...{ rows: count, nulls: 0, levels: NOTHING, least, most },
      ...this.#pack(packAligned, values, { count, into: this.#packed }),
    })
  }

  #pack(
    pack: typeof packAligned,
    values: Float64Array | Int32Array,
    { count, into }: { count: number; into: ByteWriter },
  ): PageValues {
    if (count === 0) return { encoding: PLAIN, values: NOTHING }
    into.clear()
    pack(into, values, { from: 0, to: count })
    return { encoding: DELTA_BINARY_PACKED, values: into.written() }
  }

  /** Runs of a series, cut where they are longer than a page may be. */
  #cutPieces(count: number): Piece[] {
    const pieces: Piece[] = []
    const series = this.#series
    for (let from = 0; from < count;) {
      const id = series[from]!
      const limit = Math.min(count, from + this.#effort.pageRowsMost)
      let to = from + 1
      while (to < limit && series[to] === id) to++
      pieces.push({ from, to, scale: scaleOf(this.#value, from, to) })
      from = to
    }
    return pieces
  }

  #addMantissas(pieces: readonly Piece[]): void {
    const mantissas = this.#wide
    const levels = new Levels()
    let count = 0
    for (const { from, to, scale } of pieces) {
      levels.add(to - from, scale !== NO_SCALE)
      if (scale === NO_SCALE) continue
      const power = POWERS_OF_TEN[scale]!
      for (let at = from; at < to; at++) mantissas[count++] = Math.round(this.#value[at]! * power)
    }
    const rows = pieces.at(-1)!.to - pieces[0]!.from
    const exact = { count, into: this.#packedOtherwise }
    this.#parquet.addPage(MANTISSA, {
      ...{ rows, nulls: rows - count, levels: levels.take() },
      ...this.#pack(packAligned, mantissas, { count, into: this.#packed }),
      ...(this.#effort.triesBoth ? { packed: this.#pack(packExact, mantissas, exact) } : {}),
    })
  }

  #addScales(pieces: readonly Piece[]): void {
    const bounds = { least: Infinity, most: -Infinity }
    for (const { from, to, scale } of pieces) {
      this.#narrow.fill(scale, from, to)
      if (scale < bounds.least) bounds.least = scale
      if (scale > bounds.most) bounds.most = scale
    }
    this.#addIntegers(SCALE, this.#narrow, { count: pieces.at(-1)!.to, ...bounds })
  }

  #addReals(pieces: readonly Piece[]): void {
    const levels = new Levels()
    let count = 0
    for (const { from, to, scale } of pieces) {
      levels.add(to - from, scale === NO_SCALE)
      if (scale !== NO_SCALE) continue
      this.#wide.set(this.#value.subarray(from, to), count)
      count += to - from
    }
    this.#packed.clear()
    splitBytes(this.#packed, this.#wide.subarray(0, count))
    const rows = pieces.at(-1)!.to
    this.#parquet.addPage(REAL, {
      ...{ rows, nulls: rows - count, levels: levels.take() },
      encoding: count === 0 ? PLAIN : BYTE_STREAM_SPLIT,
      values: this.#packed.written(),
    })
  }
}

const NOTHING = new Uint8Array(0)
