/**
 * One question's look at the tables, and what it promises.
 *
 * Everything is as of one moment (REPEATABLE READ). The writer takes readings, windows and events
 * from topics of their own, so that moment is not the same for all three:
 *
 * - Readings are in the answer as soon as the writer has written them, each identity once.
 * - From `coverage` on, and where ranges are dirty, aggregates come from readings and are as fresh.
 * - Inside of `coverage` they come from partials. The partials of a window are all there before the
 *   watermark that closes it, so a reading that was in time is never missing. A late reading is in
 *   an aggregate once its late partial is written, or once its range is known to be dirty: until
 *   then raw readings show it and the aggregate does not. It is never counted twice, since a
 *   window is answered by partials or by readings, never by both.
 * - Hours and days that are summed up, of series and of fleets, are as of what was written: what
 *   came late says so in the transaction that wrote it, and then the readings answer.
 */
import { WeirError } from '../errors/errors.ts'
import {
  clipSpans,
  subtractSpans,
  type FleetHours,
  type ReadingRows,
  type ReadingView,
  type Span,
  type Wanted,
} from '../query/query.ts'
import type { ColdFiles } from './cold-files.ts'
import type { ColdRuns } from './cold-runs.ts'
import type { Fleets } from './fleet-hours.ts'
import {
  coldParts,
  mergeRows,
  readColdParts,
  stretchesOf,
  type ColdPart,
  type ReadPart,
  type SeriesRows,
} from './cold-view.ts'
import { readPartialPages, type PartialPages, type PartialTable } from './partial-pages.ts'
import type { Ask } from './query-database.ts'
import type { QuestionTexts } from './query-texts.ts'
import { readPages, type PageOfReadings, type Stretch } from './reading-pages.ts'
import { HOUR_MS } from './rollup-tables.ts'
import type { Telling } from './rollup-telling.ts'
import type { ErasedOf } from './tombstones.ts'

export interface ViewParts {
  ask: Ask
  /** Of the device of a series. */
  hashOf: (series: number) => number
  isText: (series: number) => boolean
  texts: QuestionTexts
  telling: Telling
  /** Of questions about many devices. */
  fleets?: Fleets | undefined
  /** In order and apart: nothing of it is shown. */
  erased: ErasedOf
  /** What is in the lake. */
  cold: { files: ColdFiles; runs: ColdRuns }
  rowsMax: number
}

export class PostgresView implements ReadingView {
  readonly #parts: ViewParts
  readonly tiers = new Set<string>()
  /** By their keys. */
  readonly #filesRead = new Set<string>()
  readonly #filesDamaged = new Set<string>()
  #rows = 0
  #coldFound = 0
  #coldLost = 0

  constructor(parts: ViewParts) {
    this.#parts = parts
  }

  get segmentsRead(): number {
    return this.#filesRead.size
  }

  /** Files that have these series, at times that nobody asked for. */
  get segmentsSkipped(): number {
    const files = this.#parts.cold.runs.files()
    return files.size - this.#filesRead.size - this.#filesDamaged.size
  }

  get segmentsDamaged(): number {
    return this.#filesDamaged.size
  }

  get completeness(): number {
    if (this.#coldLost === 0) return 1
    return this.#coldFound / (this.#coldFound + this.#coldLost)
  }

  get coverage(): ReadingView['coverage'] {
    return this.#parts.telling.coverage
  }

  sparse(windowMs: number): Span | undefined {
    return this.#parts.telling.sparse(windowMs)
  }

  dirty(series: number, windowMs: number): readonly Span[] {
    return this.#parts.telling.dirty(series, windowMs)
  }

  get fleets(): FleetHours | undefined {
    const { fleets } = this.#parts
    return fleets?.asked((pages, consume) =>
      this.#readPartials({ table: 'fleet_rollup', tier: 'fleet-1h' }, pages, consume),
    )
  }

  /** No reading is in memory only. */
  memoryTimes(): Float64Array {
    return new Float64Array(0)
  }

  async readings(wanted: readonly Wanted[], consume: (rows: ReadingRows) => void): Promise<void> {
    const { cold, isText, erased } = this.#parts
    await cold.runs.load(wanted.map(({ series }) => series))
    const parts: ColdPart[] = []
    const stretches: Stretch[] = []
    for (const { series, spans: asked } of wanted) {
      const spans = asked.flatMap((span) => subtractSpans(span, erased(series)))
      const own = coldParts(series, spans, cold.runs.of(series))
      parts.push(...own.parts)
      const hot = clipSpans({ startUs: own.fromUs, endUs: Infinity }, spans)
      stretches.push(...stretchesOf({ series, spans: hot }))
    }
    // The lake's first, which are older: of equal peaks the first stays in a downsampled answer.
    const take = (page: PageOfReadings): void => this.#emit(page.series, page, consume)
    for (const withTexts of [false, true]) {
      const isOwn = ({ series }: { series: number }): boolean => isText(series) === withTexts
      await this.#readCold(parts.filter(isOwn), consume)
      await this.#readPages({ stretches: stretches.filter(isOwn), isText: withTexts }, take)
    }
  }

  #readPages(
    what: { stretches: Stretch[]; isText: boolean },
    take: (page: PageOfReadings) => void,
  ): Promise<void> {
    const { ask, hashOf, texts } = this.#parts
    return readPages(ask, { ...what, hashOf }, (page) => {
      this.#count(page.timeUs.length)
      this.tiers.add('postgres')
      for (const [at, text] of page.texts?.entries() ?? []) page.value[at] = texts.idOf(text)
      take(page)
    })
  }

