/** Encodes the rows of one file. */
import type { SeriesName } from '../batch/batch.ts'
import {
  ByteWriter,
  DELTA_BINARY_PACKED,
  IndexRuns,
  Levels,
  packAligned,
  ParquetWriter,
  PLAIN,
  RLE_DICTIONARY,
  type PageValues,
  type Tail,
} from '../parquet/parquet.ts'
import {
  DEVICE_ID,
  DIMENSIONS,
  LAKE_COLUMNS,
  METRIC,
  TENANT,
  TEXT_VALUE,
  TIME,
  VALUE,
} from './lake-columns.ts'
import { countRows, cutRows, type Run, type SortedReadings } from './sorted-readings.ts'

/** Of a few MB: what a tool reads for one device at least, if it knows no pages. */
const ROW_GROUP_ROWS = 1 << 18
const PAGE_ROWS = 1 << 15
/** Beyond it larger files are slower and hardly smaller (docs/lake.md). */
const ZSTD_LEVEL = 3
/** Deltas are computed in doubles, exactly so up to here: the years 1827 to 2112. */
const PACKED_TIME_US_MAX = 2 ** 52

const NOTHING = new Uint8Array(0)
const ABSENT: PageValues = { encoding: PLAIN, values: NOTHING }
const encoder = new TextEncoder()

/** JSON with the names in order; what other tools take apart with their own functions. */
export const dimensionsOf = ({ dimensions }: Pick<SeriesName, 'dimensions'>): string =>
  JSON.stringify(Object.fromEntries(dimensions))

const NAMES: readonly [column: number, of: (series: SeriesName) => string][] = [
  [TENANT, ({ tenant }) => tenant],
  [DEVICE_ID, ({ deviceId }) => deviceId],
  [METRIC, ({ metric }) => metric],
  [DIMENSIONS, dimensionsOf],
]

/** `pause` is called about every 10 ms. */
export async function encodeLakeFile(
  readings: Omit<SortedReadings, 'runs'>,
  runs: readonly Run[],
  pause: () => Promise<void>,
): Promise<{ bytes: Uint8Array; tail: Tail }> {
  const out = new ByteWriter(1 << 20)
  const parquet = new ParquetWriter({
    ...{ columns: LAKE_COLUMNS, level: ZSTD_LEVEL },
    write: async (bytes) => out.bytes(bytes),
  })
  const file = new LakeFile(parquet, readings)
  for (const group of cutRows(runs, ROW_GROUP_ROWS)) {
    const pages = cutRows(group, PAGE_ROWS)
    file.addNames(group, pages)
    file.addTexts(group, pages)
    for (const page of pages) {
      file.addTimes(page)
      file.addValues(page)
      await pause()
    }
    await parquet.endRowGroup()
  }
  const { tail } = await parquet.finish()
  return { bytes: out.written(), tail }
}

/** Strings in the order of their first use. */
class Dictionary {
  readonly values: Uint8Array[] = []
  readonly #indexes = new Map<string, number>()

  indexOf(text: string): number {
    let index = this.#indexes.get(text)
    if (index === undefined) {
      index = this.values.push(encoder.encode(text)) - 1
      this.#indexes.set(text, index)
    }
    return index
  }
}

class LakeFile {
  readonly #parquet: ParquetWriter
  readonly #readings: Omit<SortedReadings, 'runs'>
  readonly #room = new Float64Array(PAGE_ROWS)
  readonly #packed = new ByteWriter(4 * PAGE_ROWS)

  constructor(parquet: ParquetWriter, readings: Omit<SortedReadings, 'runs'>) {
    this.#parquet = parquet
    this.#readings = readings
  }

  addNames(group: readonly Run[], pages: readonly Run[][]): void {
    for (const [column, nameOf] of NAMES) {
      const dictionary = new Dictionary()
      for (const { series } of group) dictionary.indexOf(nameOf(series))
      this.#parquet.addDictionary(column, dictionary.values)
      for (const page of pages) {
        const indexes = new IndexRuns(dictionary.values.length)
        let least: Uint8Array | undefined
        let most: Uint8Array | undefined
        for (const { series, from, to } of page) {
          const index = dictionary.indexOf(nameOf(series))
          const value = dictionary.values[index]!
          indexes.add(to - from, index)
          if (least === undefined || Buffer.compare(value, least) < 0) least = value
          if (most === undefined || Buffer.compare(value, most) > 0) most = value
        }
        this.#parquet.addPage(column, {
          ...{ rows: countRows(page), nulls: 0, levels: NOTHING, least: least!, most: most! },
          ...{ encoding: RLE_DICTIONARY, values: indexes.take() },
        })
      }
    }
  }

  addTimes(page: readonly Run[]): void {
    const { timeUs } = this.#readings
    let rows = 0
    let [least, most] = [Infinity, -Infinity]
    for (const { from, to } of page) {
      this.#room.set(timeUs.subarray(from, to), rows)
      least = Math.min(least, timeUs[from]!)
      most = Math.max(most, timeUs[to - 1]!)
      rows += to - from
    }
    this.#packed.clear()
    const isPacked = -PACKED_TIME_US_MAX < least && most < PACKED_TIME_US_MAX
    if (isPacked) packAligned(this.#packed, this.#room, { from: 0, to: rows })
    else for (const time of this.#room.subarray(0, rows)) this.#packed.i64(time)
    this.#parquet.addPage(TIME, {
      ...{ rows, nulls: 0, levels: NOTHING, least, most, values: this.#packed.written() },
      encoding: isPacked ? DELTA_BINARY_PACKED : PLAIN,
    })
  }

  addValues(page: readonly Run[]): void {
    const levels = new Levels()
    const rows = countRows(page)
    let count = 0
    for (const { series, from, to } of page) {
      levels.add(to - from, series.kind !== 'text')
      if (series.kind === 'text') continue
      this.#room.set(this.#readings.value.subarray(from, to), count)
      count += to - from
    }
    this.#parquet.addPage(VALUE, {
      ...{ rows, nulls: rows - count, levels: levels.take(), encoding: PLAIN },
      values: new Uint8Array(this.#room.buffer, 0, count * 8),
    })
  }

  addTexts(group: readonly Run[], pages: readonly Run[][]): void {
    const { value, texts } = this.#readings
    const dictionary = new Dictionary()
    for (const { series, from, to } of group) {
      if (series.kind !== 'text') continue
      for (let row = from; row < to; row++) dictionary.indexOf(texts[value[row]!]!)
    }
    const hasAny = dictionary.values.length > 0
    if (hasAny) this.#parquet.addDictionary(TEXT_VALUE, dictionary.values)
    for (const page of pages) {
      const levels = new Levels()
      const indexes = new IndexRuns(dictionary.values.length)
      const rows = countRows(page)
      let count = 0
      for (const { series, from, to } of page) {
        levels.add(to - from, series.kind === 'text')
        if (series.kind !== 'text') continue
        count += to - from
        for (let row = from; row < to; row++)
          indexes.add(1, dictionary.indexOf(texts[value[row]!]!))
      }
      const encoded = { encoding: RLE_DICTIONARY, values: indexes.take() } as const
      this.#parquet.addPage(TEXT_VALUE, {
        ...{ rows, nulls: rows - count, levels: levels.take() },
        ...(count === 0 ? ABSENT : encoded),
      })
    }
  }
}
