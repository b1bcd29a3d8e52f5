/** One consistent look at everything output so far: memory up to a row, and pinned segments. */
import { WeirError } from '../errors/errors.ts'
import {
  addSpan,
  clipSpans,
  sortByTime,
  subtractSpans,
  type FleetHours,
  type ReadingRows,
  type ReadingView,
  type Span,
  type Wanted,
} from '../query/query.ts'
import { PARTIAL_START_MS, PARTIAL_WINDOW_MS } from '../stream/stream.ts'
import type { DirtyRanges } from './dirty-ranges.ts'
import { FirstWrites } from './first-writes.ts'
import { fleetHours } from './fleet-view.ts'
import type { Generation } from './generation.ts'
import { GrowingColumns } from './growing-columns.ts'
import { LeftOut, type WhyLeftOut } from './left-out.ts'
import type { LateLook } from './late-ranges.ts'
import { NewestPartials } from './newest-partials.ts'
import type { RecentFleets } from './recent-fleets.ts'
import {
  summariesOf,
  SUMMARY_WINDOWS_MS,
  type RollupCoverage,
  type SummedUp,
} from './rollup-coverage.ts'
import type { SegmentChecks } from './segment-checks.ts'
import type { LeaveOut, PartialsWanted, SegmentFiles } from './segment-files.ts'
import { isOfFleets, mayHold, type Segment } from './segment-set.ts'
import type { SeriesDirectory } from './series-directory.ts'
import type { Tombstones } from './tombstones.ts'

export interface ViewParts {
  /** In the order of their offsets. */
  generations: readonly Generation[]
  segments: readonly Segment[]
  rollups: readonly Segment[]
  files: SegmentFiles
  checks: SegmentChecks
  /** What they held is computed from readings. */
  damagedRollups: readonly Segment[]
  /** Of the segments above, once they were checked. */
  isIntact: (segment: Segment) => boolean
  dirty: DirtyRanges
  coverage: readonly RollupCoverage[]
  /** Here the summaries tell the hours and days, and elsewhere the stream's windows. */
  summedUp: SummedUp | undefined
  /** But not here, of a series or its fleet. */
  late: LateLook
  recentFleets: RecentFleets
  directory: SeriesDirectory
  rowsMax: number
  /** Ends it: what is read next fails with its reason. */
  signal: AbortSignal | undefined
  /** What of a series is older is no longer kept, and not shown until it is gone. */
  keptFromUs: (series: number) => number
  tombstones: Tombstones
  /** Before it no window's partial is kept: the readings tell. */
  rollupsFromUs: number
  tierOf: (segment: Segment) => string
  /** Of the log: see Storage.expect(). */
  completeness: number
  release: () => void
}

export class StorageView implements ReadingView {
  readonly #parts: ViewParts
  readonly #memory: readonly { generation: Generation; readings: number; partials: number }[]
  readonly tiers = new Set<string>()
  segmentsRead = 0
  segmentsSkipped = 0
  segmentsDamaged = 0
  readonly #leftOut = new LeftOut()
  #rows = 0
  /** Of the segments that were chosen, and of memory. */
  #rowsFound = 0
  #rowsLost = 0
  readonly fleets: FleetHours

