/**
 * What the job of Flink is held to: the stream stage of TypeScript, as it runs embedded, on the
 * entries of one partition. A pure function of them, like the processor inside: the clock moves by
 * ticks alone, of which gateways write one a second, and what waits for a time happens only as it
 * moves. Rules and what is known of devices change between two messages.
 */
import { encodeFrame, type ReadingBatch } from '../../../src/batch/batch.ts'
import { MessageDecoder, withoutReadings, type ControlEntry } from '../../../src/entries/entries.ts'
import { WeirError } from '../../../src/errors/errors.ts'
import type { NewEntry, ReadEntry } from '../../../src/kafka/kafka.ts'
import type { Plan } from '../../../src/pipeline/pipeline.ts'
import type { StreamLimits } from '../../../src/stream/limits.ts'
import { StreamProcessor } from '../../../src/stream/processor.ts'
import { FATE_DUPLICATE } from '../../../src/stream/stream.ts'
import { OutputEntries } from './output-entries.ts'

/**
 * Ticks of two gateways may cross by so much, and such a one does nothing but say the watermark; a
 * step back beyond it is a clock that was set (`clock-steps.ts`).
 */
const CROSSING_US_MAX = 1_000_000

/** What the entries of one read gave, for the topics of readings, windows and events. */
export interface StreamEntries {
  readings: NewEntry[]
  windows: NewEntry[]
  events: NewEntry[]
  /** Entries that nobody can read. */
  deadLetters: NewEntry[]
}

export interface PartitionStreamParts {
  partition: number
  plan: Plan
  limits: StreamLimits & { textsMax: number }
}

export class PartitionStream {
  readonly #processor: StreamProcessor
  readonly #partition: number
  readonly #decoder: MessageDecoder
  readonly #output: OutputEntries
  #nextOffset = 0
  #clockUs = NaN
  /** Messages of the frame that is being filled. */
  #entries: ReadEntry[] = []

  constructor(parts: PartitionStreamParts) {
    const { plan, limits, partition } = parts
    this.#partition = partition
    this.#processor = new StreamProcessor({ plan, limits })
    this.#decoder = new MessageDecoder(limits)
    this.#output = new OutputEntries({ partition, eventPartition: partition })
  }

  process(entries: readonly ReadEntry[]): StreamEntries {
    const into: StreamEntries = { readings: [], windows: [], events: [], deadLetters: [] }
    // Before the first tick ever.
    if (Number.isNaN(this.#clockUs)) this.#clockUs = (entries[0]?.timestampMs ?? NaN) * 1000
    this.#begin()
    for (const entry of entries) {
      this.#nextOffset = entry.offset + 1
      const told = this.#add(entry, into)
      if (typeof told === 'number') this.#tick(told, into)
      else if (told !== undefined) this.#change(told, into)
    }
    this.#flush(into)
    return into
  }

  #begin(): void {
    this.#decoder.begin(this.#clockUs)
    this.#entries = []
  }

  /** What it tells, when it is no message. */
  #add(entry: ReadEntry, into: StreamEntries): number | ControlEntry | undefined {
    try {
      const told = this.#decoder.add(entry.value)
      if (told === undefined) this.#entries.push(entry)
      return told
    } catch (error) {
      if (!(error instanceof WeirError)) throw error
      into.deadLetters.push(this.#output.deadLetter(entry, error))
      return undefined
    }
  }

  #tick(tickUs: number, into: StreamEntries): void {
    this.#flush(into)
    const isCrossing = tickUs < this.#clockUs && tickUs >= this.#clockUs - CROSSING_US_MAX
    if (!isCrossing) this.#clockUs = tickUs
    this.#begin()
    this.#run(this.#decoder.take(), [], into)
    const { watermarkUs } = this.#processor.statistics()
    if (Number.isFinite(watermarkUs)) into.windows.push(this.#output.watermark(watermarkUs))
    this.#begin()
  }

  /** Devices that are new in a row are one change, as is what they say next; one device is not. */
  #change(told: ControlEntry, into: StreamEntries): void {
    const isLater = 'device' in told && this.#decoder.hasFactsOf(told.device)
    if ('rules' in told || isLater || this.#entries.length > 0) this.#flush(into)
    this.#decoder.define(told)
    if ('rules' in told) this.#flush(into)
  }

  #flush(into: StreamEntries): void {
    if (this.#entries.length === 0 && !this.#decoder.isDefining) return
    this.#run(this.#decoder.take(), this.#entries, into)
    this.#begin()
  }

  #run(batch: ReadingBatch, entries: readonly ReadEntry[], into: StreamEntries): void {
    const { definitions } = batch
    if (definitions !== undefined) this.#output.define(definitions)
    const output = this.#processor.process(this.#nextOffset - 1, encodeFrame(batch))
    this.#passReadings(batch, output.fates, entries, into.readings)
    this.#output.addWindows(output, into.windows)
    this.#output.addEvents(output, into.events)
  }

  /**
   * What is fresh goes on byte for byte. By its source, the offset of the message, readers know a
   * repeat: sources of a partition ascend, except where the stream began again from a checkpoint.
   */
  #passReadings(
    { readingsInMessage }: ReadingBatch,
    fates: Uint8Array | undefined,
    entries: readonly ReadEntry[],
    into: NewEntry[],
  ): void {
    const partition = this.#partition
    let from = 0
    for (const [message, { key, value, offset: source }] of entries.entries()) {
      const to = from + readingsInMessage[message]!
      const own = fates?.subarray(from, to)
      const repeats = own?.filter((fate) => fate === FATE_DUPLICATE).length ?? 0
      from = to
      if (own !== undefined && repeats === own.length) continue
      const kept =
        own === undefined || repeats === 0
          ? value
          : withoutReadings(value, (reading) => own[reading] !== FATE_DUPLICATE)
      into.push({ partition, ...(key !== undefined && { key }), value: kept, source })
    }
  }
}
