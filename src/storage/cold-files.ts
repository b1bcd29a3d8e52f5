/**
 * Readings in the object store, as plain Parquet that any tool reads (the lake's files), below
 * `readings/tenant=…/type=…/year=…/month=…/`. What makes one series a request or two away is the
 * catalogue's: where in a file its rows are.
 */
import { crc32 } from 'node:zlib'
import { WeirError } from '../errors/errors.ts'
import {
  encodeLakeFile,
  readLakeRows,
  readLakeTables,
  type LakeFileSource,
  type Run,
  type SortedReadings,
} from '../lake/lake.ts'
import type { Objects } from '../objects/objects.ts'
import type { PageTable, Tail } from '../parquet/parquet.ts'
import { manifestOf, putManifest, putMissing } from './cold-manifests.ts'
import type { ColdRuns, ColdSegment } from './cold-tables.ts'
import { lowerBound, type SeriesRows } from './reading-file.ts'
import type { WhyLeftOut } from './left-out.ts'
import type { ColdWanted, WrittenFile } from './segment-files.ts'
import type { Segment } from './segment-set.ts'

/** Files that one question reads at once. */
const FILES_AT_ONCE = 8
/** Tables and places of so many files stay in memory. */
const KNOWN_FILES_MAX = 256

export interface ColdFilesParts {
  objects: Objects
  /** Of a file, by its key. */
  runs: (file: string) => ColdRuns
  textId: (text: string) => number | undefined
  isText: (series: number) => boolean
}

/** Rows of one file, of series in the order of the file. */
export interface ColdReadings extends Omit<SortedReadings, 'runs'> {
  runs: (Run & { number: number })[]
}

const WHY_LEFT_OUT: Partial<Record<string, WhyLeftOut>> = {
  OBJECT_FROZEN: 'frozen',
  OBJECT_MISSING: 'missing',
}

interface KnownFile {
  tables: PageTable[]
  places: Map<number, { from: number; to: number }>
}

export class ColdFiles {
  readonly #parts: ColdFilesParts
  /** In the order of their last use. */
  readonly #known = new Map<string, Promise<KnownFile>>()

  constructor(parts: ColdFilesParts) {
    this.#parts = parts
  }

  /** Errors: OBJECTS_UNAVAILABLE, OBJECTS_REFUSED. */
  async put(
    key: string,
    readings: ColdReadings,
    pause: () => Promise<void>,
  ): Promise<{ written: WrittenFile; runs: ColdRuns }> {
    const { runs, timeUs } = readings
    const { bytes, tail } = await encodeLakeFile(readings, runs, pause)
    await this.#parts.objects.put(key, bytes)
    const numbers = runs.map(({ number }) => number)
    const written = {
      ...{ bytes: bytes.length, tail, crc: crc32(bytes), isCold: true },
      rows: runs.reduce((sum, { from, to }) => sum + to - from, 0),
      minSeries: numbers.reduce((least, one) => Math.min(least, one)),
      maxSeries: numbers.reduce((most, one) => Math.max(most, one)),
      minTimeUs: runs.reduce((least, { from }) => Math.min(least, timeUs[from]!), Infinity),
      maxTimeUs: runs.reduce((most, { to }) => Math.max(most, timeUs[to - 1]!), -Infinity),
    }
    const rows = Int32Array.from(runs, ({ from, to }) => to - from)
    return { written, runs: { series: Int32Array.from(numbers), rows } }
  }

