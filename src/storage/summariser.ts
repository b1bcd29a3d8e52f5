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
import { PARTIAL_START_MS } from '../stream/stream.ts'
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

/** Series of one file at most. */
const SERIES_PER_FILE = 4096
/** Hours of series that are made together, a hundred bytes each. */
const HOURS_AT_ONCE = 400_000
/** Days of one month that are renewed one by one. */
const DAYS_APART_MAX = 3
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

  get summedUpToUs(): number | undefined {
    const { summedUp } = this.#parts.catalogue.summaries
    return summedUp === undefined ? undefined : summedUp.toMs * 1000
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

  /**
   * What to sum up next: an hour, or where one is behind up to the end of the day, or of the month,
   * whose readings are one file for all its days.
   */
  #next(): SummedUp | undefined {
    const { catalogue, allowedLatenessMs } = this.#parts
    // As it was committed: what the stream has told since is of readings that are in memory still.
    const coverage = catalogue.coverage()
    if (coverage.length === 0) return undefined
    const firstMs = coverage.reduce((least, { fromMs }) => Math.min(least, fromMs), Infinity)
    const fromMs = catalogue.summaries.summedUp?.toMs ?? Math.ceil(firstMs / HOUR_MS) * HOUR_MS
    const overMs = toldBeforeMs(coverage) - allowedLatenessMs
    const from = new Date(fromMs)
    const ends = [
      Date.UTC(from.getUTCFullYear(), from.getUTCMonth() + 1),
      Math.floor(fromMs / DAY_MS) * DAY_MS + DAY_MS,
      fromMs + HOUR_MS,
    ]
    const toMs = ends.find((endMs) => endMs <= overMs)
    return toMs === undefined ? undefined : { fromMs, toMs }
  }

  /** False when it cannot be done now. */
  async #sumUp({ fromMs, toMs }: SummedUp, isClosing: () => boolean): Promise<boolean> {
    const { catalogue, directory } = this.#parts
    const firstMs = catalogue.summaries.summedUp?.fromMs ?? fromMs
    const offset = this.#nextOffset()
    const added: Segment[] = []
    const fleets = this.#fleetSums()
    const numbers = directory.series().flatMap((one) => (one.kind === 'number' ? one.series : []))
    for (const own of chunksOf(numbers, toMs - fromMs)) {
      if (isClosing()) return false
      const hours = await this.#hoursOf(own, { startUs: fromMs * 1000, endUs: toMs * 1000 })
      fleets.add(hours)
      const days = await this.#daysOf(own, hours, { firstMs, fromMs, toMs })
      added.push(...(await this.#write('summary', [...days, ...hours], offset)))
    }
    added.push(...(await this.#write('fleet', fleets.rows, offset)))
    catalogue.addSummaries(added, { summedUp: { fromMs: firstMs, toMs } })
    this.#count(added)
    return true
  }

  /** Of the days that end in a span, with their hours of before it. */
  async #daysOf(
    series: readonly number[],
    hours: readonly Float64Array[],
    { firstMs, fromMs, toMs }: SummedUp & { firstMs: number },
  ): Promise<Float64Array[]> {
    const dayMs = Math.floor(fromMs / DAY_MS) * DAY_MS
    const endMs = Math.floor(toMs / DAY_MS) * DAY_MS
    if (dayMs === endMs) return []
    const earlier = await this.#summaries(series, { fromMs: dayMs, toMs: fromMs })
    return new PartialSums(DAY_MS)
      .add(earlier)
      .add(hours)
      .rows.filter((row) => {
        const startMs = row[PARTIAL_START_MS]!
        return firstMs <= startMs && startMs < endMs
      })
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
    for (const { fromMs, toMs, series } of inMonths(days)) {
      if (isClosing()) return
      const span = {
        fromMs: Math.max(fromMs, summedUp.fromMs),
        toMs: Math.min(toMs, summedUp.toMs),
      }
      added.push(...(await this.#renew([...series], span, offset)))
    }
    // What was sealed meanwhile, and is not in what was read, stays.
    late.clear(done)
    catalogue.addSummaries(added, { late: new Map([...cleared(done), ...late.toCommit(done)]) })
    this.#count(added)
  }

  /** Of whole days, but where the summaries begin or end. */
  async #renew(
    series: readonly number[],
    { fromMs, toMs }: SummedUp,
    offset: number,
  ): Promise<Segment[]> {
    const { directory } = this.#parts
    const added: Segment[] = []
    const numbers = series.filter((one) => directory.get(one)?.kind === 'number')
    for (const own of chunksOf(numbers, toMs - fromMs)) {
      const hours = await this.#hoursOf(own, { startUs: fromMs * 1000, endUs: toMs * 1000 })
      const days = wholeDays(hours, { fromMs, toMs })
      added.push(...(await this.#write('summary', [...days, ...hours], offset)))
    }
    const fleets = this.#fleetSums()
    for (const fleet of new Set(numbers.map((one) => directory.fleetOf(one)))) {
      // Of an hour of which nothing is left, that is told.
      for (let ms = fromMs; ms < toMs; ms += HOUR_MS) fleets.sum(fleet, ms)
      for (const own of chunksOf(directory.fleetMembers(fleet), toMs - fromMs)) {
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

/** Of hours: days that lie in the span. */
function wholeDays(hours: readonly Float64Array[], { fromMs, toMs }: SummedUp): Float64Array[] {
  return new PartialSums(DAY_MS).add(hours).rows.filter((row) => {
    const startMs = row[PARTIAL_START_MS]!
    return fromMs <= startMs && startMs + DAY_MS <= toMs
  })
}

function* chunksOf(series: readonly number[], spanMs = DAY_MS): Generator<number[]> {
  const size = Math.min(SERIES_PER_FILE, Math.ceil((HOURS_AT_ONCE * HOUR_MS) / spanMs))
  for (let from = 0; from < series.length; from += size) yield series.slice(from, from + size)
}

const cleared = (series: Iterable<number>): [number, Span[]][] =>
  [...series].map((one) => [one, []])

/**
 * Days by themselves, or the month where they are many: what is older lies in files of months, of
 * which a day costs about as much as all of it.
 */
function* inMonths(
  days: ReadonlyMap<number, ReadonlySet<number>>,
): Generator<SummedUp & { series: ReadonlySet<number> }> {
  for (const [, own] of Map.groupBy(days, ([dayMs]) => new Date(dayMs).toISOString().slice(0, 7))) {
    if (own.length <= DAYS_APART_MAX) {
      for (const [fromMs, series] of own) yield { fromMs, toMs: fromMs + DAY_MS, series }
      continue
    }
    const starts = own.map(([dayMs]) => dayMs)
    const fromMs = Math.min(...starts)
    const series = new Set(own.flatMap(([, all]) => [...all]))
    yield { fromMs, toMs: Math.max(...starts) + DAY_MS, series }
  }
}

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
