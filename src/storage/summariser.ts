/**
 * Sums up each hour when it is over: of every series of numbers, and of all of one tenant, device
 * type and metric together (a fleet), made of the stored readings; and each day of its hours. They
 * are kept when windows of minutes are forgotten, and when the readings have gone to the object
 * store, so that a year's chart, or one of a whole fleet, reads thousands of rows. Of an hour that
 * is hot there are the minutes of fleets, too.
 *
 * An hour is over when the stream's watermark is so far behind it that whatever comes for it now is
 * told as a late range: there the readings answer, until it is summed up again.
 */
import { clipSpans, subtractSpans, ToldWindows, type Span, type Wanted } from '../query/query.ts'
import {
  PARTIAL_COUNT,
  PARTIAL_SERIES,
  PARTIAL_START_MS,
  PARTIAL_WINDOW_MS,
} from '../stream/stream.ts'
import type { Clock } from '../world/world.ts'
import type { Catalogue } from './catalogue.ts'
import { FleetSums } from './fleet-sums.ts'
import type { LateRanges, RangesBySeries } from './late-ranges.ts'
import { NewestPartials } from './newest-partials.ts'
import { FLEET_SERIES_MIN, type RecentFleets } from './recent-fleets.ts'
import { HOUR_MS, MINUTE_MS, SUMMARY_WINDOWS_MS, type SummedUp } from './rollup-coverage.ts'
import type { PartialsWanted, SegmentFiles } from './segment-files.ts'
import type { SegmentChecks } from './segment-checks.ts'
import { ANYWHERE, mayHold, overlaps, type Segment, type SegmentSet } from './segment-set.ts'
import type { SeriesDirectory } from './series-directory.ts'
import { SummaryOutput } from './summary-output.ts'
import { planSummaries, type SummaryRound } from './summary-plan.ts'
import { sketchOf, WindowSums } from './summary-rows.ts'
import {
  daysIn,
  hoursOf,
  hullOf,
  inMonths,
  inMs,
  inUs,
  isWholeDay,
  outside,
} from './summary-spans.ts'
import type { Tombstones } from './tombstones.ts'

/** Hours of series that are made together. */
const HOURS_AT_ONCE = 100_000
/** From so many rows on a file is written: each takes some 450 bytes until then. */
const FILE_ROWS = 100_000
/** Between two looks at what came late, at least. */
const RENEWAL_MS = 30_000
/** And at most: in between so many times as long as it took. */
const RENEWAL_MS_MAX = 600_000
const RENEWAL_PAUSE = 20
/** A reading in a file that is small yet takes more, until it is merged. */
const READING_BYTES_MAX = 2.5

export interface SummariserParts {
  catalogue: Catalogue
  segments: SegmentSet
  files: SegmentFiles
  checks: SegmentChecks
  directory: SeriesDirectory
  tombstones: Tombstones
  late: LateRanges
  recentFleets: RecentFleets
  clock: Clock
  allowedLatenessMs: number
  /** Of hours from then on the minutes of fleets are kept, too. */
  minutesFromMs: () => number
  /** It is tried again behind the next commit. */
  failed: (cause: unknown) => void
}

