/**
 * What stands behind the pages: a file's page indexes and its footer, together its *tail*. They are
 * the format's own structures, so that any reader finds its pages as fast as we do.
 *
 *   ... pages | column indexes | offset indexes | footer | footer length u32 | 'PAR1'
 */
import { ByteReader, ByteWriter } from './bytes.ts'
import { i64, readStruct, writeStruct, type Fields, type Read, type ReadFields } from './thrift.ts'

export const MAGIC = new TextEncoder().encode('PAR1')
const TYPES = { boolean: 0, int32: 1, int64: 2, double: 5, string: 6 } as const
const CODEC_ZSTD = 6
const BOUNDARIES_UNORDERED = 0

export interface Column {
  name: string
  type: keyof typeof TYPES
  isOptional?: boolean
  /** int64: milliseconds or microseconds since 1970 UTC. int32: fits into 8 bits. */
  meaning?: 'time' | 'timeUs' | 'int8'
  /** Its pages' least and greatest values are noted (required integers and strings only). */
  hasBounds?: boolean
}

/** A least or greatest value; of strings their UTF-8 bytes. */
export type Bound = number | Uint8Array

/** A page of one column. Rows count from the start of the row group. */
export interface PageEntry {
  at: number
  bytes: number
  firstRow: number
  least: Bound
  most: Bound
}

export interface ChunkEntry {
  /** Of its dictionary, or of its first page when it has none. */
  at: number
  bytes: number
  dictionaryBytes: number
  /** Without compression, headers included. */
  plainBytes: number
  nulls: number
  encodings: number[]
  pages: PageEntry[]
}

export interface RowGroupEntry {
  rows: number
  chunks: ChunkEntry[]
}

const MEANINGS = {
  // ConvertedType TIMESTAMP_MILLIS, LogicalType TIMESTAMP(isAdjustedToUTC, MILLIS).
  time: { 6: 9, 10: { 8: { 1: true, 2: { 1: {} } } } },
  // ConvertedType TIMESTAMP_MICROS, LogicalType TIMESTAMP(isAdjustedToUTC, MICROS).
  timeUs: { 6: 10, 10: { 8: { 1: true, 2: { 2: {} } } } },
  // ConvertedType INT_8.
  int8: { 6: 15 },
} satisfies Record<string, Fields>

/** ConvertedType UTF8, LogicalType STRING. */
const STRING_MEANING: Fields = { 6: 0, 10: { 1: {} } }

function boundOf({ type }: Column, value: Bound): Uint8Array {
  if (typeof value !== 'number') return value
  const out = new ByteWriter(8)
  if (type === 'int32') out.u32(value)
  else out.i64(value)
  return out.written()
}

/** The whole tail of a file whose pages end at `at`. */
export function writeTail(
  at: number,
  file: { columns: readonly Column[]; groups: readonly RowGroupEntry[]; createdBy: string },
): Uint8Array {
  const out = new ByteWriter(1 << 16)
  const { columns, groups } = file
  const columnIndexes = place(out, at, groups, ({ pages }, column) =>
    columns[column]!.hasBounds === true ? columnIndex(columns[column]!, pages) : undefined,
  )
  const offsetIndexes = place(out, at, groups, ({ pages }) => ({
    1: pages.map(({ at, bytes, firstRow }) => ({ 1: i64(at), 2: bytes, 3: i64(firstRow) })),
  }))
  const footerAt = out.length
  const rows = groups.reduce((sum, group) => sum + group.rows, 0)
  writeStruct(out, {
    1: 2,
    2: [{ 4: 'readings', 5: columns.length }, ...columns.map(schemaElement)],
    3: i64(rows),
    4: groups.map((group, index) =>
      rowGroup(columns, group, {
        column: columnIndexes[index]!,
        offset: offsetIndexes[index]!,
      }),
    ),
    6: file.createdBy,
    7: columns.map(() => ({ 1: {} })),
  })
  out.u32(out.length - footerAt)
  out.bytes(MAGIC)
  return out.written()
}

type Place = { at: number; bytes: number } | undefined

