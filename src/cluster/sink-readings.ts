/**
 * Entries of one partition of the readings topic as batches for a sink. Names go with each batch,
 * so when numbers of series or texts are used up they begin anew, in a batch of its own: no reading
 * of an entry that can be read is left out.
 */
import type { SeriesName } from '../batch/batch.ts'
import type { DecoderLimits } from '../entries/entries.ts'
import { WeirError } from '../errors/errors.ts'
import type { ReadEntry } from '../kafka/kafka.ts'
import type { SinkBatch } from '../line-sink/line-sink.ts'
import { ReadingDecoder, takeTexts } from './reading-columns.ts'
import type { EntryDecoder } from './topic-writer.ts'

export class SinkReadings implements EntryDecoder<SinkBatch[]> {
  readonly #limits: DecoderLimits
  readonly #malformed: (offset: number, error: WeirError) => void
  #names: SeriesName[] = []
  #decoder: ReadingDecoder

  constructor(limits: DecoderLimits, malformed: (offset: number, error: WeirError) => void) {
    this.#limits = limits
    this.#malformed = malformed
    this.#decoder = this.#renew()
  }

  decode(entries: readonly ReadEntry[]): SinkBatch[] {
    const batches: SinkBatch[] = []
    this.#decoder.begin()
    for (const { value, offset } of entries) {
      let refusal = this.#add(value)
      if (refusal !== undefined && refusal.code !== 'ENTRY_MALFORMED') {
        batches.push(this.#take())
        this.#decoder = this.#renew()
        refusal = this.#add(value)
      }
      if (refusal !== undefined) this.#malformed(offset, refusal)
    }
    batches.push(this.#take())
    return batches.filter(({ count }) => count > 0)
  }

  #renew(): ReadingDecoder {
    const names: SeriesName[] = []
    this.#names = names
    const decoder = new ReadingDecoder(this.#limits, (series) => names.push(series))
    decoder.begin()
    return decoder
  }

  /** Why it cannot be taken; nothing of it is there then. */
  #add(value: Uint8Array): WeirError | undefined {
    try {
      this.#decoder.add(value)
      return undefined
    } catch (error) {
      if (error instanceof WeirError) return error
      throw error
    }
  }

  #take(): SinkBatch {
    const { count, timeUs, ...columns } = this.#decoder.take()
    const names = this.#names
    // The decoder uses its columns again.
    const series = columns.series.slice()
    const value = columns.value.slice()
    const { texts } = this.#decoder
    const isText = (one: number): boolean => names[one]!.kind === 'text'
    const taken = takeTexts({ series, value, texts }, isText)
    return { names, count, series, timeUs, value, texts: taken }
  }
}
