/**
 * The batch being filled: growing columns that every decoder writes into and every seal empties.
 * A message counts once endMessage() is called; what was written before that is overwritten by the
 * next one, so that a message found bad in the middle leaves no trace.
 */
import {
  encodeFrame,
  type DeadLetter,
  type Definitions,
  type ReadingBatch,
} from '../batch/batch.ts'

const MESSAGES_AT_FIRST = 1024
const READINGS_AT_FIRST = 4096
/** What a u32 holds: 71 minutes. */
const DELTA_US_MAX = 2 ** 32 - 1

/** Where a body began. */
interface BatchMark {
  messages: number
  readings: number
  deadLetters: number
  deadLetterBytes: number
}

export class BatchBuilder {
  messageCount = 0
  readingCount = 0
  baseIngestTimeUs = 0
  eventTimeUs = new Float64Array(MESSAGES_AT_FIRST)
  ingestDeltaUs = new Uint32Array(MESSAGES_AT_FIRST)
  device = new Uint32Array(MESSAGES_AT_FIRST)
  identityHigh = new Uint32Array(MESSAGES_AT_FIRST)
  identityLow = new Uint32Array(MESSAGES_AT_FIRST)
  readingsInMessage = new Uint16Array(MESSAGES_AT_FIRST)
  flags = new Uint8Array(MESSAGES_AT_FIRST)
  value = new Float64Array(READINGS_AT_FIRST)
  series = new Uint32Array(READINGS_AT_FIRST)
  deadLetters: DeadLetter[] = []
  /** At most what the dead letters take in the frame. */
  deadLetterBytes = 0
  #identityCount = 0

  get isEmpty(): boolean {
    return this.messageCount === 0 && this.deadLetters.length === 0
  }

  /** Makes room for one more message of `readings` readings. Call before writing its columns. */
  reserve(readings: number): void {
    if (this.messageCount + 1 > this.device.length) this.#growMessages()
    if (this.readingCount + readings > this.value.length) this.#growReadings(readings)
  }

  /** The message whose readings were written at readingCount… counts from now on. */
  endMessage(message: {
    device: number
    eventTimeUs: number
    ingestTimeUs: number
    flags: number
    identityHigh: number
    identityLow: number
    readings: number
  }): void {
    const m = this.messageCount
    if (m === 0) this.baseIngestTimeUs = message.ingestTimeUs
    this.eventTimeUs[m] = message.eventTimeUs
    // A wall clock that was set gives the nearest that fits: ingest time never runs backwards
    // inside a batch, nor more than an hour ahead.
    const deltaUs = message.ingestTimeUs - this.baseIngestTimeUs
    this.ingestDeltaUs[m] = Math.min(Math.max(0, deltaUs), DELTA_US_MAX)
    this.device[m] = message.device
    this.identityHigh[m] = message.identityHigh
    this.identityLow[m] = message.identityLow
    if ((message.identityHigh | message.identityLow) !== 0) this.#identityCount++
    this.readingsInMessage[m] = message.readings
    this.flags[m] = message.flags
    this.messageCount = m + 1
    this.readingCount += message.readings
  }

  /** Forgets every message after `mark`; for a body that turns out to be no JSON at its end. */
  rollback(mark: BatchMark): void {
    this.messageCount = mark.messages
    this.readingCount = mark.readings
    this.deadLetters.length = mark.deadLetters
    this.deadLetterBytes = mark.deadLetterBytes
  }

  mark(): BatchMark {
    const { messageCount: messages, readingCount: readings, deadLetters, deadLetterBytes } = this
    return { messages, readings, deadLetters: deadLetters.length, deadLetterBytes }
  }

  /** Empties the builder into a frame. A batch without messages takes `nowUs` as its time. */
  seal(
    nowUs: number,
    definitions: Definitions | undefined,
    allocate: (bytes: number) => ArrayBuffer,
  ): Uint8Array<ArrayBuffer> {
    const hasIdentities = this.#identityCount > 0
    const batch: ReadingBatch = {
      messageCount: this.messageCount,
      readingCount: this.readingCount,
      baseIngestTimeUs: this.messageCount === 0 ? nowUs : this.baseIngestTimeUs,
      eventTimeUs: this.eventTimeUs,
      ingestDeltaUs: this.ingestDeltaUs,
      device: this.device,
      identityHigh: hasIdentities ? this.identityHigh : undefined,
      identityLow: hasIdentities ? this.identityLow : undefined,
      readingsInMessage: this.readingsInMessage,
      flags: this.flags,
      value: this.value,
      series: this.series,
      definitions,
      deadLetters: this.deadLetters.length > 0 ? this.deadLetters : undefined,
    }
    const frame = encodeFrame(batch, allocate)
    this.messageCount = 0
    this.readingCount = 0
    this.#identityCount = 0
    this.deadLetters = []
    this.deadLetterBytes = 0
    return frame
  }

  #growMessages(): void {
    const capacity = this.device.length * 2
    this.eventTimeUs = grown(this.eventTimeUs, new Float64Array(capacity))
    this.ingestDeltaUs = grown(this.ingestDeltaUs, new Uint32Array(capacity))
    this.device = grown(this.device, new Uint32Array(capacity))
    this.identityHigh = grown(this.identityHigh, new Uint32Array(capacity))
    this.identityLow = grown(this.identityLow, new Uint32Array(capacity))
    this.readingsInMessage = grown(this.readingsInMessage, new Uint16Array(capacity))
    this.flags = grown(this.flags, new Uint8Array(capacity))
  }

  #growReadings(atLeast: number): void {
    let capacity = this.value.length * 2
    while (capacity < this.readingCount + atLeast) capacity *= 2
    this.value = grown(this.value, new Float64Array(capacity))
    this.series = grown(this.series, new Uint32Array(capacity))
  }
}

function grown<T extends { set(from: T): void }>(from: T, to: T): T {
  to.set(from)
  return to
}