  constructor(parts: ViewParts) {
    this.#parts = parts
    this.#memory = parts.generations.map((generation) => ({
      generation,
      readings: generation.readings.count,
      partials: generation.partials.count,
    }))
    this.fleets = fleetHours({
      ...parts,
      tiers: this.tiers,
      read: async (kind, what, consume) => {
        const newest = new NewestPartials()
        await this.#readPartials(kind, what, newest)
        newest.each(consume)
        return newest.count > 0
      },
    })
  }

  get coverage(): readonly RollupCoverage[] {
    return this.#parts.coverage
  }

  /** Also where a damaged rollup held the windows: the readings tell them. */
  dirty(series: number, windowMs: number): readonly Span[] {
    const { rollupsFromUs } = this.#parts
    const ofStream = this.#ofStream(ALWAYS, windowMs)
    let spans = ofStream.flatMap((one) => clipSpans(one, this.#parts.dirty.of(series)))
    for (const one of subtractSpans(ALWAYS, ofStream)) {
      for (const span of clipSpans(one, this.#parts.late.of(series))) {
        spans = addSpan(spans, span, Infinity)
      }
    }
    if (rollupsFromUs > 0) {
      for (const span of clipSpans({ startUs: -Infinity, endUs: rollupsFromUs }, ofStream)) {
        spans = addSpan(spans, span, Infinity)
      }
    }
    for (const span of this.#parts.tombstones.ofSeries(series)) {
      spans = addSpan(spans, span, Infinity)
    }
    const isSummary = SUMMARY_WINDOWS_MS.includes(windowMs)
    for (const { kind, ...damaged } of this.#parts.damagedRollups) {
      if (isOfFleets({ kind }) || (kind === 'summary' && !isSummary)) continue
      const { minSeries, maxSeries, minTimeUs, maxTimeUs } = damaged
      if (series < minSeries || series > maxSeries) continue
      // The last window begins then, and goes on.
      const endUs = maxTimeUs + windowMs * 1000
      spans = addSpan(spans, { startUs: minTimeUs, endUs }, Infinity)
    }
    return spans
  }

  get completeness(): number {
    const { completeness } = this.#parts
    if (this.#rowsLost === 0) return completeness
    return (completeness * this.#rowsFound) / (this.#rowsFound + this.#rowsLost)
  }

  release(): void {
    this.#parts.release()
  }

  async readings(asked: readonly Wanted[], consume: (rows: ReadingRows) => void): Promise<void> {
    const { files, signal } = this.#parts
    const wanted = this.#kept(asked)
    const chosen = await this.#chooseIntact(wanted)
    const memory = this.#collectMemory(wanted)
    this.#rowsFound += memory.count
    const isSorted =
      chosen.some((segment) => segment.hasUnverified) ||
      (memory.count > 0 && this.#memory.some(({ generation }) => generation.readings.hasUnverified))
    const only = isSorted ? new FirstWrites(memory) : undefined
    const leaveOut: LeaveOut = (segment, why) => this.#leave(segment, why, wanted)
    await files.readReadings(chosen, { wanted, isSorted, signal, leaveOut }, (rows) => {
      this.#count(rows.count)
      consume(only?.ofSegments(rows) ?? rows)
    })
    this.#count(memory.count)
    if (memory.count === 0) return
    this.tiers.add('memory')
    consume(only?.ofMemory() ?? memory)
  }

  /** What its bucket does not give; the view may ask for it several times. */
  #leave(segment: Segment, why: WhyLeftOut, wanted: readonly Wanted[]): void {
    const { rows } = segment
    const isFirst = this.#leftOut.add(segment, why, wanted)
    this.#rowsFound -= rows
    this.#rowsLost += rows
    this.segmentsRead--
    if (isFirst && why === 'missing') this.segmentsDamaged++
  }

  get frozen(): readonly Span[] {
    return this.#leftOut.frozen
  }

  async #chooseIntact(wanted: readonly Wanted[]): Promise<Segment[]> {
    const { segments, checks, isIntact } = this.#parts
    const chosen = segments.filter((segment) => mayHold(segment, wanted))
    await checks.ensure(chosen)
    const intact = chosen.filter(isIntact)
    for (const segment of intact) this.tiers.add(this.#parts.tierOf(segment))
    this.segmentsRead += intact.length
    this.segmentsSkipped += segments.length - chosen.length
    this.segmentsDamaged += chosen.length - intact.length
    const rows = (of: readonly Segment[]): number => of.reduce((sum, { rows }) => sum + rows, 0)
    this.#rowsFound += rows(intact)
    this.#rowsLost += rows(chosen) - rows(intact)
    return intact
  }

  #kept(asked: readonly Wanted[]): Wanted[] {
    return asked.flatMap(({ series, spans }) => {
      const keptFromUs = this.#parts.keptFromUs(series)
      const kept = spans
        .filter(({ endUs }) => endUs > keptFromUs)
        .map(({ startUs, endUs }) => ({ startUs: Math.max(startUs, keptFromUs), endUs }))
        .flatMap((span) => subtractSpans(span, this.#parts.tombstones.ofSeries(series)))
      return kept.length === 0 ? [] : [{ series, spans: kept }]
    })
  }

  #count(rows: number): void {
    this.#rows += rows
    const { rowsMax, signal } = this.#parts
    // Not by its own method, which takes ten times as long: this is for each row of partials.
    if (signal?.aborted === true) throw signal.reason
    if (this.#rows <= rowsMax) return
    const detail = `The query looks at more than ${rowsMax} stored readings`
    throw new WeirError('QUERY_LIMIT_EXCEEDED', detail, { details: { limit: rowsMax } })
  }

  /** Sorted by series and time, each identity once. */
  #collectMemory(wanted: readonly Wanted[]): ReadingRows {
    const columns = new GrowingColumns()
    const runs: { series: number; end: number }[] = []
    for (const { series, spans } of wanted.toSorted((a, b) => a.series - b.series)) {
      const start = columns.count
      for (const span of spans) this.#walk(series, span, columns)
      sortByTime(columns.timeUs, columns.value, { from: start, to: columns.count })
      columns.dropRepeatsFrom(start)
      runs.push({ series, end: columns.count })
    }
    const { count, timeUs, value } = columns
    const ids = new Int32Array(count)
    let from = 0
    for (const { series, end } of runs) {
      ids.fill(series, from, end)
      from = end
    }
    return { count, series: ids, timeUs, value }
  }

  /** Adds a series' readings in memory, oldest arrived first. */
  #walk(series: number, { startUs, endUs }: Span, columns: GrowingColumns): void {
    for (const { generation, readings } of this.#memory) {
      if (!mayHoldIn(generation, { startUs, endUs })) continue
      const from = columns.count
      generation.readings.walk(series, readings, (timeUs, value) => {
        if (startUs <= timeUs && timeUs < endUs) columns.push(timeUs, value)
      })
      columns.reverseFrom(from)
    }
  }

  memoryTimes(series: number, span: Span): Float64Array {
    if (!this.#memory.some(({ generation }) => mayHoldIn(generation, span))) return NO_TIMES
    const columns = new GrowingColumns()
    this.#walk(series, span, columns)
    return columns.timeUs.subarray(0, columns.count)
  }

  sparse(windowMs: number): Span | undefined {
    const ours = summariesOf(windowMs, this.#parts.summedUp)
    return ours && { startUs: ours.fromMs * 1000, endUs: ours.toMs * 1000 }
  }

  async partials(
    series: readonly number[],
    windows: { windowMs: number; span: Span; hasSketches?: boolean },
    consume: (row: Float64Array, sketch?: Uint8Array) => void,
  ): Promise<void> {
    const { windowMs, span, hasSketches = false } = windows
    const newest = new NewestPartials()
    const ofStream = this.#ofStream(span, windowMs)
    for (const one of subtractSpans(span, ofStream)) {
      await this.#readPartials('summary', { series, windowMs, span: one, hasSketches }, newest)
    }
    for (const one of ofStream) {
      await this.#readPartials('rollup', { series, windowMs, span: one }, newest)
      for (const id of series) this.#overlayMemory(id, { windowMs, span: one }, newest)
    }
    if (newest.count > 0) this.tiers.add(`rollup-${windowName(windowMs)}`)
    newest.each(consume)
  }

  async #readPartials(
    kind: Segment['kind'],
    question: PartialsWanted,
    newest: NewestPartials,
  ): Promise<void> {
    const { rollups, files, signal } = this.#parts
    signal?.throwIfAborted()
    const wanted = question.series.map((series) => ({ series, spans: [question.span] }))
    const own = rollups.filter((one) => one.kind === kind && mayHold(one, wanted))
    await files.readPartials(own, question, (row, offset, sketch) => {
      if (newest.add(row, offset, sketch)) this.#count(1)
    })
  }

  /** Where the stream's windows of this size tell, and not the summaries. */
  #ofStream(span: Span, windowMs: number): Span[] {
    const ours = this.sparse(windowMs)
    return ours === undefined ? [span] : subtractSpans(span, [ours])
  }

  /** What memory holds of a key is newer than any segment's. */
  #overlayMemory(
    series: number,
    { windowMs, span }: { windowMs: number; span: Span },
    newest: NewestPartials,
  ): void {
    for (const { generation, partials } of this.#memory.toReversed()) {
      generation.partials.walk(series, partials, (row) => {
        const startUs = row[PARTIAL_START_MS]! * 1000
        if (row[PARTIAL_WINDOW_MS] !== windowMs) return
        if (startUs < span.startUs || startUs >= span.endUs) return
        newest.add(row, Infinity)
      })
    }
  }
}

const NO_TIMES = new Float64Array()

const mayHoldIn = ({ readings }: Generation, { startUs, endUs }: Span): boolean =>
  readings.maxTimeUs >= startUs && readings.minTimeUs < endUs

const ALWAYS: Span = { startUs: -Infinity, endUs: Infinity }

function windowName(windowMs: number): string {
  if (windowMs % 86_400_000 === 0) return `${windowMs / 86_400_000}d`
  if (windowMs % 3_600_000 === 0) return `${windowMs / 3_600_000}h`
  return windowMs % 60_000 === 0 ? `${windowMs / 60_000}m` : `${windowMs / 1000}s`
}
