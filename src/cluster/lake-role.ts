/**
 * The lake's writer: the readings topic into an object store. Offsets are part of each commit, so
 * whatever ends this process, the next one goes on exactly there.
 *
 *   read ──▶ decode ──▶ collect ──▶ (by size or by time) sort, encode, put, commit
 *
 * While the store is away it goes on collecting, then stops reading: Kafka keeps the rest.
 *
 * One process at a time has a set of partitions: a lease says which, and others stand by. Should
 * two believe it, the commits of the lake refuse the older one.
 *
 * One generation of the topic after the other is written to its end, each by a life of its own.
 */
import type { WeirError } from '../errors/errors.ts'
import type { LakeWriter } from '../lake/lake.ts'
import type { MetricSample } from '../observe/observe.ts'
import type { Lease } from '../postgres/postgres.ts'
import type { Clock } from '../world/world.ts'
import { LakeLife } from './lake-life.ts'
import { metric } from './metrics.ts'
import { Repeating } from './repeating.ts'
import type { Generation, Topics } from './topics.ts'
import { whileLeased } from './while-leased.ts'

export interface LakeRoleParts {
  topics: Topics
  /** Of this process, in the first generation; in later ones, what they were divided into. */
  partitions: readonly number[]
  clock: Clock
  options: { bytesMax: number; waitMs: number; seriesMax: number; textsMax: number }
  /** Undefined while another process writes these partitions. */
  claim: () => Promise<Lease | undefined>
  openWriter: () => Promise<LakeWriter>
  tell: LakeNews
}

/** What somebody should hear of. */
export interface LakeNews {
  malformed: (topic: string, offset: number, error: WeirError) => void
  /** Kafka has forgotten entries that were never in the lake. */
  lost: (fields: { topic: string; partition: number; fromOffset: number; toOffset: number }) => void
  /** So many entries may be in the lake twice: whether they were there had to be forgotten. */
  uncertain: (fields: { topic: string; partition: number; uncertain: number }) => void
  commitFailed: (error: unknown) => void
  commitRecovered: (outageMs: number) => void
  /** So many readings wait, and nothing is read until the store is back. */
  full: (readings: number) => void
  /** It is tried again. */
  failed: (error: unknown) => void
}

/** Totals since start, and what is true now. */
export interface LakeFigures {
  readings: number
  commits: number
  failedCommits: number
  entriesLost: number
  /** Entries that the stream wrote again, and the lake left out. */
  repeats: number
  /** Entries that are perhaps in it twice. */
  uncertain: number
  /** Readings that were left out because they had been erased. */
  erased: number
  /** Of the life under way; 0 and false while there is none. */
  readingsHeld: number
  isFull: boolean
}

export class LakeRole {
  readonly #parts: LakeRoleParts
  readonly #work: Repeating
  readonly #figures: LakeFigures = {
    ...{ readings: 0, commits: 0, failedCommits: 0, entriesLost: 0, repeats: 0 },
    ...{ uncertain: 0, erased: 0, readingsHeld: 0, isFull: false },
  }
  #isActive = false

  constructor(parts: LakeRoleParts) {
    this.#parts = parts
    const { clock, tell } = parts
    const { failed } = tell
    this.#work = new Repeating({ clock, failed, run: (isStopping) => this.#run(isStopping) })
  }

  start(): void {
    this.#work.start()
  }

  /** Commits what was collected, unless the store is away. */
  stop(): Promise<void> {
    return this.#work.stop()
  }

  #run(isStopping: () => boolean): Promise<void> {
    const { claim, topics } = this.#parts
    return whileLeased({ claim, isStopping }, async (_, isOver) => {
      let generation: Generation | undefined = { number: 1, partitions: topics.partitions }
      while (generation !== undefined && !isOver()) {
        const isWhole = await this.#live(generation, isOver, isStopping)
        // What is not committed is read again.
        generation = isWhole ? await topics.after(generation) : undefined
      }
    })
  }

  /** Whether all of the generation is in the lake. */
  async #live(
    generation: Generation,
    isOver: () => boolean,
    isStopping: () => boolean,
  ): Promise<boolean> {
    let life: LakeLife | undefined
    try {
      const writer = await this.#parts.openWriter()
      this.#isActive = true
      life = new LakeLife(this.#parts, { writer, generation, figures: this.#figures })
      await life.begin()
      while (!isOver() && !(await life.isRead())) await life.step()
      if (isOver() && !isStopping()) return false
      await life.finish()
      return !isOver() && writer.held === 0
    } finally {
      this.#isActive = false
      await life?.close()
    }
  }

  metrics(): MetricSample[] {
    const { readings, commits, failedCommits, entriesLost, repeats } = this.#figures
    const { uncertain, erased, readingsHeld, isFull } = this.#figures
    return [
      metric('weir_lake_is_active', '1 in the process that writes it.', Number(this.#isActive)),
      metric('weir_lake_readings_total', 'Readings committed to the lake.', readings),
      metric('weir_lake_commits_total', 'Commits of the lake.', commits),
      metric('weir_lake_failed_commits_total', 'Commits that failed.', failedCommits),
      metric('weir_lake_lost_entries_total', 'Entries Kafka forgot before.', entriesLost),
      metric('weir_lake_repeated_entries_total', 'Entries written again.', repeats),
      metric('weir_lake_uncertain_entries_total', 'Entries that may be in it twice.', uncertain),
      metric('weir_lake_erased_total', 'Readings that had been erased.', erased),
      metric('weir_lake_held_readings', 'Readings that wait for a commit.', readingsHeld),
      metric('weir_lake_is_full', '1 while Kafka is not read.', Number(isFull)),
    ]
  }
}
