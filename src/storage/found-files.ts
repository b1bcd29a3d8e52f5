/** Segments as their files alone tell them, for a catalogue that is made again: see repair.ts. */
import { crc32 } from 'node:zlib'
import { describeFooter, ENDING_BYTES, footerBytesOf, type Tail } from '../parquet/parquet.ts'
import { contains, type Span } from '../query/query.ts'
import type { Clock, Disk, DiskFile } from '../world/world.ts'
import type { KeptDefinitions } from './definition-file.ts'
import { Duck, quote } from './duck.ts'
import type { Erasure } from './erasure-tables.ts'
import { fileChecksum } from './file-checksum.ts'
import { openParquetFiles } from './parquet-files.ts'
import { HOUR_MS, type RollupCoverage, type SummedUp } from './rollup-coverage.ts'
import { readTables } from './reading-file.ts'
import { NO_COLD_FILES, type SegmentFiles } from './segment-files.ts'
import { SEGMENT_KINDS, type Segment } from './segment-set.ts'
import { STORAGE_DEFAULTS } from './storage-options.ts'
import { TailCheck } from './tail-check.ts'
import { Pace } from './turns.ts'

const NAME = /^(?<kind>[a-z]+)-(?<first>\d+)-(?<last>\d+)(-\d+)?\.parquet$/
/** Who writes readings since decision 0006; before it DuckDB did. */
const OURS = 'weir'
const EVERYTHING: Span[] = [{ startUs: -Infinity, endUs: Infinity }]

export interface FoundSegments {
  readings: Segment[]
  /** Of windows of minutes: only what they cover is taken from them. */
  rollups: Segment[]
  /** Hours and days, of series and of fleets. */
  summaries: Segment[]
  summedUp: SummedUp | undefined
  coverage: RollupCoverage[]
  /** From the first to behind the last reading of each. */
  series: Map<number, Span>
  /** Erasures of which readings are in a file still. */
  unerased: Set<string>
  /** They are put aside under another name. */
  lost: { file: string; problem: string }[]
}

type Row = (number | bigint | null)[]

