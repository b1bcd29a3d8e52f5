/**
 * The stream stage of one partition: entries in, entries out. A pure function of the partition's
 * entries, like the processor inside: whoever processes them again from a checkpoint on gets the
 * same, however they are cut into reads.
 *
 * That is why the clock moves by ticks alone, of which gateways write one a second: everything
 * between two ticks is processed under the first one's time, whether it came in one read or in ten.
 * What waits for a time happens only as the clock moves: frames of one time are as good as one.
 * Rules and what is known of devices change between two messages, wherever a read is cut.
 */
import { encodeFrame, type Definitions, type ReadingBatch } from '../batch/batch.ts'
import { MessageDecoder, withoutReadings, type ControlEntry } from '../entries/entries.ts'
import { WeirError } from '../errors/errors.ts'
import type { NewEntry, ReadEntry } from '../kafka/kafka.ts'
import type { Plan } from '../pipeline/pipeline.ts'
import type { StreamCheckpoint } from '../postgres/stream-state.ts'
import type { StreamLimits } from '../stream/limits.ts'
import { StreamProcessor } from '../stream/processor.ts'
import { FATE_DUPLICATE, type StreamOutput } from '../stream/stream.ts'
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
  /** Of events and dead letters. */
  eventPartition: number
  plan: Plan
  limits: StreamLimits & { textsMax: number }
  /** An entry that nobody can read: it becomes a dead letter. */
  malformed: (offset: number, error: WeirError) => void
  /** Sees each output, for those who watch live. */
  tap: {
    define(definitions: Definitions): void
    tap(output: StreamOutput, isReplayed: boolean): void
  }
}

export class PartitionStream {
  readonly processor: StreamProcessor
  readonly #parts: PartitionStreamParts
  readonly #decoder: MessageDecoder
  readonly #output: OutputEntries
  #nextOffset = 0
  #clockUs = NaN
  #emittedOffset = -1
  /** Messages of the frame that is being filled. */
  #entries: ReadEntry[] = []
  /** Since the last checkpoint. Rules are in the processor's. */
  #definitions: Required<Omit<Definitions, 'rules'>> = { series: [], texts: [], devices: [] }

  constructor(parts: PartitionStreamParts) {
    this.#parts = parts
    const { plan, limits } = parts
    this.processor = new StreamProcessor({ plan, limits })
    this.#decoder = new MessageDecoder(limits)
    this.#output = new OutputEntries(parts)
  }

  /** Where to read on. */
  get nextOffset(): number {
    return this.#nextOffset
  }

  /** Without a checkpoint the partition begins at `firstOffset`. Call it first. */
  restore(checkpoint: StreamCheckpoint | undefined, firstOffset: number): void {
    this.#nextOffset = Math.max(checkpoint?.nextOffset ?? 0, firstOffset)
    if (checkpoint === undefined) return
    const { definitions, clockUs, parts } = checkpoint
    this.#clockUs = clockUs
    this.#decoder.restore(definitions)
    this.#output.define(definitions)
    this.#parts.tap.define(definitions)
    const owned = parts.map(({ name, bytes }) => ({ name, bytes: Uint8Array.from(bytes) }))
    this.processor.restore(owned, definitions)
  }

  /** Readings of messages up to this offset are in their topic already, and are not given again. */
  skipThrough(offset: number): void {
    this.#emittedOffset = offset
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

  /** The state after all that was processed. */
  checkpoint(): StreamCheckpoint {
    const { parts } = this.processor.checkpoint(this.#nextOffset - 1)
    const definitions = this.#definitions
    this.#definitions = { series: [], texts: [], devices: [] }
    const { partition } = this.#parts
    return { partition, nextOffset: this.#nextOffset, clockUs: this.#clockUs, parts, definitions }
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
      this.#parts.malformed(entry.offset, error)
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
    const { watermarkUs } = this.processor.statistics()
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
    if (definitions !== undefined) {
      this.#output.define(definitions)
      this.#definitions.series.push(...definitions.series)
      this.#definitions.texts.push(...definitions.texts)
      this.#definitions.devices.push(...(definitions.devices ?? []))
    }
    const output = this.processor.process(this.#nextOffset - 1, encodeFrame(batch))
    this.#parts.tap.tap(output, false)
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
    const { partition } = this.#parts
    let from = 0
    for (const [message, { key, value, offset: source }] of entries.entries()) {
      const to = from + readingsInMessage[message]!
      const own = fates?.subarray(from, to)
      const repeats = own?.filter((fate) => fate === FATE_DUPLICATE).length ?? 0
      from = to
      if (own !== undefined && repeats === own.length) continue
      if (source <= this.#emittedOffset) continue
      const kept =
        own === undefined || repeats === 0
          ? value
          : withoutReadings(value, (reading) => own[reading] !== FATE_DUPLICATE)
      into.push({ partition, ...(key !== undefined && { key }), value: kept, source })
    }
  }
}
