/**
 * Entries of one partition of the readings topic as batches for the lake. Numbers of series and
 * texts mean something within a batch alone here, so when they are used up they begin anew: the
 * lake leaves out no reading of an entry that can be read.
 */
import type { DecoderLimits } from '../entries/entries.ts'
import { WeirError } from '../errors/errors.ts'
import type { ReadEntry } from '../kafka/kafka.ts'
import type { LakeBatch, LakeSeries } from '../lake/lake.ts'
import { ReadingDecoder } from './reading-columns.ts'

export interface LakeReadingsParts {
  topic: string
  partition: number
  limits: DecoderLimits
  malformed: (offset: number, error: WeirError) => void
}

export class LakeReadings {
  readonly #parts: LakeReadingsParts
  #names: LakeSeries[] = []
  #decoder: ReadingDecoder

  constructor(parts: LakeReadingsParts) {
    this.#parts = parts
    this.#decoder = this.#begin()
  }

  /** A batch of the first entries (at least one), good until the next call, and the others. */
  decode(entries: readonly ReadEntry[]): { batch: LakeBatch; rest: readonly ReadEntry[] } {
    this.#decoder.begin()
    let end = this.#add(entries)
    if (end === 0) {
      this.#decoder = this.#begin()
      end = this.#add(entries, { isFresh: true })
    }
    const { topic, partition } = this.#parts
    const offsets = [{ topic, partition, nextOffset: entries[end - 1]!.offset + 1 }]
    const { texts } = this.#decoder
    const batch = { ...this.#decoder.take(), names: this.#names, texts, offsets }
    return { batch, rest: entries.slice(end) }
  }

  #begin(): ReadingDecoder {
    const names: LakeSeries[] = []
    this.#names = names
    const decoder = new ReadingDecoder(this.#parts.limits, (series) => names.push(series))
    decoder.begin()
    return decoder
  }

  /** Until numbers are used up: the place of the entry that found none. */
  #add(entries: readonly ReadEntry[], { isFresh = false } = {}): number {
    for (const [at, { value, offset }] of entries.entries()) {
      try {
        this.#decoder.add(value)
      } catch (error) {
        if (!(error instanceof WeirError)) throw error
        // What alone is beyond a limit will always be.
        const isFull = error.code !== 'ENTRY_MALFORMED' && !(isFresh && at === 0)
        if (isFull) return at
        this.#parts.malformed(offset, error)
      }
    }
    return entries.length
  }
}
