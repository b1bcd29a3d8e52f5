/** Merges segments in the background, one merge at a time, each in one transaction. */
import type { Clock } from '../world/world.ts'
import type { Ager } from './ager.ts'
import type { Catalogue } from './catalogue.ts'
import {
  mergeDebt,
  planMerge,
  type Merge,
  type MergeOutput,
  type MergePolicy,
} from './merge-plan.ts'
import type { SegmentChecks } from './segment-checks.ts'
import type { SegmentFiles } from './segment-files.ts'
import type { Summariser } from './summariser.ts'
import { SEGMENT_KINDS, segmentFile, type Segment, type SegmentSet } from './segment-set.ts'

export interface MergerParts {
  catalogue: Catalogue
  segments: SegmentSet
  files: SegmentFiles
  checks: SegmentChecks
  policy: Omit<MergePolicy, 'nowUs'>
  summariser: Summariser
  /** Works when there is nothing to merge; undefined: nothing is done for its age. */
  ager: Ager | undefined
  clock: Clock
  /** A merge that fails changes nothing; the next commit tries again. */
  onFailure: (cause: unknown) => void
}

export class Merger {
  readonly #parts: MergerParts
  #running: Promise<void> | undefined
  /** Asked for while it ran, perhaps behind the last look at what is due. */
  #isWantedAgain = false
  #isClosing = false
  #holds = 0

  constructor(parts: MergerParts) {
    this.#parts = parts
  }

  get debt(): number {
    const { segments } = this.#parts
    return SEGMENT_KINDS.reduce(
      (sum, kind) => sum + mergeDebt(segments.list(kind), this.#policy(kind)),
      0,
    )
  }

  /** Starts merging what is due; while that is under way, it begins again behind it. */
  start(): void {
    this.#isWantedAgain = this.#running !== undefined
    if (this.#isPausing || this.#isWantedAgain) return
    this.#running = this.#work().finally(() => {
      this.#running = undefined
      if (this.#isWantedAgain) this.start()
    })
  }

  /** Merging goes first, also before each next hour to sum up: files are many soon. */
  async #work(): Promise<void> {
    const { summariser, ager, onFailure } = this.#parts
    const isClosing = (): boolean => this.#isClosing
    do {
      await this.#mergeAll().catch(onFailure)
    } while (!this.#isPausing && (await summariser.step(isClosing)))
    if (!this.#isPausing) await ager?.run(isClosing)
  }

  /** What is under way is finished, and no more begun. */
  get #isPausing(): boolean {
    return this.#isClosing || this.#holds > 0
  }

  /** Nothing is merged, moved or deleted until the returned function is called. */
  async hold(): Promise<() => void> {
    this.#holds++
    await this.settle()
    return () => {
      this.#holds--
      this.start()
    }
  }

  /** Waits until no merge is under way. */
  async settle(): Promise<void> {
    while (this.#running !== undefined) await this.#running
  }

  close(): Promise<void> {
    this.#isClosing = true
    return this.settle()
  }

  async #mergeAll(): Promise<void> {
    const { segments } = this.#parts
    for (const kind of ['rollup', 'summary', 'fleet', 'minutes', 'readings'] as const) {
      for (;;) {
        const merge = planMerge(segments.list(kind), this.#policy(kind))
        if (merge === undefined || this.#isPausing) break
        if (!(await this.#merge(merge))) break
      }
    }
  }

  /** False when a source turned out to be damaged, or the work was cut short. */
  async #merge({ sources, outputs }: Merge): Promise<boolean> {
    const { catalogue, segments, checks } = this.#parts
    // Damage must not be written anew under a right checksum.
    for (const segment of sources) await checks.check(segment)
    if (!sources.every((segment) => segments.isIntact(segment))) return true
    const added: Segment[] = []
    for (const output of outputs) {
      // What was written so far is swept at the next start.
      if (this.#isClosing) return false
      const segment = await this.#write(output)
      if (segment !== undefined) added.push(segment)
    }
    checks.trust(added)
    catalogue.replaceSegments(sources, added)
    segments.replace(sources, added)
    return true
  }

  async #write(output: MergeOutput): Promise<Segment | undefined> {
    const { files, segments } = this.#parts
    const { box, sources, firstOffset, lastOffset } = output
    const { kind } = sources[0]!
    const part = segments.nextPart()
    const file = segmentFile(kind, { first: firstOffset, last: lastOffset, part })
    const written =
      kind === 'readings'
        ? await files.mergeReadings(file, sources, box)
        : await files.mergeRollups(file, sources, box)
    if (written === undefined) return undefined
    return {
      ...{ kind, file, firstOffset, lastOffset, ...written },
      // It may still repeat what a segment outside of this merge holds.
      hasUnverified: !output.isWhole && sources.some(({ hasUnverified }) => hasUnverified),
    }
  }

  /**
   * Summaries do not age, and each file that is opened takes some milliseconds of a question: they
   * are of months that are not over, too.
   */
  #policy(kind: Segment['kind']): MergePolicy {
    const { policy, clock } = this.#parts
    return { ...policy, nowUs: kind === 'summary' || kind === 'fleet' ? Infinity : clock.nowUs() }
  }
}
