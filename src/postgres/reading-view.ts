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
import type { ReadingRows, ReadingView, Span, Wanted } from '../query/query.ts'
import { readPartialPages } from './partial-pages.ts'
import type { Ask } from './query-database.ts'
import type { QuestionTexts } from './query-texts.ts'
import { readPages, type Stretch } from './reading-pages.ts'

export interface ViewParts {
  ask: Ask
  /** Of the one device that the question is about. */
  deviceHash: number
  isText: (series: number) => boolean
  texts: QuestionTexts
  coverage: ReadingView['coverage']
  dirty: ReadonlyMap<number, readonly Span[]>
  rowsMax: number
}

export class PostgresView implements ReadingView {
  readonly #parts: ViewParts
  readonly tiers = new Set<string>()
  readonly segmentsRead = 0
  readonly segmentsSkipped = 0
  readonly segmentsDamaged = 0
  readonly completeness = 1
  #rows = 0

  constructor(parts: ViewParts) {
    this.#parts = parts
  }

  get coverage(): ReadingView['coverage'] {
    return this.#parts.coverage
  }

  dirty(series: number): readonly Span[] {
    return this.#parts.dirty.get(series) ?? []
  }

  /** No reading is in memory only. */
  memoryTimes(): Float64Array {
    return new Float64Array(0)
  }

  async readings(wanted: readonly Wanted[], consume: (rows: ReadingRows) => void): Promise<void> {
    const stretches = wanted.flatMap(({ series, spans }) =>
      spans.map(({ startUs, endUs }) => ({
        series,
        startUs: Math.ceil(startUs),
        endUs: Math.ceil(endUs),
      })),
    )
    const { isText } = this.#parts
    const [texts, numbers] = [true, false].map((text) =>
      stretches.filter(({ series }) => isText(series) === text),
    )
    await this.#read({ stretches: numbers!, isText: false }, consume)
    await this.#read({ stretches: texts!, isText: true }, consume)
  }

  async #read(
    what: { stretches: Stretch[]; isText: boolean },
    consume: (rows: ReadingRows) => void,
  ): Promise<void> {
    const { ask, deviceHash, texts } = this.#parts
    await readPages(ask, { ...what, deviceHash }, (page) => {
      const count = page.timeUs.length
      this.#count(count)
      this.tiers.add('postgres')
      for (const [at, text] of page.texts?.entries() ?? []) page.value[at] = texts.idOf(text)
      const series = new Int32Array(count).fill(page.series)
      consume({ count, series, timeUs: page.timeUs, value: page.value })
    })
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

const windowName = (windowMs: number): string =>
  windowMs % 60_000 === 0 ? `${windowMs / 60_000}m` : `${windowMs / 1000}s`
