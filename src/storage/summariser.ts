/**
 * Sums up each day when it is over: rollups of hours and of the day, of every series of numbers,
 * made of the stored readings. They are kept when windows of minutes are forgotten, and when the
 * readings have gone to the object store, so that a year's chart reads thousands of rows.
 *
 * A day is over when the stream's watermark is so far behind it that whatever comes for it now is
 * told as a dirty range: the readings answer there, whatever a summary says.
 */
import type { Clock } from '../world/world.ts'
import type { Catalogue } from './catalogue.ts'
import { DAY_MS, toldBeforeMs } from './rollup-coverage.ts'
import type { SegmentFiles } from './segment-files.ts'
import type { SegmentChecks } from './segment-checks.ts'
import { ANYWHERE, overlaps, segmentFile, type Segment, type SegmentSet } from './segment-set.ts'
import type { SeriesDirectory } from './series-directory.ts'
import { SummaryRows } from './summary-rows.ts'

/** Series of one file; each takes 3 KB while it is made. */
const SERIES_PER_FILE = 4096

export interface SummariserParts {
  catalogue: Catalogue
  segments: SegmentSet
  files: SegmentFiles
  checks: SegmentChecks
  directory: SeriesDirectory
  clock: Clock
  allowedLatenessMs: number
  /** It is tried again behind the next commit. */
  failed: (cause: unknown) => void
}

export class Summariser {
  readonly #parts: SummariserParts

  constructor(parts: SummariserParts) {
    this.#parts = parts
  }

  /** All days that are over. */
  async run(isClosing: () => boolean): Promise<void> {
    try {
      for (let day = this.#next(); day !== undefined && !isClosing(); day = this.#next()) {
        if (!(await this.#sumUp(day, isClosing))) return
      }
    } catch (cause) {
      this.#parts.failed(cause)
    }
  }

  /** The start of the next day to sum up, ms. */
  #next(): number | undefined {
    const { catalogue, allowedLatenessMs } = this.#parts
    // As it was committed: what the stream has told since is of readings that are in memory still.
    const coverage = catalogue.coverage()
    if (coverage.length === 0) return undefined
    const firstMs = coverage.reduce((least, { fromMs }) => Math.min(least, fromMs), Infinity)
    const dayMs = catalogue.daysSummedUp?.toMs ?? Math.ceil(firstMs / DAY_MS) * DAY_MS
    return dayMs + DAY_MS + allowedLatenessMs <= toldBeforeMs(coverage) ? dayMs : undefined
  }

  /** False when it cannot be done now. */
  async #sumUp(dayMs: number, isClosing: () => boolean): Promise<boolean> {
    const { segments, catalogue, checks, directory } = this.#parts
    const span = { startUs: dayMs * 1000, endUs: (dayMs + DAY_MS) * 1000 }
    const all = segments.list('readings').filter((one) => overlaps(one, { ...ANYWHERE, ...span }))
    await checks.ensure(all)
    const intact = all.filter((segment) => segments.isIntact(segment))
    const series = directory.series().filter(({ kind }) => kind === 'number')
    const added: Segment[] = []
    for (let from = 0; from < series.length; from += SERIES_PER_FILE) {
      if (isClosing()) return false
      const numbers = series.slice(from, from + SERIES_PER_FILE).map((one) => one.series)
      const segment = await this.#write(intact, numbers, dayMs)
      if (segment !== undefined) added.push(segment)
    }
    const fromMs = catalogue.daysSummedUp?.fromMs ?? dayMs
    catalogue.addSummaries(added, { fromMs, toMs: dayMs + DAY_MS })
    checks.trust(added)
    segments.replace([], added)
    return true
  }

  async #write(
    segments: readonly Segment[],
    numbers: readonly number[],
    dayMs: number,
  ): Promise<Segment | undefined> {
    const { files, catalogue, segments: set } = this.#parts
    const span = { startUs: dayMs * 1000, endUs: (dayMs + DAY_MS) * 1000 }
    const rows = new SummaryRows(dayMs)
    const wanted = numbers.map((series) => ({ series, spans: [span] }))
    await files.readReadings(segments, { wanted, isSorted: true }, (read) => rows.add(read))
    const found = rows.take()
    if (found.length === 0) return undefined
    const offset = Math.max(0, catalogue.coveredOffset)
    const file = segmentFile('summary', { first: offset, last: offset, part: set.nextPart() })
    const written = await files.writePartials(file, found, offset)
    const label = { kind: 'summary', file, firstOffset: offset, lastOffset: offset } as const
    return { ...label, hasUnverified: false, ...written }
  }
}
