/**
 * Reads a readings file. Its page tables stay in memory, so that one series is a few pages away:
 * the block is found by its bounds, and of it only the pages are read that hold the wanted rows.
 */
import { crc32 } from 'node:zlib'
import { WeirError } from '../errors/errors.ts'
import { readPage, readTail, type Page, type PageTable, type Tail } from '../parquet/parquet.ts'
import type { Span } from '../query/query.ts'
import type { Disk, DiskFile } from '../world/world.ts'
import type { FileTables, Runs } from './page-tables.ts'
import { ReadingBlock, type BlockRoom } from './reading-block.ts'
import { READING_COLUMNS, SERIES, TIME } from './reading-columns.ts'
import type { Box } from './segment-set.ts'

/** Rows [from, to) of columns, all of one series, in the order of their times. */
export interface SeriesRows {
  series: number
  timeUs: Float64Array
  value: Float64Array
  from: number
  to: number
}

/** Errors: DATA_FILE_DAMAGED. */
export async function readTables(
  disk: Disk,
  path: string,
  { bytes, tail }: { bytes: number; tail: Tail },
): Promise<PageTable[]> {
  const file = await disk.open(path, 'read')
  try {
    const at = bytes - tail.bytes
    const read = new Uint8Array(tail.bytes)
    const count = await file.read(read, at)
    if (count !== read.length || crc32(read) !== tail.crc) {
      throw damaged(path, at, 'the tail fails its checksum')
    }
    return readTail(read, at, READING_COLUMNS)
  } finally {
    await file.close()
  }
}

const damaged = (path: string, at: number, why: string, cause?: unknown): WeirError =>
  new WeirError('DATA_FILE_DAMAGED', `${path} at byte ${at}: ${why}`, { cause })

/** Bytes of the page tables of one file in memory. */
export const sizeOfTables = (tables: readonly PageTable[]): number =>
  tables.reduce((sum, { count, least }) => sum + count * 20 + least.length * 16, 0)

export class ReadingFile {
  readonly #file: DiskFile
  readonly #path: string
  readonly #tables: FileTables
  readonly #room: BlockRoom

  private constructor(parts: {
    file: DiskFile
    path: string
    tables: FileTables
    room: BlockRoom
  }) {
    this.#file = parts.file
    this.#path = parts.path
    this.#tables = parts.tables
    this.#room = parts.room
  }

  /** What is read is in `room` until the next read. */
  static async open(
    disk: Disk,
    path: string,
    parts: { tables: FileTables; room: BlockRoom },
  ): Promise<ReadingFile> {
    return new ReadingFile({ ...parts, path, file: await disk.open(path, 'read') })
  }

  close(): Promise<void> {
    return this.#file.close()
  }

  get blockCount(): number {
    return this.#tables.pages[SERIES]!.count
  }

  mayHold(block: number, { minSeries, maxSeries, ...span }: Box): boolean {
    const { least, most } = this.#tables.pages[SERIES]!
    const isNear = least[block]! <= maxSeries && minSeries <= most[block]!
    return isNear && this.#holdsTimes(block, span)
  }

  /** Each of its pages is to be used before the next is read: they share their room. */
  block(index: number): ReadingBlock {
    const read = (column: number, page: number): Promise<Page> => this.#page(column, page)
    return new ReadingBlock({ tables: this.#tables.pages, index, room: this.#room, read })
  }

  async #page(column: number, index: number): Promise<Page> {
    const { at, bytes } = this.#tables.pages[column]!
    const read = this.#room.page(bytes[index]!)
    const count = await this.#file.read(read, at[index]!)
    try {
      if (count !== read.length) throw new RangeError('the file ends too early')
      return readPage(read)
    } catch (cause) {
      throw damaged(this.#path, at[index]!, String(cause), cause)
    }
  }

  /** The rows of these series within their spans, each series in order; `wanted` is by series. */
  async *rows(
    wanted: readonly { series: number; spans: readonly Span[] }[],
  ): AsyncGenerator<SeriesRows> {
    const { least, most, count } = this.#tables.pages[SERIES]!
    let at = 0
    for (let index = 0; index < count && at < wanted.length; index++) {
      while (at < wanted.length && wanted[at]!.series < least[index]!) at++
      const inBlock = []
      for (let next = at; next < wanted.length && wanted[next]!.series <= most[index]!; next++) {
        if (wanted[next]!.spans.some((span) => this.#holdsTimes(index, span))) {
          inBlock.push(wanted[next]!)
        }
      }
      if (inBlock.length > 0) yield* this.#blockRows(index, inBlock)
    }
  }

  #holdsTimes(block: number, { startUs, endUs }: Span): boolean {
    const { least, most } = this.#tables.pages[TIME]!
    return least[block]! * 1000 < endUs && startUs < (most[block]! + 1) * 1000
  }

  /** All of a block, in order. */
  async seriesOf(index: number): Promise<Int32Array> {
    return (await this.#runs(index)).series
  }

  #runs(index: number): Promise<Runs> {
    return this.#tables.runs(index, async () => {
      const block = this.block(index)
      return (await block.series()).subarray(0, block.rows)
    })
  }

  async *#blockRows(
    index: number,
    wanted: readonly { series: number; spans: readonly Span[] }[],
  ): AsyncGenerator<SeriesRows> {
    const block = this.block(index)
    const runs = await this.#runs(index)
    const found = wanted.flatMap(({ series, spans }) => {
      const run = lowerBound(runs.series, series, { from: 0, to: runs.series.length })
      if (runs.series[run] !== series) return []
      return [{ series, spans, from: runs.from[run]!, to: runs.from[run + 1]! }]
    })
    if (found.length === 0) return
    // Columns are decoded once, up to the last row that is wanted and not beyond.
    const timeUs = await block.times(found.at(-1)!.to)
    const stretches = found.flatMap(({ series, spans, from, to }) =>
      spans.flatMap(({ startUs, endUs }) => {
        const start = lowerBound(timeUs, startUs, { from, to })
        const end = lowerBound(timeUs, endUs, { from: start, to })
        return start < end ? [{ series, from: start, to: end }] : []
      }),
    )
    if (stretches.length === 0) return
    const value = await block.values(stretches[0]!.from, stretches.at(-1)!.to)
    for (const stretch of stretches) yield { ...stretch, timeUs, value }
  }
}

/** The first row in [from, to) whose value is not below `bound`. */
export function lowerBound(
  values: Float64Array | Int32Array,
  bound: number,
  { from, to }: { from: number; to: number },
): number {
  let low = from
  let high = to
  while (low < high) {
    const middle = (low + high) >>> 1
    if (values[middle]! < bound) low = middle + 1
    else high = middle
  }
  return low
}
