/**
 * Segments as plain columns over any disk: the port's meaning in few lines, without DuckDB. For
 * tests and simulation: on a simulated disk a file that was not flushed is torn by a power cut.
 *
 *   file: crc32 of the rest u32 | kind u32 | rows u32 | columns u32 | f64 rows, one after the other
 *         | of each row the length of its sketch u32, and the sketch
 */
import { crc32 } from 'node:zlib'
import { WeirError } from '../errors/errors.ts'
import { PARTIAL_IS_LATE, PARTIAL_SERIES, PARTIAL_START_MS } from '../stream/stream.ts'
import { PARTIAL_STRIDE, PARTIAL_WINDOW_MS } from '../stream/stream.ts'
import type { Disk } from '../world/world.ts'
import type { FileChecksum } from './file-checksum.ts'
import type { Wanted } from '../query/query.ts'
import {
  type ColdWanted,
  NO_COLD_FILES,
  publishSegment,
  temporaryName,
  type ColdReader,
  type SegmentFiles,
  type SketchesByRow,
} from './segment-files.ts'
import type { Box, Segment } from './segment-set.ts'

const HEADER_BYTES = 16
const OFFSET = PARTIAL_STRIDE

type Row = Float64Array
/** By the row that is read or written. */
type Sketches = Map<Row, Uint8Array>

interface Layout {
  columns: number
  /** Places of series and time, and how many µs the time's unit is. */
  series: number
  time: number
  unitUs: number
  /** Of windows: the place of their length, ms. */
  window?: number
}
type Cut = Layout & { sketches?: Sketches }

const READING: Layout = { columns: 3, series: 0, time: 1, unitUs: 1 }
/** A partial and the offset of its checkpoint. */
const PARTIAL: Layout = {
  columns: PARTIAL_STRIDE + 1,
  ...{ series: PARTIAL_SERIES, time: PARTIAL_START_MS, unitUs: 1000, window: PARTIAL_WINDOW_MS },
}

function boundsOf(rows: readonly Row[], { series, time, unitUs }: Layout) {
  const bounds = {
    ...{ minSeries: Infinity, maxSeries: -Infinity },
    ...{ minTimeUs: Infinity, maxTimeUs: -Infinity },
  }
  for (const row of rows) {
    const timeUs = row[time]! * unitUs
    bounds.minSeries = Math.min(bounds.minSeries, row[series]!)
    bounds.maxSeries = Math.max(bounds.maxSeries, row[series]!)
    bounds.minTimeUs = Math.min(bounds.minTimeUs, timeUs)
    bounds.maxTimeUs = Math.max(bounds.maxTimeUs, timeUs)
  }
  return bounds
}

function isIn(row: Row, { series, time, unitUs, window, box }: Layout & { box: Box }): boolean {
  const timeUs = row[time]! * unitUs
  if (timeUs < box.startUs || timeUs >= box.endUs) return false
  if (box.only?.has(row[series]!) === false) return false
  if (box.without?.series.has(row[series]!) === true) {
    const { startUs, endUs } = box.without.span
    const lengthUs = window === undefined ? 0 : row[window]! * 1000
    if (timeUs < endUs && startUs < Math.max(timeUs + lengthUs, timeUs + 1)) return false
  }
  return box.minSeries <= row[series]! && row[series]! <= box.maxSeries
}

const isWanted = ([series, time]: Row, wanted: readonly Wanted[]): boolean =>
  wanted.some(
    (one) =>
      one.series === series &&
      one.spans.some(({ startUs, endUs }) => startUs <= time! && time! < endUs),
  )

class PlainFiles {
  readonly #folder: string
  readonly #disk: Disk
  #isAbandoned = false

  constructor(folder: string, disk: Disk) {
    this.#folder = folder
    this.#disk = disk
  }

  abandon(): void {
    this.#isAbandoned = true
  }