/** Writes one structure for each chunk, and says where each is. */
function place(
  out: ByteWriter,
  at: number,
  groups: readonly RowGroupEntry[],
  structure: (chunk: ChunkEntry, column: number) => Fields | undefined,
): Place[][] {
  return groups.map(({ chunks }) =>
    chunks.map((chunk, column) => {
      const fields = structure(chunk, column)
      if (fields === undefined) return undefined
      const start = out.length
      writeStruct(out, fields)
      return { at: at + start, bytes: out.length - start }
    }),
  )
}

const schemaElement = (column: Column): Fields => ({
  1: TYPES[column.type],
  3: Number(column.isOptional ?? false),
  4: column.name,
  ...(column.type === 'string' ? STRING_MEANING : {}),
  ...(column.meaning === undefined ? {} : MEANINGS[column.meaning]),
})

/** Strings are ordered by their bytes. */
const isLess = (a: Bound, b: Bound): boolean =>
  typeof a === 'number' || typeof b === 'number' ? a < b : Buffer.compare(a, b) < 0

const leastOf = (pages: readonly PageEntry[]): Bound =>
  pages.map(({ least }) => least).reduce((a, b) => (isLess(b, a) ? b : a))

const mostOf = (pages: readonly PageEntry[]): Bound =>
  pages.map(({ most }) => most).reduce((a, b) => (isLess(a, b) ? b : a))

const columnIndex = (column: Column, pages: readonly PageEntry[]): Fields => ({
  1: pages.map(() => false),
  2: pages.map(({ least }) => boundOf(column, least)),
  3: pages.map(({ most }) => boundOf(column, most)),
  4: BOUNDARIES_UNORDERED,
})

function rowGroup(
  columns: readonly Column[],
  { rows, chunks }: RowGroupEntry,
  indexes: { column: Place[]; offset: Place[] },
): Fields {
  const chunkFields = chunks.map((chunk, at): Fields => {
    const { column: ofColumns, offset: ofOffsets } = indexes
    return {
      2: i64(0),
      3: chunkMetadata(columns[at]!, chunk, rows),
      ...optionalPlace(4, ofOffsets[at]),
      ...optionalPlace(6, ofColumns[at]),
    }
  })
  return {
    1: chunkFields,
    2: i64(chunks.reduce((sum, { plainBytes }) => sum + plainBytes, 0)),
    3: i64(rows),
    5: i64(chunks[0]!.at),
    6: i64(chunks.reduce((sum, { bytes }) => sum + bytes, 0)),
  }
}

const optionalPlace = (field: number, where: Place): Fields =>
  where === undefined ? {} : { [field]: i64(where.at), [field + 1]: where.bytes }

const chunkMetadata = (column: Column, chunk: ChunkEntry, rows: number): Fields => ({
  1: TYPES[column.type],
  2: chunk.encodings,
  3: [column.name],
  4: CODEC_ZSTD,
  5: i64(rows),
  6: i64(chunk.plainBytes),
  7: i64(chunk.bytes),
  9: i64(chunk.at + chunk.dictionaryBytes),
  ...(chunk.dictionaryBytes > 0 ? { 11: i64(chunk.at) } : {}),
  12: {
    3: i64(chunk.nulls),
    ...(column.hasBounds === true
      ? {
          5: boundOf(column, mostOf(chunk.pages)),
          6: boundOf(column, leastOf(chunk.pages)),
        }
      : {}),
  },
})

/** The pages of one column through the whole file; rows count from the start of the file. */
export interface PageTable {
  count: number
  at: Float64Array
  bytes: Uint32Array
  /** One more than pages: the last is the count of rows. */
  firstRow: Float64Array
  /** Empty without bounds, and of strings. */
  least: Float64Array
  most: Float64Array
  /** Of each row group that has one, in order. */
  dictionaries: { firstRow: number; at: number; bytes: number }[]
}

/** Bytes at the end of each file that say how long its footer is. */
export const ENDING_BYTES = 8

/** Of a file that ends with these. Throws RangeError when it is no Parquet file. */
export function footerBytesOf(ending: Uint8Array): number {
  if (ending.length !== ENDING_BYTES || !MAGIC.every((byte, at) => ending[at + 4] === byte)) {
    throw new RangeError('no Parquet file')
  }
  return new ByteReader(ending, 0).u32()
}

