/**
 * Entries of one partition of the readings topic as batches for the lake. Numbers of series and
 * texts mean something within a batch alone here, so when they are used up they begin anew: the
 * lake leaves out no reading of an entry that can be read.
 *
 * A stream that went on from a checkpoint has written entries again. Their sources, offsets of the
 * telemetry topic, were there before, so each is taken once; how far they came is an offset of the
 * lake as well.
 */
import type { SeriesName } from '../batch/batch.ts'
import type { DecoderLimits } from '../entries/entries.ts'
import { WeirError } from '../errors/errors.ts'
import type { ReadEntry } from '../kafka/kafka.ts'
import type { LakeBatch } from '../lake/lake.ts'
import { ReadingDecoder } from './reading-columns.ts'

export interface LakeReadingsParts {
  topic: string
  sourceTopic: string
  partition: number
  /** The first that was not taken yet. */
  nextSource: number
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
}

export class LakeReadings {
  readonly #parts: LakeReadingsParts
  #names: SeriesName[] = []
  #decoder: ReadingDecoder
  #nextSource: number
  #repeats = 0

  constructor(parts: LakeReadingsParts) {
    this.#parts = parts
    this.#nextSource = parts.nextSource
    this.#decoder = this.#begin()
  }

  decode(entries: readonly ReadEntry[]): DecodedEntries {
    this.#decoder.begin()
    this.#repeats = 0
    let end = this.#add(entries)
    if (end === 0) {
      this.#decoder = this.#begin()
      end = this.#add(entries, { isFresh: true })
    }
    const { topic, sourceTopic, partition } = this.#parts
    const offsets = [{ topic, partition, nextOffset: entries[end - 1]!.offset + 1 }]
    if (this.#nextSource > 0) {
      offsets.push({ topic: sourceTopic, partition, nextOffset: this.#nextSource })
    }
    const { texts } = this.#decoder
    const batch = { ...this.#decoder.take(), names: this.#names, texts, offsets }
    return { batch, rest: entries.slice(end), repeats: this.#repeats }
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
    for (const [at, { value, offset, source }] of entries.entries()) {
      if (source !== undefined && source < this.#nextSource) {
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
      if (source !== undefined) this.#nextSource = source + 1
    }
    return entries.length
  }
}
