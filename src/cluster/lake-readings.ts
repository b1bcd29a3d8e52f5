/**
 * Entries of one partition of the readings topic as batches for the lake. Numbers of series and
 * texts mean something within a batch alone here, so when they are used up they begin anew: the
 * lake leaves out no reading of an entry that can be read.
 *
 * A stream that went on from a checkpoint has written entries again. Their sources, offsets of the
 * telemetry topic, were there before, so each is taken once: which were taken stands beside the
 * offset in the lake. What has no source is other people's, and always taken.
 */
import type { SeriesName } from '../batch/batch.ts'
import type { DecoderLimits } from '../entries/entries.ts'
import { WeirError } from '../errors/errors.ts'
import type { ReadEntry } from '../kafka/kafka.ts'
import type { LakeBatch } from '../lake/lake.ts'
import { ReadingDecoder } from './reading-columns.ts'
import type { TakenSources } from './taken-sources.ts'

export interface LakeReadingsParts {
  topic: string
  partition: number
  taken: TakenSources
  limits: DecoderLimits
  malformed: (offset: number, error: WeirError) => void
}

export interface DecodedEntries {
  /** The first entries, at least one; good until the next call. */
  batch: LakeBatch
  /** The others. */
  rest: readonly ReadEntry[]
  /** Entries that were there before, and are left out. */
  repeats: number
  /** Entries that are in the batch and may have been there before: that was forgotten. */
  uncertain: number
}

export class LakeReadings {
  readonly #parts: LakeReadingsParts
  #names: SeriesName[] = []
  #decoder: ReadingDecoder
  #repeats = 0
  /** What `taken` covers. NaN within decode(), and when that threw. */
  #nextOffset = NaN

  constructor(parts: LakeReadingsParts) {
    this.#parts = parts
    this.#decoder = this.#begin()
  }

  decode(entries: readonly ReadEntry[]): DecodedEntries {
    const { topic, partition, taken } = this.#parts
    const uncertainBefore = taken.uncertain
    this.#decoder.begin()
    this.#repeats = 0
    this.#nextOffset = NaN
    let end = this.#add(entries)
    if (end === 0) {
      this.#decoder = this.#begin()
      end = this.#add(entries, { isFresh: true })
    }
    const nextOffset = entries[end - 1]!.offset + 1
    const offsets = [{ topic, partition, nextOffset, taken: () => this.#takenAt(nextOffset) }]
    const { texts } = this.#decoder
    const batch = { ...this.#decoder.take(), names: this.#names, texts, offsets }
    this.#nextOffset = nextOffset
    const uncertain = taken.uncertain - uncertainBefore
    return { batch, rest: entries.slice(end), repeats: this.#repeats, uncertain }
  }

  /** With sources of entries that are not in the lake the next one would leave those out. */
  #takenAt(nextOffset: number): string {
    if (this.#nextOffset !== nextOffset)
      throw new RangeError('the sources are not those of the offset')
    return this.#parts.taken.encode()
  }

  #begin(): ReadingDecoder {
    const names: SeriesName[] = []
    this.#names = names
    const decoder = new ReadingDecoder(this.#parts.limits, (series) => names.push(series))
    decoder.begin()
    return decoder
  }

  /** Until numbers are used up: the place of the entry that found none. */
  #add(entries: readonly ReadEntry[], { isFresh = false } = {}): number {
    const { taken } = this.#parts
    for (const [at, { value, offset, timestampMs, source }] of entries.entries()) {
      const hasSource = source !== undefined && Number.isSafeInteger(source) && source >= 0
      if (hasSource && taken.has(source)) {
        taken.add(source, timestampMs)
        this.#repeats++
        continue
      }
      try {
        this.#decoder.add(value)
      } catch (error) {
        if (!(error instanceof WeirError)) throw error
        // What alone is beyond a limit will always be.
        const isFull = error.code !== 'ENTRY_MALFORMED' && !(isFresh && at === 0)
        if (isFull) return at
        this.#parts.malformed(offset, error)
      }
      if (hasSource) taken.add(source, timestampMs)
    }
    return entries.length
  }
}
