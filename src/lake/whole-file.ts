/** Reads all rows of a lake file that is in memory, with the names of their series. */
import type { SeriesName } from '../batch/batch.ts'
import {
  describeFooter,
  eachIndex,
  ENDING_BYTES,
  footerBytesOf,
  readDictionary,
  readPage,
  readTail,
  type PageTable,
} from '../parquet/parquet.ts'
import { DEVICE_ID, DIMENSIONS, LAKE_COLUMNS, METRIC, TENANT, TIME } from './lake-columns.ts'
import { guarded, readLakeRows } from './lake-reader.ts'
import type { Run, SortedReadings } from './sorted-readings.ts'

const NAMES = [TENANT, DEVICE_ID, METRIC, DIMENSIONS] as const

/**
 * Series after series in the order of the file, each in the order of its times. A file does not say
 * what type of device it was (its folder does), nor which numbers were booleans: `deviceType` is
 * empty, and `kind` is text or number. Errors: DATA_FILE_DAMAGED.
 */
export async function readWholeFile(key: string, bytes: Uint8Array): Promise<SortedReadings> {
  const tables = guarded(key, () => {
    const footerAt = bytes.length - ENDING_BYTES - footerBytesOf(bytes.subarray(-ENDING_BYTES))
    const { tailAt } = describeFooter(bytes.subarray(footerAt, -ENDING_BYTES))
    return readTail(bytes.subarray(tailAt), tailAt, LAKE_COLUMNS)
  })
  const fetch = async ({ from, to }: { from: number; to: number }): Promise<Uint8Array> =>
    bytes.subarray(from, to)
  const times = tables[TIME]!
  const all = { from: 0, to: times.firstRow[times.count]! }
  const numbers = await readLakeRows({ key, tables, fetch }, { ...all, isText: false })
  const { timeUs, texts, value } = await readLakeRows(
    { key, tables, fetch },
    { ...all, isText: true },
  )
  const isText = Uint8Array.from(value, (place) => Number(!Number.isNaN(place)))
  for (const [row, number] of numbers.value.entries()) if (isText[row] === 0) value[row] = number
  const names = guarded(key, () => NAMES.map((column) => readNames(bytes, tables[column]!)))
  return { runs: runsOf({ names, isText, timeUs }), timeUs, value, texts }
}

/** Of one column, by stretches of rows. */
interface NameColumn {
  texts: string[]
  /** By row, the place in `texts`. */
  places: Uint32Array
}

function readNames(bytes: Uint8Array, table: PageTable): NameColumn {
  const texts: string[] = []
  const placeOf = new Map<string, number>()
  const places = new Uint32Array(table.firstRow[table.count]!)
  const dictionaries = table.dictionaries.map(({ at, bytes: length, firstRow }) => {
    const words = readDictionary(bytes.subarray(at, at + length))
    const numbers = words.map((word) => {
      const text = Buffer.from(word).toString()
      const known = placeOf.get(text) ?? texts.push(text) - 1
      placeOf.set(text, known)
      return known
    })
    return { firstRow, numbers }
  })
  for (let page = 0; page < table.count; page++) {
    const from = table.at[page]!
    const { values } = readPage(bytes.subarray(from, from + table.bytes[page]!))
    let row = table.firstRow[page]!
    const dictionary = dictionaries.findLast(({ firstRow }) => firstRow <= row)
    eachIndex(values, (rows, index) => {
      const place = dictionary?.numbers[index]
      if (place === undefined) throw new RangeError('a name is not in its dictionary')
      places.fill(place, row, row + rows)
      row += rows
    })
    if (row !== table.firstRow[page + 1]!) throw new RangeError('names are missing')
  }
  return { texts, places }
}

/** Where a name changes a series ends, and where times go back. */
function runsOf({
  names,
  isText,
  timeUs,
}: {
  names: readonly NameColumn[]
  isText: Uint8Array
  timeUs: Float64Array
}): Run[] {
  const isSame = (one: number, other: number): boolean =>
    isText[one] === isText[other] && names.every(({ places }) => places[one] === places[other])
  const runs: Run[] = []
  for (let from = 0; from < timeUs.length;) {
    let to = from + 1
    while (to < timeUs.length && timeUs[to]! >= timeUs[to - 1]! && isSame(from, to)) to++
    const [tenant, deviceId, metric, dimensions] = names.map(
      ({ texts, places }) => texts[places[from]!]!,
    )
    const series: SeriesName = {
      ...{ tenant: tenant!, deviceId: deviceId!, deviceType: '', metric: metric! },
      dimensions: Object.entries(JSON.parse(dimensions!) as Record<string, string>),
      kind: isText[from] === 1 ? 'text' : 'number',
    }
    runs.push({ series, from, to })
    from = to
  }
  return runs
}
