/**
 * Makes one of many small files in the object store, as late readings of a month leave them: each
 * look at what is due may add one. Some that were moved one after the other become one in the place
 * of the last, in one transaction; the others are deleted behind it.
 */
import type { SeriesDefinition } from '../batch/batch.ts'
import type { WeirError } from '../errors/errors.ts'
import type { Clock } from '../world/world.ts'
import type { Ages } from './aging-plan.ts'
import type { Catalogue } from './catalogue.ts'
import type { ColdFiles } from './cold-files.ts'
import { FILE_ROWS, fileOf, movedFiles, movedLabel } from './moved-files.ts'
import { putCold } from './put-cold.ts'
import type { SegmentFiles } from './segment-files.ts'
import { ANYWHERE, overlaps, type Segment, type SegmentSet } from './segment-set.ts'
import type { SeriesDirectory } from './series-directory.ts'
import type { Pace } from './turns.ts'

/** Larger files stay as they are. */
const SMALL_ROWS = FILE_ROWS / 4

export interface ColdMergerParts {
  catalogue: Catalogue
  segments: SegmentSet
  files: SegmentFiles
  cold: ColdFiles
  directory: SeriesDirectory
  clock: Clock
  pace: Pace
  agesOf: (series: SeriesDefinition) => Ages
  /** So many small files of a month become one. */
  fanIn: number
}

export class ColdMerger {
  readonly #parts: ColdMergerParts
  /** In the archive of the bucket. */
  readonly #frozen = new WeakSet<Segment>()
  /** Of each file its group: that takes a look at all its series. */
  readonly #groups = new WeakMap<Segment, string>()

  constructor(parts: ColdMergerParts) {
    this.#parts = parts
  }

  /** Errors: OBJECTS_UNAVAILABLE, OBJECTS_REFUSED, DATA_FILE_DAMAGED; done is what was done. */
  async run(isClosing: () => boolean): Promise<void> {
    for (;;) {
      const sources = isClosing() ? undefined : this.#next()
      if (sources === undefined) return
      try {
        await this.#merge(sources)
      } catch (cause) {
        const { code } = cause as WeirError
        if (code !== 'OBJECT_FROZEN' && code !== 'OBJECT_MISSING') throw cause
        // Which of them it is nobody said.
        for (const one of sources) this.#frozen.add(one)
      }
    }
  }

  #next(): Segment[] | undefined {
    const { segments, fanIn } = this.#parts
    const cold = segments.list('readings').filter(({ isCold }) => isCold)
    const groups = Map.groupBy(cold, (one) => {
      const group = this.#groups.get(one) ?? this.#groupOf(one)
      this.#groups.set(one, group)
      return group
    })
    for (const own of groups.values()) {
      const run = firstRun(own, {
        isSmall: (one) => one.rows < SMALL_ROWS && segments.isIntact(one) && !this.#frozen.has(one),
        fanIn,
      })
      if (run !== undefined && !isCrossed(cold, run)) return run
    }
    return undefined
  }

  /** Files of one folder whose series go on the same day: these alone may be one. */
  #groupOf(segment: Segment): string {
    const { cold, directory, agesOf } = this.#parts
    const kinds = new Set<string>()
    for (const number of cold.seriesOf(segment)) {
      const series = directory.get(number)
      if (series !== undefined) kinds.add(fileOf(series, agesOf(series)))
    }
    return [folderOf(segment), ...[...kinds].toSorted()].join('\n')
  }

  async #merge(sources: readonly Segment[]): Promise<void> {
    const { catalogue, segments, cold } = this.#parts
    const series = [...new Set(sources.flatMap((one) => [...cold.seriesOf(one)]))]
    const folder = folderOf(sources[0]!)
    const label = movedLabel(segments, sources)
    const added = []
    for await (const readings of movedFiles(this.#parts, { sources, series, period: ANYWHERE })) {
      added.push(await putCold(this.#parts, readings, { folder, label }))
    }
    catalogue.replaceSegments(sources, [], added)
    segments.replace(
      sources,
      added.map(({ segment }) => segment),
    )
  }
}

const folderOf = ({ file }: Segment): string => file.slice(0, file.lastIndexOf('/'))

/** In the order in which they were moved, as many as make one file at most. */
function firstRun(
  group: readonly Segment[],
  { isSmall, fanIn }: { isSmall: (one: Segment) => boolean; fanIn: number },
): Segment[] | undefined {
  let run: Segment[] = []
  let rows = 0
  for (const one of group) {
    if (isSmall(one) && rows + one.rows <= FILE_ROWS) {
      run.push(one)
      rows += one.rows
      continue
    }
    if (run.length >= fanIn) return run
    run = isSmall(one) ? [one] : []
    rows = isSmall(one) ? one.rows : 0
  }
  return run.length >= fanIn ? run : undefined
}

/** Whether another was moved between them that may hold the same: it would be behind the one. */
function isCrossed(cold: readonly Segment[], run: readonly Segment[]): boolean {
  const between = cold.slice(cold.indexOf(run[0]!), cold.indexOf(run.at(-1)!) + 1)
  return between.some(
    (one) =>
      !run.includes(one) &&
      run.some((own) =>
        overlaps(one, { ...own, startUs: own.minTimeUs, endUs: own.maxTimeUs + 1 }),
      ),
  )
}