export class FoundFiles {
  readonly #folder: string
  readonly #disk: Disk
  readonly #duck: Duck
  readonly #files: SegmentFiles
  readonly #found: FoundSegments = {
    ...{ readings: [], rollups: [], summaries: [], summedUp: undefined, coverage: [] },
    ...{ series: new Map(), unerased: new Set(), lost: [] },
  }

  private constructor(parts: { folder: string; disk: Disk; duck: Duck; files: SegmentFiles }) {
    this.#folder = parts.folder
    this.#disk = parts.disk
    this.#duck = parts.duck
    this.#files = parts.files
  }

  /** `folder` is the data folder. */
  static async open(
    { disk, clock }: { disk: Disk; clock: Clock },
    folder: string,
  ): Promise<FoundFiles> {
    const { threads, memoryBytes } = STORAGE_DEFAULTS
    const temporaryFolder = `${folder}/spill`
    await disk.makeFolder(temporaryFolder)
    const options = { threads, memoryBytes, concurrency: 1, temporaryFolder }
    const segments = `${folder}/segments`
    const world = { disk, clock, pace: new Pace() }
    const files = await openParquetFiles(segments, world, { options, cold: NO_COLD_FILES })
    const duck = await Duck.open(options)
    return new FoundFiles({ folder: segments, disk, duck, files })
  }

  close(): void {
    this.#files.close()
    this.#duck.close()
  }

  async find(kept: KeptDefinitions): Promise<FoundSegments> {
    for (const file of (await this.#disk.list(this.#folder)).toSorted()) {
      const { kind, first, last } = NAME.exec(file)?.groups ?? {}
      const known = SEGMENT_KINDS.find((one) => one === kind)
      if (known === undefined) continue
      const label = { kind: known, file, firstOffset: Number(first), lastOffset: Number(last) }
      try {
        if (known === 'readings') await this.#addReadings(label, kept)
        else await this.#addRollups(label)
      } catch (error) {
        await this.#putAside(file, error)
      }
    }
    return this.#found
  }

  /** What is no segment of the catalogue would be swept. */
  async #putAside(file: string, error: unknown): Promise<void> {
    const { code } = error as { code?: string }
    const isDamage = code === 'DATA_FILE_DAMAGED' || code === 'QUERY_FAILED'
    // What reads a tail relies on its checksum, which is lost: it may stumble over anything there.
    const isStumble = error instanceof RangeError || error instanceof TypeError
    if (!isDamage && !isStumble) throw error
    await this.#disk.rename(`${this.#folder}/${file}`, `${this.#folder}/${file}.damaged`)
    this.#found.lost.push({ file, problem: (error as Error).message })
  }

  async #addReadings(
    label: Pick<Segment, 'kind' | 'file' | 'firstOffset' | 'lastOffset'>,
    kept: KeptDefinitions,
  ): Promise<void> {
    const path = `${this.#folder}/${label.file}`
    const { bytes, crc } = await fileChecksum(this.#disk, path)
    const segment: Segment = {
      ...{ ...label, isCold: false, hasUnverified: true, rows: 0, bytes, crc },
      ...{ minSeries: Infinity, maxSeries: -Infinity, minTimeUs: Infinity, maxTimeUs: -Infinity },
      tail: await readTailOf(this.#disk, path, bytes),
    }
    const { tail } = segment
    const check =
      tail === undefined
        ? undefined
        : new TailCheck(await readTables(this.#disk, path, { bytes, tail }))
    const spans = new Map<number, Span>()
    const series = [...(await this.#files.seriesOf(segment))]
    const wanted = series.map((one) => ({ series: one, spans: EVERYTHING }))
    const erased = erasedBySeries(kept)
    const unerased = new Set<string>()
    await this.#files.readReadings([segment], { wanted, isSorted: false }, (rows) => {
      for (let row = 0; row < rows.count; row++) {
        const [id, timeUs] = [rows.series[row]!, rows.timeUs[row]!]
        widen(spans, id, timeUs)
        for (const { erasure, spans: gone } of erased.get(id) ?? []) {
          if (contains(gone, timeUs)) unerased.add(erasure)
        }
      }
      segment.rows += rows.count
      check?.add(rows)
    })
    check?.finish()
    for (const [id, { startUs, endUs }] of spans) {
      segment.minSeries = Math.min(segment.minSeries, id)
      segment.maxSeries = Math.max(segment.maxSeries, id)
      segment.minTimeUs = Math.min(segment.minTimeUs, startUs)
      segment.maxTimeUs = Math.max(segment.maxTimeUs, endUs - 1)
      widen(this.#found.series, id, startUs)
      widen(this.#found.series, id, endUs - 1)
    }
    for (const id of unerased) this.#found.unerased.add(id)
    if (segment.rows > 0) this.#found.readings.push(segment)
  }

  async #addRollups(
    label: Pick<Segment, 'kind' | 'file' | 'firstOffset' | 'lastOffset'>,
  ): Promise<void> {
    const path = `${this.#folder}/${label.file}`
    const { bytes, crc } = await fileChecksum(this.#disk, path)
    const from = `FROM read_parquet(${quote(path)})`
    const [bounds = []] = await this.#rows(
      `SELECT count(*), min(series), max(series), min(start_ms), max(start_ms) ${from}`,
    )
    const [rows, minSeries, maxSeries, minMs, maxMs] = bounds.map(Number)
    if (rows === undefined || rows === 0) return
    const segment: Segment = {
      ...{ ...label, isCold: false, hasUnverified: false, rows, bytes, crc, tail: undefined },
      ...{ minSeries: minSeries!, maxSeries: maxSeries! },
      ...{ minTimeUs: minMs! * 1000, maxTimeUs: maxMs! * 1000 },
    }
    const windows = await this.#rows(
      `SELECT window_ms, min(start_ms), max(start_ms) + window_ms ${from}
       WHERE is_late = 0 GROUP BY window_ms`,
    )
    const found = this.#found
    for (const [windowMs, fromMs, toMs] of windows.map((row) => row.map(Number))) {
      const covered = { windowMs: windowMs!, fromMs: fromMs!, toMs: toMs! }
      if (label.kind === 'rollup') found.coverage = joined(found.coverage, covered)
      else if (windowMs === HOUR_MS) found.summedUp = widest(found.summedUp, covered)
    }
    if (label.kind === 'rollup') found.rollups.push(segment)
    else found.summaries.push(segment)
  }

  async #rows(sql: string): Promise<Row[]> {
    const rows: Row[] = []
    await this.#duck.read(sql, (chunk) => {
      rows.push(...(chunk.getRows() as Row[]))
    })
    return rows
  }
}

