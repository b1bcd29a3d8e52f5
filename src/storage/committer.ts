/**
 * Turns sealed generations into segments and commits them. Order is the promise: segment files and
 * state parts are flushed first, then one transaction of the catalogue makes all of it count.
 */
import type { Checkpoint } from '../stream/stream.ts'
import type { Span } from '../query/query.ts'
import type { Clock } from '../world/world.ts'
import type { Catalogue } from './catalogue.ts'
import type { DefinitionFile } from './definition-file.ts'
import type { Generation } from './generation.ts'
import { settlePartials } from './recent-partials.ts'
import { sortReadings, SortRoom } from './recent-readings.ts'
import type { RangesBySeries } from './late-ranges.ts'
import type { RollupCoverage } from './rollup-coverage.ts'
import type { SegmentFiles } from './segment-files.ts'
import { segmentFile, type Segment } from './segment-set.ts'
import type { NamedBytes, StateFile, StatePart } from './state-file.ts'
import type { Turns } from './turns.ts'

/** What a checkpoint found at its moment; later outputs are no part of it. */
export interface Sealed {
  offset: number
  /** In the order of their offsets. */
  generations: Generation[]
  parts: Map<string, Checkpoint['parts'][number]>
  dirty: Map<number, readonly Span[]>
  coverage: readonly RollupCoverage[]
  late: RangesBySeries
  /** What of it is committed with this. */
  lateSealed: RangesBySeries[]
}

/** A seal whose commit failed goes into the next; what is newer counts. */
export const absorb = (older: Sealed, newer: Sealed): Sealed => ({
  offset: newer.offset,
  generations: [...older.generations, ...newer.generations],
  parts: new Map([...older.parts, ...newer.parts]),
  dirty: new Map([...older.dirty, ...newer.dirty]),
  coverage: newer.coverage,
  late: new Map([...older.late, ...newer.late]),
  lateSealed: [...older.lateSealed, ...newer.lateSealed],
})

export class Committer {
  readonly #catalogue: Catalogue
  readonly #files: SegmentFiles
  readonly #stateFile: StateFile
  readonly #turns: Turns
  readonly #clock: Clock
  readonly #definitions: DefinitionFile
  /** Commits come one after the other. */
  readonly #sortRoom = new SortRoom()
  #state: readonly StatePart[]

  constructor(parts: {
    catalogue: Catalogue
    files: SegmentFiles
    stateFile: StateFile
    turns: Turns
    clock: Clock
    definitions: DefinitionFile
  }) {
    this.#catalogue = parts.catalogue
    this.#files = parts.files
    this.#stateFile = parts.stateFile
    this.#turns = parts.turns
    this.#clock = parts.clock
    this.#definitions = parts.definitions
    this.#state = parts.catalogue.stateParts()
  }

  get stateParts(): readonly StatePart[] {
    return this.#state
  }

  /** Leaves parts out of the next commit: they cannot be read any more. */
  forgetParts(isForgotten: (name: string) => boolean): void {
    this.#state = this.#state.filter(({ name }) => !isForgotten(name))
  }

  /** Resolves with the new segments in the same turn as the transaction. */
  async commit(sealed: Sealed): Promise<{ segments: Segment[]; committedAtUs: number }> {
    const segments = [await this.#writeReadings(sealed), await this.#writePartials(sealed)].filter(
      (segment) => segment !== undefined,
    )
    const parts: NamedBytes[] = [...sealed.parts.values()]
    const state = await this.#stateFile.write(this.#state, parts)
    const definitions = sealed.generations.map((one) => one.definitions)
    await this.#definitions.add(definitions)
    const committedAtUs = this.#clock.nowUs()
    this.#catalogue.commit({
      offset: sealed.offset,
      committedAtUs,
      segments,
      state,
      definitions,
      events: sealed.generations.map(({ events }) => events),
      dirty: sealed.dirty,
      coverage: sealed.coverage,
      late: sealed.late,
    })
    this.#state = state
    return { segments, committedAtUs }
  }

  async #writeReadings({ generations, offset }: Sealed): Promise<Segment | undefined> {
    const recent = generations.map(({ readings }) => readings)
    const sorted = await this.#turns.run(sortReadings(recent, this.#sortRoom))
    if (sorted.count === 0) return undefined
    const { firstOffset } = generations[0]!
    const file = segmentFile('readings', { first: firstOffset, last: offset })
    const written = await this.#files.writeReadings(file, sorted)
    return {
      ...{ kind: 'readings', file, firstOffset, lastOffset: offset, ...written },
      hasUnverified: recent.some(({ hasUnverified }) => hasUnverified),
    }
  }

  async #writePartials({ generations, offset }: Sealed): Promise<Segment | undefined> {
    const rows = settlePartials(generations.map(({ partials }) => partials))
    if (rows.length === 0) return undefined
    const { firstOffset } = generations[0]!
    const file = segmentFile('rollup', { first: firstOffset, last: offset })
    const written = await this.#files.writePartials(file, rows, { offset })
    return {
      ...{ kind: 'rollup', file, firstOffset, lastOffset: offset, ...written },
      hasUnverified: false,
    }
  }
}
