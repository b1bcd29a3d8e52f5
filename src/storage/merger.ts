/** Merges small segments in the background, one merge at a time, each in one transaction. */
import type { Catalogue } from './catalogue.ts'
import { mergeDebt, planMerge, type MergePolicy } from './merge-plan.ts'
import type { SegmentChecks } from './segment-checks.ts'
import type { SegmentFiles } from './segment-files.ts'
import { segmentFile, type Segment, type SegmentSet } from './segment-set.ts'

export interface MergerParts {
  catalogue: Catalogue
  segments: SegmentSet
  files: SegmentFiles
  checks: SegmentChecks
  policy: MergePolicy
  /** A merge that fails changes nothing; the next commit tries again. */
  onFailure: (cause: unknown) => void
}

export class Merger {
  readonly #parts: MergerParts
  #running: Promise<void> | undefined
  #isClosing = false

  constructor(parts: MergerParts) {
    this.#parts = parts
  }

  get debt(): number {
    const { segments, policy } = this.#parts
    return (['readings', 'rollup'] as const).reduce(
      (sum, kind) => sum + mergeDebt(segments.list(kind), policy),
      0,
    )
  }

  /** Starts merging what is due unless that is under way. */
  start(): void {
    if (this.#isClosing) return
    this.#running ??= this.#mergeAll()
      .catch(this.#parts.onFailure)
      .finally(() => {
        this.#running = undefined
      })
  }

  /** Waits until no merge is under way. */
  async settle(): Promise<void> {
    await this.#running
  }

  close(): Promise<void> {
    this.#isClosing = true
    return this.settle()
  }

  async #mergeAll(): Promise<void> {
    const { segments, policy } = this.#parts
    for (const kind of ['rollup', 'readings'] as const) {
      for (;;) {
        const run = planMerge(segments.list(kind), policy)
        if (run.length === 0 || this.#isClosing) break
        await this.#merge(run)
      }
    }
  }

  async #merge(run: readonly Segment[]): Promise<void> {
    const { catalogue, segments, files, checks } = this.#parts
    // Damage must not be written anew under a right checksum.
    for (const segment of run) await checks.check(segment)
    if (!run.every((segment) => segments.isIntact(segment))) return
    const { kind, firstOffset } = run[0]!
    const { lastOffset } = run.at(-1)!
    const file = segmentFile(kind, firstOffset, lastOffset)
    const written =
      kind === 'readings'
        ? await files.mergeReadings(file, run)
        : await files.mergeRollups(file, run)
    const merged: Segment = {
      ...{ kind, file, firstOffset, lastOffset, ...written },
      minSeries: Math.min(...run.map(({ minSeries }) => minSeries)),
      maxSeries: Math.max(...run.map(({ maxSeries }) => maxSeries)),
      minTimeUs: Math.min(...run.map(({ minTimeUs }) => minTimeUs)),
      maxTimeUs: Math.max(...run.map(({ maxTimeUs }) => maxTimeUs)),
      // It may still repeat what a segment outside of this run holds.
      hasUnverified: run.some(({ hasUnverified }) => hasUnverified),
    }
    checks.trust([merged])
    catalogue.replaceSegments(run, merged)
    segments.replace(run, [merged])
  }
}