export class Summariser {
  readonly #parts: SummariserParts
  #renewAfterMs = -Infinity
  /** Spans of this round that cannot be made again now. */
  readonly #frozenMs = new Set<number>()

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
      const beganMs = clock.monotonicMs()
      if (beganMs < this.#renewAfterMs) return false
      const isMore = await this.renew(isClosing)
      const endedMs = clock.monotonicMs()
      const pauseMs = Math.max(RENEWAL_MS, (endedMs - beganMs) * RENEWAL_PAUSE)
      if (!isMore) this.#frozenMs.clear()
      if (!isMore) this.#renewAfterMs = endedMs + Math.min(RENEWAL_MS_MAX, pauseMs)
      return isMore
    } catch (cause) {
      failed(cause)
    }
    return false
  }

  #next(): SummaryRound | undefined {
    const { catalogue, directory, segments, allowedLatenessMs, minutesFromMs } = this.#parts
    return planSummaries({
      ...{ coverage: catalogue.coverage(), summedUp: catalogue.summaries.summedUp },
      ...{ allowedLatenessMs, fleetCount: directory.fleetCount, minutesFromMs: minutesFromMs() },
      oldestUs: segments
        .list('readings')
        .reduce((least, { minTimeUs }) => Math.min(least, minTimeUs), Infinity),
    })
  }

  /** False when it cannot be done now. */
  async #sumUp({ hours, read, after }: SummaryRound, isClosing: () => boolean): Promise<boolean> {
    const { catalogue, directory, late, recentFleets } = this.#parts
    // What came late for it until now is in it.
    late.renew(late.committed.keys(), [inUs(hours)])
    try {
      const output = await this.#beginOutput(read)
      const minutesMs = this.#parts.minutesFromMs()
      const fleets = this.#fleetSums((startMs) => startMs >= minutesMs)
      const isEmpty = (await this.#sources(inUs(read))).length === 0
      for (const { fleet, size } of directory.fleets()) {
        if (size < FLEET_SERIES_MIN || isEmpty) continue
        for (let ms = hours.fromMs; ms < hours.toMs; ms += HOUR_MS) fleets.begin(fleet, ms)
      }
      const sums = new WindowSums((row, readings) => {
        const isHour = row[PARTIAL_WINDOW_MS] === HOUR_MS
        const startMs = row[PARTIAL_START_MS]!
        const isNew = isHour
          ? hours.fromMs <= startMs && startMs < hours.toMs
          : isWholeDay(row, read)
        if (!isNew) return
        if (isHour) fleets.add(row, readings)
        output.series.keep(row, () => sketchOf(readings))
      })
      const numbers = directory.series().flatMap((one) => (one.kind === 'number' ? one.series : []))
      for (const own of chunksOf(numbers, read)) {
        if (isClosing()) return false
        await this.#read(
          own.map((series) => ({ series, spans: [inUs(read)] })),
          sums,
        )
        if (output.series.rows.length >= FILE_ROWS) await output.write('summary')
      }
      fleets.keepIn(output)
      const added = await output.end()
      catalogue.addSummaries(added, { summedUp: after, late: late.afterRenewal() })
      late.renewed()
      this.#count(added)
      recentFleets.forgetBefore(after.toMs)
      return true
    } finally {
      late.keep()
    }
  }

  /**
   * Sums up again where something came late, or was erased: days close to each other, or a month of
   * them. True: there may be more of it.
   */
  async renew(isClosing: () => boolean): Promise<boolean> {
    const { late, catalogue } = this.#parts
    const { summedUp } = catalogue.summaries
    const all = new Map(late.committed)
    if (summedUp === undefined || all.size === 0) return false
    const days = new Map<number, Set<number>>()
    for (const [series, spans] of all) {
      for (const dayMs of daysIn(spans, summedUp)) {
        days.set(dayMs, (days.get(dayMs) ?? new Set()).add(series))
      }
    }
    const [next] = [...inMonths(days)].filter(({ fromMs }) => !this.#frozenMs.has(fromMs))
    const span = next && {
      fromMs: Math.max(next.fromMs, summedUp.fromMs),
      toMs: Math.min(next.toMs, summedUp.toMs),
    }
    // What lies behind, where nothing is summed up yet, will be with what is late.
    const [before, behind] = outside(inUs(summedUp))
    const done = [before, ...(span === undefined ? [] : [inUs(span)]), behind]
    late.renew(next?.series ?? all.keys(), done)
    try {
      const own = new Map([...(next?.series ?? [])].map((one) => [one, all.get(one)!]))
      const added = span === undefined ? [] : await this.#renew(own, span)
      if (isClosing()) return false
      catalogue.addSummaries(added, { late: late.afterRenewal() })
      late.renewed()
      this.#count(added)
    } catch (cause) {
      if ((cause as { code?: string }).code !== 'OBJECT_FROZEN' || next === undefined) throw cause
      // Its readings are in an archive: they stay late until they are back, and others go on.
      this.#frozenMs.add(next.fromMs)
    } finally {
      late.keep()
    }
    return next !== undefined && late.committed.size > 0
  }

  /** Of whole days, but where the summaries begin or end; of fleets the hours that are late. */
  async #renew(late: RangesBySeries, span: SummedUp): Promise<Segment[]> {
    const { directory } = this.#parts
    const output = await this.#beginOutput(span)
    const sums = new WindowSums((row, readings) => {
      const isHour = row[PARTIAL_WINDOW_MS] === HOUR_MS
      if (!isHour && !isWholeDay(row, span)) return
      output.series.keep(row, () => sketchOf(readings))
    })
    const numbers = [...late.keys()].filter((one) => directory.get(one)?.kind === 'number')
    for (const own of chunksOf(numbers, span)) {
      for (const windowMs of SUMMARY_WINDOWS_MS) {
        const known = await this.#rowsOf('summary', { series: own, windowMs, span: inUs(span) })
        known.each((row) => output.series.replaces(row))
      }
      await this.#read(
        own.map((series) => ({ series, spans: [inUs(span)] })),
        sums,
      )
      output.series.untell()
      if (output.series.rows.length >= FILE_ROWS) await output.write('summary')
    }
    await output.write('summary')
    // One after the other: while a month of one is made it takes some megabytes.
    for (const [fleet, own] of Map.groupBy(numbers, (one) => directory.fleetOf(one))) {
      for (const hours of hoursOf(own, { late, span: inUs(span) })) {
        await this.#renewFleet(fleet, hours, output)
      }
      output.fleets.untell()
      output.minutes.untell()
    }
    return output.end()
  }

  /** Of what is kept of its series, and of the rest of them from readings; minutes from those. */
  async #renewFleet(fleet: number, span: Span, output: SummaryOutput): Promise<void> {
    const { directory, minutesFromMs } = this.#parts
    const members = directory.fleetMembers(fleet)
    const isBig = members.length >= FLEET_SERIES_MIN
    const hasMinutes = isBig && inMs(span).toMs > minutesFromMs()
    const fleets = this.#fleetSums(() => hasMinutes)
    const sums = new WindowSums((row, readings) => {
      if (row[PARTIAL_WINDOW_MS] === HOUR_MS) fleets.add(row, readings)
    })
    for (let us = span.startUs; us < span.endUs && isBig; us += HOUR_MS * 1000) {
      fleets.begin(fleet, us / 1000)
    }
    const hours = await this.#rowsOf('fleet', { series: [fleet], windowMs: HOUR_MS, span })
    hours.each((row) => output.fleets.replaces(row))
    const minutes = await this.#rowsOf('minutes', { series: [fleet], windowMs: MINUTE_MS, span })
    minutes.each((row) => output.minutes.replaces(row))
    for (const own of chunksOf(members, inMs(span))) {
      const how = { span, fleets, renewed: output.written }
      const told = hasMinutes ? undefined : await this.#addKept(own, how)
      const wanted = own.map((series) => ({
        series,
        spans: subtractSpans(span, told?.get(series) ?? []),
      }))
      await this.#read(wanted, sums)
    }
    fleets.keepIn(output)
  }

  /** Returns of which hours of these series a row told, with all that their fleet's are made of. */
  async #addKept(
    series: readonly number[],
    { span, fleets, renewed }: { span: Span; fleets: FleetSums; renewed: readonly Segment[] },
  ): Promise<ReadonlyMap<number, readonly Span[]>> {
    const { tombstones } = this.#parts
    const told = new ToldWindows(HOUR_MS * 1000)
    const what = { series, windowMs: HOUR_MS, span, hasSketches: true }
    const known = await this.#rowsOf('summary', what, renewed)
    known.each((row, sketch) => {
      if (row[PARTIAL_COUNT]! <= 0 || sketch === undefined) return
      const startUs = row[PARTIAL_START_MS]! * 1000
      const hour = { startUs, endUs: startUs + HOUR_MS * 1000 }
      if (clipSpans(hour, tombstones.ofSeries(row[PARTIAL_SERIES]!)).length > 0) return
      fleets.addSketched(row, sketch)
      told.add(row[PARTIAL_SERIES]!, startUs)
    })
    return told.of(new Map(series.map((one) => [one, [span]])), span)
  }

  #fleetSums(isWanted: (startMs: number) => boolean): FleetSums {
    const { directory } = this.#parts
    const isBig = (fleet: number) => directory.fleetMembers(fleet).length >= FLEET_SERIES_MIN
    return new FleetSums({
      fleetOf: (series) => directory.fleetOf(series),
      hasMinutes: (fleet, startMs) => isWanted(startMs) && isBig(fleet),
    })
  }

  /** Without what is to be erased, whether it is gone or not. */
  async #read(asked: readonly Wanted[], sums: WindowSums): Promise<void> {
    const { files, tombstones } = this.#parts
    const wanted = asked.flatMap(({ series, spans }) => {
      const erased = tombstones.ofSeries(series)
      const left = spans.flatMap((span) => subtractSpans(span, erased))
      return left.length === 0 ? [] : [{ series, spans: left }]
    })
    const sources = (await this.#sources(hullOf(wanted))).filter((one) => mayHold(one, wanted))
    await files.readReadings(sources, { wanted, isSorted: true }, (rows) => sums.add(rows))
    sums.end()
  }

  async #sources(span: Span): Promise<Segment[]> {
    const { segments, checks } = this.#parts
    const all = segments.list('readings').filter((one) => overlaps(one, { ...ANYWHERE, ...span }))
    await checks.ensure(all)
    return all.filter((segment) => segments.isIntact(segment))
  }

  /** What is summed up already, with files that do not count yet. */
  async #rowsOf(
    kind: Segment['kind'],
    what: PartialsWanted,
    renewed: readonly Segment[] = [],
  ): Promise<NewestPartials> {
    const { segments, files } = this.#parts
    const { series, span } = what
    const wanted = series.map((one) => ({ series: one, spans: [span] }))
    const counting = segments.list(kind).filter((one) => segments.isIntact(one))
    const own = [...counting, ...renewed].filter((one) => mayHold(one, wanted))
    const newest = new NewestPartials()
    await files.readPartials(own, what, (row, offset, sketch) => newest.add(row, offset, sketch))
    return newest
  }

  /** Its rows are to be much smaller than the readings of the span. */
  async #beginOutput(span: SummedUp): Promise<SummaryOutput> {
    const { segments, files, catalogue } = this.#parts
    const sources = await this.#sources(inUs(span))
    const bytes = sources.reduce((sum, one) => sum + one.bytes, 0)
    const rows = sources.reduce((sum, one) => sum + one.rows, 0)
    // Above all summaries that there are: of one key the highest counts.
    const all = segments.rollups().filter(({ kind }) => kind !== 'rollup')
    const offset = all.reduce(
      (most, one) => Math.max(most, one.lastOffset + 1),
      catalogue.coveredOffset,
    )
    const readingBytes = rows === 0 ? READING_BYTES_MAX : Math.min(bytes / rows, READING_BYTES_MAX)
    return new SummaryOutput({ segments, files, offset }, readingBytes)
  }

  /** In the turn of the transaction. */
  #count(added: readonly Segment[]): void {
    this.#parts.checks.trust(added)
    this.#parts.segments.replace([], added)
  }
}

function* chunksOf(
  series: readonly number[],
  { fromMs, toMs }: SummedUp,
): Generator<readonly number[]> {
  const size = Math.max(1, Math.ceil((HOURS_AT_ONCE * HOUR_MS) / (toMs - fromMs)))
  for (let from = 0; from < series.length; from += size) yield series.slice(from, from + size)
}
