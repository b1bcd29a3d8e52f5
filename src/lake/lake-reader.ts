/**
 * Reads one series' rows of a lake file, wherever the file is: its tail says where the pages are,
 * and only those are fetched that hold the rows, neighbours in one piece.
 */
import { crc32 } from 'node:zlib'
import { WeirError } from '../errors/errors.ts'
import type { ByteRange } from '../objects/objects.ts'
import {
  DELTA_BINARY_PACKED,
  eachIndex,
  eachLevel,
  readDictionary,
  readPage,
  readTail,
  unpack,
  type Page,
  type PageTable,
  type Tail,
} from '../parquet/parquet.ts'
import { LAKE_COLUMNS, TEXT_VALUE, TIME, VALUE } from './lake-columns.ts'

/** What lies between two pieces and is not wanted costs less than one more request. */
const GAP_BYTES_MAX = 1 << 17

export interface LakeFileSource {
  /** Named in errors. */
  key: string
  tables: readonly PageTable[]
  fetch: (range: ByteRange) => Promise<Uint8Array>
}

export interface LakeRows {
  timeUs: Float64Array<ArrayBuffer>
  /** Of texts their places in `texts`. */
  value: Float64Array<ArrayBuffer>
  texts: string[]
}

/** Of a file of `bytes`. Errors: DATA_FILE_DAMAGED, and those of `fetch`. */
export async function readLakeTables(
  { key, fetch }: Omit<LakeFileSource, 'tables'>,
  { bytes, tail }: { bytes: number; tail: Tail },
): Promise<PageTable[]> {
  const from = bytes - tail.bytes
  const read = await fetch({ from, to: bytes })
  return guarded(key, () => {
    if (crc32(read) !== tail.crc) throw new RangeError('the tail fails its checksum')
    return readTail(read, from, LAKE_COLUMNS)
  })
}

/** Rows [from, to) of the file, all of one series. Errors: DATA_FILE_DAMAGED, those of `fetch`. */
export async function readLakeRows(
  source: LakeFileSource,
  { from, to, isText }: { from: number; to: number; isText: boolean },
): Promise<LakeRows> {
  const valueColumn = isText ? TEXT_VALUE : VALUE
  const wanted = [
    ...pagesOf(source, TIME, { from, to }),
    ...pagesOf(source, valueColumn, { from, to }),
  ]
  const dictionaries = isText ? dictionariesOf(source, { from, to }) : []
  const pieces = await fetchPieces(source, [...wanted, ...dictionaries])
  return guarded(source.key, () => {
    const rows = new RowsBuilder(from, to)
    for (const dictionary of dictionaries) {
      rows.addDictionary(dictionary.firstRow, readDictionary(pieces(dictionary)))
    }
    for (const place of wanted) {
      const page = readPage(pieces(place))
      if (place.column === TIME) rows.addTimes(place.firstRow, page)
      else if (isText) rows.addTexts(place.firstRow, page)
      else rows.addValues(place.firstRow, page)
    }
    return rows.take()
  })
}

interface Place {
  at: number
  bytes: number
}

interface PagePlace extends Place {
  column: number
  firstRow: number
}

function pagesOf(
  { tables }: LakeFileSource,
  column: number,
  { from, to }: { from: number; to: number },
): PagePlace[] {
  const { count, at, bytes, firstRow } = tables[column]!
  const places: PagePlace[] = []
  for (let page = 0; page < count; page++) {
    if (firstRow[page]! >= to || firstRow[page + 1]! <= from) continue
    places.push({ column, at: at[page]!, bytes: bytes[page]!, firstRow: firstRow[page]! })
  }
  return places
}

/** Each stands for the rows from its first on, up to the next one's. */
function dictionariesOf({ tables }: LakeFileSource, { from, to }: { from: number; to: number }) {
  const { dictionaries } = tables[TEXT_VALUE]!
  const first = dictionaries.findLastIndex(({ firstRow }) => firstRow <= from)
  return dictionaries.slice(Math.max(0, first)).filter(({ firstRow }) => firstRow < to)
}

