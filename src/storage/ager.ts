/**
 * Moves readings to the object store when they are no longer warm, and deletes what is no longer
 * to be kept, a period at a time, in the background.
 *
 * A file is named in the catalogue as one that may be there and does not count, then put; one
 * transaction makes it count and its sources go. What a crash leaves in the store is found by that
 * name, and removed.
 */
import type { SeriesDefinition } from '../batch/batch.ts'
import { folderAt } from '../lake/lake.ts'
import type { Span } from '../query/query.ts'
import type { Clock } from '../world/world.ts'
import {
  dueAges,
  fateOf,
  isDue,
  planAging,
  rollupsDueBefore,
  type Ages,
  type Aging,
  type AgingContext,
  type DueAges,
  type Fate,
} from './aging-plan.ts'
import type { Catalogue } from './catalogue.ts'
import { coldPastAge } from './cold-past-age.ts'
import { periodOf } from './periods.ts'
import type { ColdFiles, ColdReadings } from './cold-files.ts'
import { ColdMerger } from './cold-merger.ts'
import type { ColdRuns, ColdSegment } from './cold-tables.ts'
import { movedFiles, movedLabel } from './moved-files.ts'
import { putCold } from './put-cold.ts'
import { toldBeforeMs } from './rollup-coverage.ts'
import type { SegmentFiles } from './segment-files.ts'
import { ANYWHERE, segmentFile, type Segment, type SegmentSet } from './segment-set.ts'
import type { SeriesDirectory } from './series-directory.ts'
import type { Steadiness } from './steadiness.ts'
import type { StorageListener } from './storage.ts'
import type { Pace } from './turns.ts'

/** How long what is to be kept, and by whom it may be deleted. */
export interface AgingPolicy {
  agesOf: (series: SeriesDefinition) => Ages
  /** Nothing is deleted for its age before it was confirmed that it is exported. */
  isExportedFirst: boolean
}

export interface AgerParts {
  policy: AgingPolicy
  catalogue: Catalogue
  segments: SegmentSet
  files: SegmentFiles
  cold: ColdFiles
  directory: SeriesDirectory
  clock: Clock
  /** Nothing is deleted while the time may be wrong. */
  steadiness: Steadiness
  pace: Pace
  /** So many small files of a month in the object store become one. */
  fanIn: number
  /** Between two looks at what is due. */
  intervalMs: number
  /** It is tried again at the next look. */
  failed: (cause: unknown) => void
  /** Told of each period or file. */
  tell: StorageListener['aged']
}

/** How long windows of minutes are kept: as long as somebody's readings are hot. */
export const hotUsOf = (policy: Pick<AgingPolicy, 'agesOf'>, directory: SeriesDirectory): number =>
  directory.series().reduce((most, one) => Math.max(most, policy.agesOf(one).hotUs), 0)

/** By number; never 'stays' for all that are in the sources. */
type DueAging = Aging & { fates: ReadonlyMap<number, Fate> }

export class Ager {
  readonly #parts: AgerParts
  readonly #merger: ColdMerger
  readonly #dueAges = new WeakMap<Segment, DueAges>()
  #lookedMs = -Infinity
  #isTimeSure = false
  #isManifested = false

  constructor(parts: AgerParts) {
    this.#parts = parts
    this.#merger = new ColdMerger({ ...parts, agesOf: parts.policy.agesOf })
  }

  /** Readings from this time on are not deleted, whatever their age. */
  get deletableBeforeUs(): number {
    const { policy, catalogue } = this.#parts
    return policy.isExportedFirst ? catalogue.exportedBeforeUs : Infinity
  }

  /** All that is due, unless it was looked a moment ago. */
  async run(isClosing: () => boolean): Promise<void> {
    const { segments, clock, intervalMs, failed } = this.#parts
    if (clock.monotonicMs() - this.#lookedMs < intervalMs) return
    this.#lookedMs = clock.monotonicMs()
    try {
      await this.#sweep()
      await this.#completeManifests()
      this.#isTimeSure = this.#parts.steadiness.look()
      this.#forgetRollups()
      await this.#expire()
      const context = this.#context(clock.nowUs())
      const { directory, policy } = this.#parts
      const all = dueAges(directory.series().map((one) => policy.agesOf(one)))
      for (const { period, sources } of planAging(segments.list('readings'), all, context)) {
        const due = await this.#dueOf(sources, { period, context })
        if (due.length === 0) continue
        if (isClosing()) return
        const fates = this.#fatesOf(period, context)
        if (!(await this.#age({ period, sources: due, fates }, isClosing))) return
      }
      await this.#merger.run(isClosing)
      await this.#sweep()
    } catch (cause) {
      failed(cause)
    }
  }

  #context(nowUs: number): AgingContext {
    const { segments } = this.#parts
    return {
      nowUs,
      deletableBeforeUs: this.#isTimeSure ? this.deletableBeforeUs : -Infinity,
      isIntact: (segment) => segments.isIntact(segment),
    }
  }

  /** Those that have a series of which something is to be done. */
  async #dueOf(
    sources: readonly Segment[],
    { period, context }: { period: Span; context: AgingContext },
  ): Promise<Segment[]> {
    const due: Segment[] = []
    for (const segment of sources) {
      const ages = this.#dueAges.get(segment) ?? (await this.#readDueAges(segment))
      this.#dueAges.set(segment, ages)
      if (isDue(ages, period, context)) due.push(segment)
    }
    return due
  }

  /** By its series themselves: between the least and the most there may be others. */
  async #readDueAges(segment: Segment): Promise<DueAges> {
    const { files, directory, policy } = this.#parts
    const series = await files.seriesOf(segment)
    const known = [...series].flatMap((one) => directory.get(one) ?? [])
    return dueAges(known.map((one) => policy.agesOf(one)))
  }

