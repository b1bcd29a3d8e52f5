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
import type { RollupCoverage, RollupCoverages } from './rollup-coverage.ts'
import type { SegmentFiles } from './segment-files.ts'
import type { SegmentChecks } from './segment-checks.ts'
import { ANYWHERE, overlaps, segmentFile, type Segment, type SegmentSet } from './segment-set.ts'
import type { SeriesDirectory } from './series-directory.ts'
import { SummaryRows } from './summary-rows.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 86_400_000
/** Sizes of windows that summaries have. */
export const SUMMARY_WINDOWS_MS: readonly number[] = [HOUR_MS, DAY_MS]

/** Series of one file; each takes 3 KB while it is made. */
const SERIES_PER_FILE = 4096

export interface SummariserParts {
  catalogue: Catalogue
  segments: SegmentSet
  files: SegmentFiles
  checks: SegmentChecks
  directory: SeriesDirectory
  coverage: RollupCoverages
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
    const { coverage, catalogue, allowedLatenessMs } = this.#parts
    // As it was committed: what the stream has told since is of readings that are in memory still.
    const [finest] = catalogue.coverage().toSorted((a, b) => a.windowMs - b.windowMs)
    // The stream has windows of this size itself: they have its rules.
    if (finest === undefined || finest.windowMs >= HOUR_MS) return undefined
    const ours = coverage.list().find(({ windowMs }) => windowMs === DAY_MS)
    const dayMs = ours?.toMs ?? Math.ceil(finest.fromMs / DAY_MS) * DAY_MS
    return dayMs + DAY_MS + allowedLatenessMs <= finest.toMs ? dayMs : undefined
  }

  /** False when it cannot be done now. */
  async #sumUp(dayMs: number, isClosing: () => boolean): Promise<boolean> {
    const { segments, catalogue, checks, coverage, directory } = this.#parts
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
    const covered: RollupCoverage[] = SUMMARY_WINDOWS_MS.map((windowMs) => ({
      ...{ windowMs, fromMs: dayMs, toMs: dayMs + DAY_MS },
    }))
    catalogue.addSummaries(
      added,
      covered.map((one) => joined(one, coverage.list())),
    )
    for (const one of covered) coverage.extend(one)
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

function joined(one: RollupCoverage, known: readonly RollupCoverage[]): RollupCoverage {
  const before = known.find(({ windowMs }) => windowMs === one.windowMs)
  return before === undefined ? one : { ...before, toMs: one.toMs }
}