/** Who wrote the file, and where its tail starts if that is ours. Throws RangeError. */
export function describeFooter(footer: Uint8Array): { createdBy: string; tailAt: number } {
  const fields = readStruct(new ByteReader(footer, 0))
  const places = list(fields.get(4)).flatMap((group) =>
    list(group.get(1)).flatMap((chunk) => [4, 6].map((field) => chunk.get(field))),
  )
  const tailAt = places.reduce<number>(
    (least, at) => (at === undefined ? least : Math.min(least, Number(at))),
    Infinity,
  )
  return { createdBy: Buffer.from(fields.get(6) as Uint8Array).toString(), tailAt }
}

/**
 * The least and greatest value of a column of strings in each row group, as `hasBounds` notes them.
 * `footer` ends before ENDING_BYTES. Throws RangeError.
 */
export function groupBounds(
  footer: Uint8Array,
  column: number,
): { least: Uint8Array; most: Uint8Array }[] {
  const fields = readStruct(new ByteReader(footer, 0))
  return list(fields.get(4)).map((group) => {
    const metadata = list(group.get(1))[column]?.get(3) as ReadFields | undefined
    const statistics = metadata?.get(12) as ReadFields | undefined
    const [most, least] = [statistics?.get(5), statistics?.get(6)]
    if (most === undefined || least === undefined) throw new RangeError('a column has no bounds')
    return { least: least as Uint8Array, most: most as Uint8Array }
  })
}

/** Reads a tail that starts at `at` of its file. Throws RangeError when it is none of ours. */
export function readTail(tail: Uint8Array, at: number, columns: readonly Column[]): PageTable[] {
  const end = tail.length - 8
  const footerAt = end - new ByteReader(tail, end).u32()
  if (!MAGIC.every((byte, index) => tail[end + 4 + index] === byte)) {
    throw new RangeError('no Parquet file')
  }
  const footer = readStruct(new ByteReader(tail, footerAt))
  const groups = list(footer.get(4))
  const tables = columns.map(() => new PageTableBuilder())
  let rows = 0
  for (const group of groups) {
    const chunks = list(group.get(1))
    if (chunks.length !== columns.length) throw new RangeError('other columns')
    for (const [index, chunk] of chunks.entries()) {
      const table = tables[index]!
      const metadata = chunk.get(3) as ReadFields
      if (metadata.has(11)) {
        const dictionaryAt = Number(metadata.get(11))
        table.addDictionary(rows, dictionaryAt, Number(metadata.get(9)) - dictionaryAt)
      }
      const offsets = readStruct(new ByteReader(tail, Number(chunk.get(4)) - at))
      for (const page of list(offsets.get(1))) {
        table.add(Number(page.get(1)), Number(page.get(2)), rows + Number(page.get(3)))
      }
      if (chunk.has(6) && columns[index]!.type !== 'string') {
        const bounds = readStruct(new ByteReader(tail, Number(chunk.get(6)) - at))
        table.addBounds(bounds.get(2) as Uint8Array[], bounds.get(3) as Uint8Array[])
      }
    }
    rows += Number(group.get(3))
  }
  return tables.map((table) => table.take(rows))
}

const list = (value: Read | undefined): ReadFields[] => (value ?? []) as ReadFields[]

class PageTableBuilder {
  readonly #at: number[] = []
  readonly #bytes: number[] = []
  readonly #firstRow: number[] = []
  readonly #least: number[] = []
  readonly #most: number[] = []
  readonly #dictionaries: PageTable['dictionaries'] = []

  addDictionary(firstRow: number, at: number, bytes: number): void {
    this.#dictionaries.push({ firstRow, at, bytes })
  }

  add(at: number, bytes: number, firstRow: number): void {
    this.#at.push(at)
    this.#bytes.push(bytes)
    this.#firstRow.push(firstRow)
  }

  addBounds(least: readonly Uint8Array[], most: readonly Uint8Array[]): void {
    this.#least.push(...least.map(readBound))
    this.#most.push(...most.map(readBound))
  }

  take(rows: number): PageTable {
    return {
      count: this.#at.length,
      at: Float64Array.from(this.#at),
      bytes: Uint32Array.from(this.#bytes),
      firstRow: Float64Array.from([...this.#firstRow, rows]),
      least: Float64Array.from(this.#least),
      most: Float64Array.from(this.#most),
      dictionaries: this.#dictionaries,
    }
  }
}

function readBound(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  return bytes.length === 4 ? view.getInt32(0, true) : Number(view.getBigInt64(0, true))
}
