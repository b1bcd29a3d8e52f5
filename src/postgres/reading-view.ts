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
 */
import { WeirError } from '../errors/errors.ts'
import {
  addSpan,
  clipSpans,
  subtractSpans,
  type ReadingRows,
  type ReadingView,
  type Span,
  type Wanted,
} from '../query/query.ts'
import type { ColdFiles } from './cold-files.ts'
import type { ColdRun } from './cold-tables.ts'
import {
  coldParts,
  mergeRows,
  readColdParts,
  stretchesOf,
  type ColdPart,
  type ReadPart,
  type SeriesRows,
} from './cold-view.ts'
import { readPartialPages } from './partial-pages.ts'
import type { Ask } from './query-database.ts'
import type { QuestionTexts } from './query-texts.ts'
import { readPages, type PageOfReadings, type Stretch } from './reading-pages.ts'

export interface ViewParts {
  ask: Ask
  /** Of the one device that the question is about. */
  deviceHash: number
  isText: (series: number) => boolean
  texts: QuestionTexts
  coverage: ReadingView['coverage']
  dirty: ReadonlyMap<number, readonly Span[]>
  /** In order and apart: nothing of it is shown, and no partial that touches it. */
  erased: (series: number) => readonly Span[]
  /** Of the device's series, what is in the lake. */
  cold: { files: ColdFiles; runs: ReadonlyMap<number, readonly ColdRun[]> }
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
    const runs = [...this.#parts.cold.runs.values()].flat()
    const files = new Set(runs.map(({ file }) => file.key))
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
    return this.#parts.coverage
  }

  dirty(series: number): readonly Span[] {
    const { dirty, erased } = this.#parts
    return erased(series).reduce<readonly Span[]>(
      (spans, span) => addSpan(spans, span, Infinity),
      dirty.get(series) ?? [],
    )
  }

  /** No reading is in memory only. */
  memoryTimes(): Float64Array {
    return new Float64Array(0)
  }

  async readings(wanted: readonly Wanted[], consume: (rows: ReadingRows) => void): Promise<void> {
    const { cold, isText, erased } = this.#parts
    const parts: ColdPart[] = []
    const stretches: Stretch[] = []
    for (const { series, spans: asked } of wanted) {
      const spans = asked.flatMap((span) => subtractSpans(span, erased(series)))
      const own = coldParts(series, spans, cold.runs.get(series) ?? [])
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
    const { ask, deviceHash, texts } = this.#parts
    return readPages(ask, { ...what, deviceHash }, (page) => {
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
    windows: { windowMs: number; span: Span },
    consume: (row: Float64Array) => void,
  ): Promise<void> {
    const count = (rows: number): void => {
      this.#count(rows)
      if (rows > 0) this.tiers.add(`rollup-${windowName(windows.windowMs)}`)
    }
    await readPartialPages(this.#parts.ask, { series, ...windows }, { count, consume })
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

const windowName = (windowMs: number): string =>
  windowMs % 60_000 === 0 ? `${windowMs / 60_000}m` : `${windowMs / 1000}s`
