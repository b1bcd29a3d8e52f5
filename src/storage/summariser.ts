/**
 * Sums up each hour when it is over: of every series of numbers, and of all of one tenant, device
 * type and metric together (a fleet), made of the stored readings; and each day of its hours. They
 * are kept when windows of minutes are forgotten, and when the readings have gone to the object
 * store, so that a year's chart, or one of a whole fleet, reads thousands of rows.
 *
 * An hour is over when the stream's watermark is so far behind it that whatever comes for it now is
 * told as a late range: there the readings answer, until it is summed up again.
 */
import type { Span } from '../query/query.ts'
import type { Clock } from '../world/world.ts'
import type { Catalogue } from './catalogue.ts'
import type { LateRanges } from './late-ranges.ts'
import { NewestPartials } from './newest-partials.ts'
import { DAY_MS, HOUR_MS, toldBeforeMs, type SummedUp } from './rollup-coverage.ts'
import type { SegmentFiles } from './segment-files.ts'
import type { SegmentChecks } from './segment-checks.ts'
import { ANYWHERE, overlaps, segmentFile, type Segment, type SegmentSet } from './segment-set.ts'
import type { SeriesDirectory } from './series-directory.ts'
import { HourRows, PartialSums } from './summary-rows.ts'

/** Series of one file; each takes up to 6 KB while it is made. */
const SERIES_PER_FILE = 4096
/** Between two looks at what came late. */
const RENEWAL_MS = 600_000

export interface SummariserParts {
  catalogue: Catalogue
  segments: SegmentSet
  files: SegmentFiles
  checks: SegmentChecks
  directory: SeriesDirectory
  late: LateRanges
  clock: Clock
  allowedLatenessMs: number
  /** It is tried again behind the next commit. */
  failed: (cause: unknown) => void
}

export class Summariser {
  readonly #parts: SummariserParts
  #renewedMs = -Infinity

  constructor(parts: SummariserParts) {
    this.#parts = parts
  }

  /**
   * The next hour or day that is over; without one, now and then what came late. True: there may be
   * more to do.
   */
  async step(isClosing: () => boolean): Promise<boolean> {
    const { clock, failed } = this.#parts
    try {
      const next = this.#next()
      if (next !== undefined) return await this.#sumUp(next, isClosing)
      if (clock.monotonicMs() - this.#renewedMs < RENEWAL_MS) return false
      this.#renewedMs = clock.monotonicMs()
      await this.renew(isClosing)
    } catch (cause) {
      failed(cause)
    }
    return false
  }

  /** The next hour to sum up, or a whole day where one is behind. */
  #next(): SummedUp | undefined {
    const { catalogue, allowedLatenessMs } = this.#parts
    // As it was committed: what the stream has told since is of readings that are in memory still.
    const coverage = catalogue.coverage()
    if (coverage.length === 0) return undefined
    const firstMs = coverage.reduce((least, { fromMs }) => Math.min(least, fromMs), Infinity)
    const fromMs = catalogue.summaries.summedUp?.toMs ?? Math.ceil(firstMs / HOUR_MS) * HOUR_MS
    const overMs = toldBeforeMs(coverage) - allowedLatenessMs
    const isDayOver = fromMs % DAY_MS === 0 && fromMs + DAY_MS <= overMs
    const toMs = fromMs + (isDayOver ? DAY_MS : HOUR_MS)
    return toMs <= overMs ? { fromMs, toMs } : undefined
  }