  async write(
    file: string,
    rows: readonly Row[],
    { columns, sketches }: { columns: number; sketches: Sketches },
  ): Promise<FileChecksum> {
    if (this.#isAbandoned) throw new WeirError('GATEWAY_SHUTTING_DOWN')
    const ends = rows.map((row) => sketches.get(row) ?? new Uint8Array())
    const length = ends.reduce((sum, one) => sum + 4 + one.length, rows.length * columns * 8)
    const bytes = new Uint8Array(HEADER_BYTES + length)
    const header = new DataView(bytes.buffer)
    header.setUint32(8, rows.length, true)
    header.setUint32(12, columns, true)
    const cells = new Float64Array(bytes.buffer, HEADER_BYTES, rows.length * columns)
    for (const [at, row] of rows.entries()) cells.set(row, at * columns)
    let at = HEADER_BYTES + cells.byteLength
    for (const one of ends) {
      header.setUint32(at, one.length, true)
      bytes.set(one, at + 4)
      at += 4 + one.length
    }
    header.setUint32(0, crc32(bytes.subarray(4)), true)
    const path = temporaryName(`${this.#folder}/${file}`)
    const handle = await this.#disk.open(path, 'create')
    await handle.truncate(0)
    await handle.write(bytes, 0).finally(() => handle.close())
    return publishSegment(this.#disk, this.#folder, file)
  }

  /** Errors: DATA_FILE_DAMAGED. */
  async read(file: string, sketches: Sketches = new Map()): Promise<Row[]> {
    const handle = await this.#disk.open(`${this.#folder}/${file}`, 'read')
    const bytes = new Uint8Array(await handle.size())
    await handle.read(bytes, 0).finally(() => handle.close())
    const header = new DataView(bytes.buffer)
    if (bytes.length < HEADER_BYTES || header.getUint32(0, true) !== crc32(bytes.subarray(4)))
      throw new WeirError('DATA_FILE_DAMAGED', `${file} fails its checksum`)
    const columns = header.getUint32(12, true)
    const count = header.getUint32(8, true)
    const cells = new Float64Array(bytes.buffer, HEADER_BYTES, count * columns)
    let at = HEADER_BYTES + cells.byteLength
    return Array.from({ length: count }, (_, index) => {
      const row = cells.subarray(index * columns, (index + 1) * columns)
      const length = header.getUint32(at, true)
      if (length > 0) sketches.set(row, bytes.slice(at + 4, at + 4 + length))
      at += 4 + length
      return row
    })
  }

  /** In the order of the files. */
  async readAll(segments: readonly Segment[], sketches: Sketches = new Map()): Promise<Row[]> {
    const rows: Row[] = []
    for (const { file } of segments) rows.push(...(await this.read(file, sketches)))
    return rows
  }
}

async function coldRows(cold: ColdReader, segment: Segment, what: ColdWanted): Promise<Row[]> {
  const rows: Row[] = []
  for await (const { series, timeUs, value, from, to } of cold.rows(segment, what)) {
    for (let row = from; row < to; row++) {
      rows.push(Float64Array.of(series, timeUs[row]!, value[row]!))
    }
  }
  return rows
}

const byIdentity = (a: Row, b: Row): number => a[0]! - b[0]! || a[1]! - b[1]!

const KEY = [PARTIAL_WINDOW_MS, PARTIAL_SERIES, PARTIAL_START_MS, PARTIAL_IS_LATE] as const
const byKey = (a: Row, b: Row): number =>
  KEY.reduce<number>((difference, column) => difference || a[column]! - b[column]!, 0)

/** As rows of a file, and what is to be known of them. */
function withOffset(
  rows: readonly Row[],
  { offset, sketches }: { offset: number; sketches?: SketchesByRow },
): [Row[], Cut] {
  const own: Sketches = new Map()
  const stored = rows.map((row) => {
    const copy = Float64Array.of(...row, offset)
    const sketch = sketches?.get(row)
    if (sketch !== undefined) own.set(copy, sketch)
    return copy
  })
  return [stored, { ...PARTIAL, sketches: own }]
}

export function createPlainFiles(
  folder: string,
  disk: Disk,
  cold: ColdReader = NO_COLD_FILES,
): SegmentFiles {
  const files = new PlainFiles(folder, disk)
  const written = async (file: string, rows: Row[], { sketches = new Map(), ...layout }: Cut) => ({
    ...(await files.write(file, rows, { columns: layout.columns, sketches })),
    ...{ rows: rows.length, isCold: false, tail: undefined },
    ...boundsOf(rows, layout),
  })
  const merged = async (file: string, rows: Row[], layout: Cut & { box: Box }) => {
    const kept = rows.filter((row) => isIn(row, layout))
    return kept.length === 0 ? undefined : written(file, kept, layout)
  }
  return {
    writeReadings(file, { count, series, timeUs, value }) {
      const rows = Array.from({ length: count }, (_, row) =>
        Float64Array.of(series[row]!, timeUs[row]!, value[row]!),
      )
      return written(file, rows, READING)
    },
    writePartials(file, rows, also) {
      return written(file, ...withOffset(rows, also))
    },
    async mergeReadings(file, run, box) {
      // The sort is stable, so the first of equal identities is of the lowest offset.
      const rows = (await files.readAll(run)).toSorted(byIdentity)
      const kept = rows.filter((row, at) => at === 0 || byIdentity(row, rows[at - 1]!) !== 0)
      return merged(file, kept, { ...READING, box })
    },
    async mergeRollups(file, run, box) {
      const sketches: Sketches = new Map()
      const rows = await files.readAll(run, sketches)
      rows.sort((a, b) => byKey(a, b) || b[OFFSET]! - a[OFFSET]!)
      const kept = rows.filter((row, at) => at === 0 || byKey(row, rows[at - 1]!) !== 0)
      return merged(file, kept, { ...PARTIAL, box, sketches })
    },
    async readReadings(segments, what, consume) {
      const { wanted } = what
      if (segments.length === 0 || wanted.length === 0) return
      const found: Row[] = []
      for (const segment of segments) {
        if (segment.isCold) found.push(...(await coldRows(cold, segment, what)))
        else found.push(...(await files.read(segment.file)).filter((row) => isWanted(row, wanted)))
      }
      const rows = found.toSorted(byIdentity)
      consume({
        count: rows.length,
        series: Int32Array.from(rows, ([series]) => series!),
        timeUs: Float64Array.from(rows, ([, time]) => time!),
        value: Float64Array.from(rows, ([, , value]) => value!),
      })
    },
    async seriesOf({ file }) {
      return new Set((await files.read(file)).map(([series]) => series!))
    },
    async readPartials(segments, { series, windowMs, span, hasSketches = false }, consume) {
      const sketches: Sketches = new Map()
      for (const row of await files.readAll(segments, sketches)) {
        const startUs = row[PARTIAL_START_MS]! * 1000
        if (row[PARTIAL_WINDOW_MS] !== windowMs || !series.includes(row[PARTIAL_SERIES]!)) continue
        if (startUs < span.startUs || startUs >= span.endUs) continue
        const sketch = hasSketches ? sketches.get(row) : undefined
        consume(row.subarray(0, PARTIAL_STRIDE), row[OFFSET]!, sketch)
      }
    },
    abandon: () => files.abandon(),
    close: () => undefined,
  }
}