/** The bytes of each place, fetched together with its neighbours. */
async function fetchPieces(
  { fetch }: LakeFileSource,
  places: readonly Place[],
): Promise<(place: Place) => Uint8Array> {
  const ranges: ByteRange[] = []
  for (const { at, bytes } of places.toSorted((a, b) => a.at - b.at)) {
    const last = ranges.at(-1)
    if (last !== undefined && at - last.to <= GAP_BYTES_MAX) last.to = at + bytes
    else ranges.push({ from: at, to: at + bytes })
  }
  const pieces = await Promise.all(ranges.map((range) => fetch(range)))
  return ({ at, bytes }) => {
    const index = ranges.findIndex(({ from, to }) => from <= at && at < to)
    const start = at - ranges[index]!.from
    return pieces[index]!.subarray(start, start + bytes)
  }
}

class RowsBuilder {
  readonly #from: number
  readonly #to: number
  readonly #rows: LakeRows
  readonly #textPlaces = new Map<string, number>()
  readonly #dictionaries: { firstRow: number; values: readonly Uint8Array[] }[] = []

  constructor(from: number, to: number) {
    this.#from = from
    this.#to = to
    const count = to - from
    this.#rows = { timeUs: new Float64Array(count), value: new Float64Array(count), texts: [] }
  }

  addDictionary(firstRow: number, values: readonly Uint8Array[]): void {
    this.#dictionaries.push({ firstRow, values })
  }

  addTimes(firstRow: number, { rows, encoding, values }: Page): void {
    let times = new Float64Array(rows)
    if (encoding === DELTA_BINARY_PACKED) unpack(values, times, rows)
    else times = Float64Array.from(new BigInt64Array(copyOf(values)), Number)
    this.#put(this.#rows.timeUs, firstRow, times)
  }

  addValues(firstRow: number, { rows, levels, values }: Page): void {
    this.#put(this.#rows.value, firstRow, spread(levels, new Float64Array(copyOf(values)), rows))
  }

  addTexts(firstRow: number, { rows, nulls, levels, values }: Page): void {
    const dictionary = this.#dictionaries.findLast((one) => one.firstRow <= firstRow)
    const found = new Float64Array(rows - nulls)
    let count = 0
    eachIndex(values, (run, index) => {
      const text = dictionary?.values[index]
      if (text === undefined) throw new RangeError('a text is not in its dictionary')
      found.fill(this.#placeOf(Buffer.from(text).toString()), count, count + run)
      count += run
    })
    if (count !== rows - nulls) throw new RangeError('texts are missing')
    this.#put(this.#rows.value, firstRow, spread(levels, found, rows))
  }

  #placeOf(text: string): number {
    const known = this.#textPlaces.get(text)
    if (known !== undefined) return known
    const place = this.#rows.texts.push(text) - 1
    this.#textPlaces.set(text, place)
    return place
  }

  /** The page's rows that are wanted. */
  #put(into: Float64Array, firstRow: number, page: Float64Array): void {
    const start = Math.max(this.#from, firstRow)
    const end = Math.min(this.#to, firstRow + page.length)
    into.set(page.subarray(start - firstRow, end - firstRow), start - this.#from)
  }

  take(): LakeRows {
    return this.#rows
  }
}

/** Aligned, as views of numbers need it. */
const copyOf = (bytes: Uint8Array): ArrayBuffer => Uint8Array.from(bytes).buffer

/** Values at the rows that have one; others are NaN. */
function spread(levels: Uint8Array, values: Float64Array, rows: number): Float64Array {
  if (values.length === rows) return values
  const all = new Float64Array(rows).fill(NaN)
  let row = 0
  let taken = 0
  eachLevel(levels, (count, isSet) => {
    if (isSet) all.set(values.subarray(taken, (taken += count)), row)
    row += count
  })
  if (row !== rows || taken !== values.length) throw new RangeError('levels and values differ')
  return all
}

export function guarded<T>(key: string, read: () => T): T {
  try {
    return read()
  } catch (cause) {
    throw new WeirError('DATA_FILE_DAMAGED', `${key}: ${String(cause)}`, { cause })
  }
}