  #emit(series: number, { timeUs, value }: SeriesRows, consume: (rows: ReadingRows) => void): void {
    const count = timeUs.length
    if (count > 0) consume({ count, series: new Int32Array(count).fill(series), timeUs, value })
  }

  async #readCold(parts: readonly ColdPart[], consume: (rows: ReadingRows) => void): Promise<void> {
    if (parts.length === 0) return
    const { cold, isText, texts } = this.#parts
    const hot = await this.#hotRows(parts)
    const how = { isText, textId: (text: string): number => texts.idOf(text) }
    for await (const { part, read } of readColdParts(cold.files, parts, how)) {
      const found = read.filter((rows) => rows !== undefined)
      this.#noteFiles({ part, read })
      const merged = mergeRows([...found, ...(hot.get(part) ?? [])])
      this.#rows += merged.timeUs.length - counted(hot.get(part) ?? [])
      this.#count(0)
      this.#emit(part.series, merged, consume)
    }
  }

  /** What PostgreSQL has of these months: little, as a rule. */
  async #hotRows(parts: readonly ColdPart[]): Promise<Map<ColdPart, SeriesRows[]>> {
    const { isText } = this.#parts
    const rows = new Map<ColdPart, SeriesRows[]>(parts.map((part) => [part, []]))
    for (const withTexts of [false, true]) {
      const own = parts.filter(({ series }) => isText(series) === withTexts)
      const stretches = own.flatMap(stretchesOf)
      await this.#readPages({ stretches, isText: withTexts }, (page) => {
        const part = own.find(
          ({ series, spans }) =>
            series === page.series &&
            spans.some(({ startUs, endUs }) => {
              const timeUs = page.timeUs[0]!
              return startUs <= timeUs && timeUs < endUs
            }),
        )
        rows.get(part!)!.push({ timeUs: page.timeUs, value: page.value })
      })
    }
    return rows
  }

  #noteFiles({ part, read }: ReadPart): void {
    for (const [at, run] of part.runs.entries()) {
      if (read[at] === undefined) {
        this.#filesDamaged.add(run.file.key)
        this.#coldLost += run.rows
        continue
      }
      this.#filesRead.add(run.file.key)
      this.#coldFound += run.rows
      this.tiers.add('cold')
    }
  }

  async partials(
    series: readonly number[],
    windows: { windowMs: number; span: Span; hasSketches?: boolean },
    consume: (row: Float64Array, sketch?: Uint8Array) => void,
  ): Promise<void> {
    const { windowMs, span } = windows
    const tier = `rollup-${windowName(windowMs)}`
    const summed = this.sparse(windowMs)
    const told = summed === undefined ? [] : clipSpans(summed, [span])
    for (const one of told) {
      const pages = { ...windows, ids: series, span: one }
      await this.#readPartials({ table: 'hour_rollup', tier }, pages, consume)
    }
    for (const one of subtractSpans(span, told)) {
      const pages = { ids: series, windowMs, span: one }
      await this.#readPartials({ table: 'window_partial', tier }, pages, consume)
    }
  }

  #readPartials(
    { table, tier }: { table: PartialTable; tier: string },
    pages: PartialPages,
    consume: (row: Float64Array, sketch?: Uint8Array) => void,
  ): Promise<void> {
    const count = (rows: number): void => {
      this.#count(rows)
      if (rows > 0) this.tiers.add(tier)
    }
    return readPartialPages(this.#parts.ask, table, { pages, count, consume })
  }

  #count(rows: number): void {
    this.#rows += rows
    const { rowsMax } = this.#parts
    if (this.#rows <= rowsMax) return
    const detail = `The query looks at more than ${rowsMax} stored readings`
    throw new WeirError('QUERY_LIMIT_EXCEEDED', detail, { details: { limit: rowsMax } })
  }

  /** The snapshot is the question's, and ends with it. */
  release(): void {}
}

const counted = (all: readonly SeriesRows[]): number =>
  all.reduce((sum, { timeUs }) => sum + timeUs.length, 0)

function windowName(windowMs: number): string {
  if (windowMs === 24 * HOUR_MS) return '1d'
  if (windowMs % HOUR_MS === 0) return `${windowMs / HOUR_MS}h`
  return windowMs % 60_000 === 0 ? `${windowMs / 60_000}m` : `${windowMs / 1000}s`
}