  async isThere(key: string): Promise<boolean> {
    return (await this.#parts.objects.head(key)) !== undefined
  }

  /** Once it is put, and before it counts. Errors: OBJECTS_UNAVAILABLE, OBJECTS_REFUSED. */
  putManifest(segment: ColdSegment, runs: ColdRuns): Promise<void> {
    return putManifest(this.#parts.objects, segment, runs)
  }

  /** See putMissing(). */
  putMissingManifests(segments: readonly ColdSegment[]): Promise<void> {
    return putMissing(this.#parts.objects, segments, this.#parts.runs)
  }

  async delete(key: string): Promise<void> {
    this.#known.delete(key)
    await this.#parts.objects.delete(key)
    await this.#parts.objects.delete(manifestOf(key))
  }

  /** Of several files; each file's rows come together, and each series of it in order. */
  async *read(segments: readonly Segment[], what: ColdWanted): AsyncGenerator<SeriesRows> {
    const under: Promise<SeriesRows[]>[] = []
    let next = 0
    try {
      while (next < segments.length || under.length > 0) {
        while (next < segments.length && under.length < FILES_AT_ONCE) {
          const collecting = this.#collect(segments[next++]!, what)
          // One that fails before its turn is told in its turn, and is nobody's until then.
          collecting.catch(() => undefined)
          under.push(collecting)
        }
        yield* await under.shift()!
      }
    } finally {
      await Promise.allSettled(under)
    }
  }

  async #collect(segment: Segment, what: ColdWanted): Promise<SeriesRows[]> {
    const rows: SeriesRows[] = []
    for await (const one of this.rows(segment, what)) rows.push(one)
    return rows
  }

  /** Of one file, each series in order. Errors: OBJECTS_UNAVAILABLE, DATA_FILE_DAMAGED. */
  async *rows(segment: Segment, { wanted, leaveOut }: ColdWanted): AsyncGenerator<SeriesRows> {
    try {
      yield* this.#rows(segment, wanted)
    } catch (error) {
      const why = WHY_LEFT_OUT[(error as WeirError).code]
      if (why === undefined) throw error
      // What is known of it may be of before it was frozen.
      this.#known.delete(segment.file)
      if (leaveOut === undefined) throw error
      leaveOut(segment, why)
    }
  }

  async *#rows(segment: Segment, wanted: ColdWanted['wanted']): AsyncGenerator<SeriesRows> {
    const known = await this.#get(segment)
    for (const { series, spans } of wanted) {
      const place = known.places.get(series)
      if (place === undefined) continue
      const { timeUs, value } = await this.#read(segment, known, { series, ...place })
      for (const { startUs, endUs } of spans) {
        const from = lowerBound(timeUs, startUs, { from: 0, to: timeUs.length })
        const to = lowerBound(timeUs, endUs, { from, to: timeUs.length })
        if (from < to) yield { series, timeUs, value, from, to }
      }
    }
  }

  async #read(
    { file }: Segment,
    { tables }: KnownFile,
    { series, from, to }: { series: number; from: number; to: number },
  ): Promise<{ timeUs: Float64Array; value: Float64Array }> {
    const isText = this.#parts.isText(series)
    const source: LakeFileSource = { key: file, tables, fetch: this.#fetcher(file) }
    const { timeUs, value, texts } = await readLakeRows(source, { from, to, isText })
    if (!isText) return { timeUs, value }
    const ids = texts.map((text) => {
      const id = this.#parts.textId(text)
      if (id === undefined) throw new WeirError('DATA_FILE_DAMAGED', `${file}: an unknown text`)
      return id
    })
    return { timeUs, value: value.map((place) => ids[place]!) }
  }

  /** In the order of the file. */
  seriesOf({ file }: Segment): Iterable<number> {
    return this.#parts.runs(file).series
  }

  #fetcher(file: string): LakeFileSource['fetch'] {
    return (range) => this.#parts.objects.get(file, range)
  }

  #get(segment: Segment): Promise<KnownFile> {
    const { file } = segment
    const known = this.#known.get(file) ?? this.#open(segment)
    this.#known.delete(file)
    this.#known.set(file, known)
    // What failed is tried again by the next question.
    known.catch(() => this.#known.delete(file))
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= KNOWN_FILES_MAX) break
      this.#known.delete(oldest)
    }
    return known
  }

  async #open({ file, bytes, tail }: Segment): Promise<KnownFile> {
    const source = { key: file, fetch: this.#fetcher(file) }
    const tables = await readLakeTables(source, { bytes, tail: tail as Tail })
    const { series, rows } = this.#parts.runs(file)
    const places = new Map<number, { from: number; to: number }>()
    let from = 0
    for (const [at, one] of series.entries()) {
      places.set(one, { from, to: from + rows[at]! })
      from += rows[at]!
    }
    return { tables, places }
  }
}