  #fatesOf(period: Span, context: AgingContext): Map<number, Fate> {
    const { directory, policy } = this.#parts
    return new Map(
      directory.series().map((one) => [one.series, fateOf(policy.agesOf(one), period, context)]),
    )
  }

  /** Files of which a crash, or a store that was away, left it open whether they are there. */
  async #sweep(): Promise<void> {
    const { catalogue, segments, cold } = this.#parts
    for (const file of catalogue.cold.pending()) {
      if (segments.isNamed(file)) continue
      await cold.delete(file)
      catalogue.coldIsGone(file)
    }
  }

  /** Once: earlier versions put files without. */
  async #completeManifests(): Promise<void> {
    if (this.#isManifested) return
    const { catalogue, cold } = this.#parts
    await cold.putMissingManifests(catalogue.cold.segments())
    this.#isManifested = true
  }

  #forgetRollups(): void {
    const { catalogue, segments, directory, policy, clock } = this.#parts
    const hotUs = hotUsOf(policy, directory)
    const all = [...segments.list('rollup'), ...segments.list('minutes')]
    const rollups = all.filter((segment) => segments.isIntact(segment))
    const toldUs = toldBeforeMs(catalogue.coverage()) * 1000
    const due = rollupsDueBefore(rollups, { nowUs: clock.nowUs(), hotUs, toldUs })
    if (due.segments.length === 0) return
    catalogue.forgetRollups(due.segments, due.beforeUs)
    segments.replace(due.segments, [])
  }

  /** What is too old goes; or went, where the bucket's own rule was first. */
  async #expire(): Promise<void> {
    const { catalogue, segments, cold, tell } = this.#parts
    const beforeUs = this.#isTimeSure ? this.deletableBeforeUs : -Infinity
    for (const segment of coldPastAge(this.#parts)) {
      const { endUs: overUs } = periodOf(segment.maxTimeUs, this.#parts.clock.nowUs())
      if (overUs > beforeUs && (await cold.isThere(segment.file))) continue
      catalogue.replaceSegments([segment], [])
      segments.replace([segment], [])
      const { minTimeUs: startUs, maxTimeUs: endUs, rows: deleted } = segment
      tell({ moved: 0, deleted, startUs, endUs })
    }
  }

  /** False when it cannot be done now. */
  async #age(aging: DueAging, isClosing: () => boolean): Promise<boolean> {
    const { catalogue, segments, tell, files, directory, policy } = this.#parts
    const { sources, period } = aging
    const added: { segment: ColdSegment; runs: ColdRuns }[] = []
    const how = { files, directory, agesOf: policy.agesOf }
    const moving = [...aging.fates].flatMap(([series, fate]) => (fate === 'moves' ? [series] : []))
    for await (const readings of movedFiles(how, { sources, series: moving, period })) {
      if (isClosing()) return false
      added.push(await this.#put(readings, sources))
    }
    const kept: Segment[] = []
    const staying = new Set(
      [...aging.fates].flatMap(([series, fate]) => (fate === 'stays' ? [series] : [])),
    )
    for (const source of staying.size > 0 ? sources : []) {
      const rewritten = await this.#rewriteStaying(source, { staying, period })
      if (rewritten !== undefined) kept.push(rewritten)
      if (isClosing()) break
    }
    if (isClosing()) return false
    catalogue.replaceSegments(sources, kept, added)
    const cold = added.map(({ segment }) => segment)
    segments.replace(sources, [...kept, ...cold])
    const count = (of: readonly Segment[]): number => of.reduce((sum, { rows }) => sum + rows, 0)
    const moved = count(cold)
    tell({ moved, deleted: count(sources) - count(kept) - moved, ...period })
    return true
  }

  async #put(
    readings: ColdReadings,
    sources: readonly Segment[],
  ): Promise<{ segment: ColdSegment; runs: ColdRuns }> {
    const { folder } = folderAt(readings.runs[0]!.series, readings.timeUs[0]!)
    return putCold(this.#parts, readings, {
      folder,
      label: movedLabel(this.#parts.segments, sources),
    })
  }

  /**
   * What stays of a file on this disk, without the rest. Each for itself: of two together, what is
   * written between them and not touched here would be neither before nor behind.
   */
  async #rewriteStaying(
    source: Segment,
    { staying, period }: { staying: ReadonlySet<number>; period: Span },
  ): Promise<Segment | undefined> {
    const { files, segments } = this.#parts
    const { firstOffset, lastOffset, hasUnverified } = source
    const name = { first: firstOffset, last: lastOffset, part: segments.nextPart() }
    const file = segmentFile('readings', name)
    const box = { ...ANYWHERE, ...period, only: staying }
    const written = await files.mergeReadings(file, [source], box)
    if (written === undefined) return undefined
    return { kind: 'readings', file, firstOffset, lastOffset, hasUnverified, ...written }
  }
}