function widen(spans: Map<number, Span>, series: number, timeUs: number): void {
  const known = spans.get(series)
  if (known === undefined) {
    spans.set(series, { startUs: timeUs, endUs: timeUs + 1 })
    return
  }
  if (timeUs < known.startUs) known.startUs = timeUs
  if (timeUs >= known.endUs) known.endUs = timeUs + 1
}

const widest = (known: SummedUp | undefined, { fromMs, toMs }: SummedUp): SummedUp => ({
  fromMs: Math.min(known?.fromMs ?? Infinity, fromMs),
  toMs: Math.max(known?.toMs ?? -Infinity, toMs),
})

function joined(coverage: readonly RollupCoverage[], one: RollupCoverage): RollupCoverage[] {
  const known = coverage.find(({ windowMs }) => windowMs === one.windowMs)
  const others = coverage.filter((other) => other !== known)
  return [...others, { ...widest(known, one), windowMs: one.windowMs }]
}

/** By series: what was erased of it, and by which erasure. */
function erasedBySeries({ series, erasures }: KeptDefinitions) {
  const all: Erasure[] = [...erasures.values()]
  const bySeries = new Map<number, { erasure: string; spans: Span[] }[]>()
  if (all.length === 0) return bySeries
  for (const one of series.values()) {
    const own = all.filter(
      ({ tenant, deviceIds }) => tenant === one.tenant && deviceIds.includes(one.deviceId),
    )
    if (own.length === 0) continue
    const spansOf = ({ fromUs, toUs }: Erasure): Span[] => [{ startUs: fromUs, endUs: toUs }]
    bySeries.set(
      one.series,
      own.map((erasure) => ({ erasure: erasure.id, spans: spansOf(erasure) })),
    )
  }
  return bySeries
}

/** Undefined: DuckDB wrote it, before decision 0006. Throws RangeError when it is damaged. */
async function readTailOf(disk: Disk, path: string, bytes: number): Promise<Tail | undefined> {
  const file = await disk.open(path, 'read')
  try {
    const footerBytes = footerBytesOf(await readAt(file, bytes - ENDING_BYTES, ENDING_BYTES))
    const footerAt = bytes - ENDING_BYTES - footerBytes
    if (footerAt < 0) throw new RangeError('the footer is longer than the file')
    const { createdBy, tailAt } = describeFooter(await readAt(file, footerAt, footerBytes))
    if (createdBy !== OURS) return undefined
    if (!(tailAt <= footerAt)) throw new RangeError('the page indexes are nowhere')
    const tail = await readAt(file, tailAt, bytes - tailAt)
    return { bytes: tail.length, crc: crc32(tail) }
  } finally {
    await file.close()
  }
}

async function readAt(file: DiskFile, at: number, bytes: number): Promise<Uint8Array> {
  if (at < 0) throw new RangeError('the file is too short')
  const read = new Uint8Array(bytes)
  const count = await file.read(read, at)
  if (count < bytes) throw new RangeError('the file ends too early')
  return read
}