  /** False when it cannot be done now. */
  async #sumUp({ fromMs, toMs }: SummedUp, isClosing: () => boolean): Promise<boolean> {
    const { catalogue, directory } = this.#parts
    const firstMs = catalogue.summaries.summedUp?.fromMs ?? fromMs
    const dayMs = toMs - DAY_MS
    const endsDay = toMs % DAY_MS === 0 && firstMs <= dayMs
    const offset = this.#nextOffset()
    const added: Segment[] = []
    const fleets = this.#fleetSums()
    const numbers = directory.series().flatMap((one) => (one.kind === 'number' ? one.series : []))
    for (const own of chunksOf(numbers)) {
      if (isClosing()) return false
      const hours = await this.#hoursOf(own, { startUs: fromMs * 1000, endUs: toMs * 1000 })
      fleets.add(hours)
      const days = new PartialSums(DAY_MS)
      if (endsDay) {
        days.add(await this.#summaries(own, { fromMs: dayMs, toMs: fromMs })).add(hours)
      }
      added.push(...(await this.#write('summary', [...days.rows, ...hours], offset)))
    }
    added.push(...(await this.#write('fleet', fleets.rows, offset)))
    catalogue.addSummaries(added, { summedUp: { fromMs: firstMs, toMs } })
    this.#count(added)
    return true
  }

  /** Sums up again where something came late, or was erased. */
  async renew(isClosing: () => boolean): Promise<void> {
    const { late, catalogue } = this.#parts
    const { summedUp } = catalogue.summaries
    if (summedUp === undefined) return
    const days = new Map<number, Set<number>>()
    // What lies behind, where nothing is summed up yet, will be with what is late.
    for (const [series, spans] of late.committed) {
      for (const dayMs of daysIn(spans, summedUp)) {
        days.set(dayMs, (days.get(dayMs) ?? new Set()).add(series))
      }
    }
    const done = new Set(late.committed.keys())
    if (done.size === 0) return
    const offset = this.#nextOffset()
    const added: Segment[] = []
    for (const [dayMs, series] of days) {
      if (isClosing()) return
      const span = {
        fromMs: Math.max(dayMs, summedUp.fromMs),
        toMs: Math.min(dayMs + DAY_MS, summedUp.toMs),
      }
      added.push(...(await this.#renewDay([...series], span, offset)))
    }
    // What was sealed meanwhile, and is not in what was read, stays.
    late.clear(done)
    catalogue.addSummaries(added, { late: new Map([...cleared(done), ...late.toCommit(done)]) })
    this.#count(added)
  }

  async #renewDay(
    series: readonly number[],
    { fromMs, toMs }: SummedUp,
    offset: number,
  ): Promise<Segment[]> {
    const { directory } = this.#parts
    const added: Segment[] = []
    const numbers = series.filter((one) => directory.get(one)?.kind === 'number')
    for (const own of chunksOf(numbers)) {
      const hours = await this.#hoursOf(own, { startUs: fromMs * 1000, endUs: toMs * 1000 })
      const days = toMs - fromMs === DAY_MS ? new PartialSums(DAY_MS).add(hours).rows : []
      added.push(...(await this.#write('summary', [...days, ...hours], offset)))
    }
    const fleets = this.#fleetSums()
    for (const fleet of new Set(numbers.map((one) => directory.fleetOf(one)))) {
      // Of an hour of which nothing is left, that is told.
      for (let ms = fromMs; ms < toMs; ms += HOUR_MS) fleets.sum(fleet, ms)
      for (const own of chunksOf(directory.fleetMembers(fleet))) {
        fleets.add(await this.#summaries(own, { fromMs, toMs }, added))
      }
    }
    added.push(...(await this.#write('fleet', fleets.rows, offset)))
    return added
  }

  #fleetSums(): PartialSums {
    return new PartialSums(HOUR_MS, (series) => this.#parts.directory.fleetOf(series))
  }

  async #hoursOf(series: readonly number[], span: Span): Promise<Float64Array[]> {
    const { segments, checks, files } = this.#parts
    const all = segments.list('readings').filter((one) => overlaps(one, { ...ANYWHERE, ...span }))
    await checks.ensure(all)
    const intact = all.filter((segment) => segments.isIntact(segment))
    const rows = new HourRows()
    const wanted = series.map((series) => ({ series, spans: [span] }))
    await files.readReadings(intact, { wanted, isSorted: true }, (read) => rows.add(read))
    return rows.take()
  }

  /** Hours that are summed up already, with files that do not count yet. */
  async #summaries(
    series: readonly number[],
    { fromMs, toMs }: SummedUp,
    renewed: readonly Segment[] = [],
  ): Promise<Float64Array[]> {
    const { segments, files } = this.#parts
    if (fromMs >= toMs) return []
    const span = { startUs: fromMs * 1000, endUs: toMs * 1000 }
    const counting = segments.list('summary').filter((one) => segments.isIntact(one))
    const own = [...counting, ...renewed].filter((one) => overlaps(one, { ...ANYWHERE, ...span }))
    const newest = new NewestPartials()
    await files.readPartials(own, { series, windowMs: HOUR_MS, span }, (row, offset) => {
      newest.add(row, offset)
    })
    return [...newest.rows()]
  }

  /** Above all summaries that there are: of one key the highest counts. */
  #nextOffset(): number {
    const { segments, catalogue } = this.#parts
    const all = [...segments.list('summary'), ...segments.list('fleet')]
    return all.reduce((most, one) => Math.max(most, one.lastOffset + 1), catalogue.coveredOffset)
  }

  async #write(
    kind: 'summary' | 'fleet',
    rows: readonly Float64Array[],
    offset: number,
  ): Promise<Segment[]> {
    if (rows.length === 0) return []
    const { files, segments } = this.#parts
    const file = segmentFile(kind, { first: offset, last: offset, part: segments.nextPart() })
    const written = await files.writePartials(file, rows, offset)
    const label = { kind, file, firstOffset: offset, lastOffset: offset, hasUnverified: false }
    return [{ ...label, ...written }]
  }

  /** In the turn of the transaction. */
  #count(added: readonly Segment[]): void {
    this.#parts.checks.trust(added)
    this.#parts.segments.replace([], added)
  }
}

function* chunksOf(series: readonly number[]): Generator<number[]> {
  for (let from = 0; from < series.length; from += SERIES_PER_FILE) {
    yield series.slice(from, from + SERIES_PER_FILE)
  }
}

const cleared = (series: Iterable<number>): [number, Span[]][] =>
  [...series].map((one) => [one, []])

/** The starts of the days that have something of both, ms. */
function daysIn(spans: readonly Span[], { fromMs, toMs }: SummedUp): Set<number> {
  const days = new Set<number>()
  for (const { startUs, endUs } of spans) {
    const endMs = Math.min(toMs, endUs / 1000)
    let dayMs = Math.floor(Math.max(fromMs, startUs / 1000) / DAY_MS) * DAY_MS
    for (; dayMs < endMs; dayMs += DAY_MS) days.add(dayMs)
  }
  return days
}
