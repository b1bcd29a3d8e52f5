/** The growing columns of a batch that is decoded. */
import type { Definitions, ReadingBatch } from '../batch/batch.ts'

const MESSAGES_AT_FIRST = 1024
const READINGS_AT_FIRST = 4096
/** What a u32 holds: 71 minutes. */
const DELTA_US_MAX = 2 ** 32 - 1

export interface DecodedMessage {
  device: number
  eventUs: number
  /** Behind the batch's base. */
  deltaUs: number
  flags: number
  readings: number
  /** Its first 8 bytes. */
  identity: Uint8Array | undefined
}

export class MessageColumns {
  #messages = 0
  #readings = 0
  #identities = 0
  #eventUs = new Float64Array(MESSAGES_AT_FIRST)
  #deltaUs = new Uint32Array(MESSAGES_AT_FIRST)
  #device = new Uint32Array(MESSAGES_AT_FIRST)
  #identityHigh = new Uint32Array(MESSAGES_AT_FIRST)
  #identityLow = new Uint32Array(MESSAGES_AT_FIRST)
  #readingsInMessage = new Uint16Array(MESSAGES_AT_FIRST)
  #flags = new Uint8Array(MESSAGES_AT_FIRST)
  #value = new Float64Array(READINGS_AT_FIRST)
  #series = new Uint32Array(READINGS_AT_FIRST)

  clear(): void {
    this.#messages = 0
    this.#readings = 0
    this.#identities = 0
  }

  /** Room for so many readings of the message under way. */
  reserve(readings: number): void {
    const needed = this.#readings + readings
    if (needed <= this.#value.length) return
    const capacity = Math.max(needed, this.#value.length * 2)
    this.#value = grown(this.#value, new Float64Array(capacity))
    this.#series = grown(this.#series, new Uint32Array(capacity))
  }

  /** Reading `at` of the message under way. */
  put(at: number, series: number, value: number): void {
    this.#series[this.#readings + at] = series
    this.#value[this.#readings + at] = value
  }

  /** The message whose readings were put counts from now on. */
  endMessage({ device, eventUs, deltaUs, flags, readings, identity }: DecodedMessage): void {
    const m = this.#messages
    if (m === this.#device.length) this.#growMessages()
    this.#device[m] = device
    this.#eventUs[m] = eventUs
    this.#deltaUs[m] = Math.min(Math.max(0, deltaUs), DELTA_US_MAX)
    this.#flags[m] = flags
    this.#readingsInMessage[m] = readings
    this.#identityHigh[m] = identity === undefined ? 0 : word(identity, 0)
    this.#identityLow[m] = identity === undefined ? 0 : word(identity, 4)
    if (identity !== undefined) this.#identities++
    this.#messages = m + 1
    this.#readings += readings
  }

  batch(baseIngestTimeUs: number, definitions: Definitions | undefined): ReadingBatch {
    return {
      messageCount: this.#messages,
      readingCount: this.#readings,
      baseIngestTimeUs,
      eventTimeUs: this.#eventUs,
      ingestDeltaUs: this.#deltaUs,
      device: this.#device,
      identityHigh: this.#identities > 0 ? this.#identityHigh : undefined,
      identityLow: this.#identities > 0 ? this.#identityLow : undefined,
      readingsInMessage: this.#readingsInMessage,
      flags: this.#flags,
      value: this.#value,
      series: this.#series,
      definitions,
      deadLetters: undefined,
    }
  }

  #growMessages(): void {
    const capacity = this.#device.length * 2
    this.#eventUs = grown(this.#eventUs, new Float64Array(capacity))
    this.#deltaUs = grown(this.#deltaUs, new Uint32Array(capacity))
    this.#device = grown(this.#device, new Uint32Array(capacity))
    this.#identityHigh = grown(this.#identityHigh, new Uint32Array(capacity))
    this.#identityLow = grown(this.#identityLow, new Uint32Array(capacity))
    this.#readingsInMessage = grown(this.#readingsInMessage, new Uint16Array(capacity))
    this.#flags = grown(this.#flags, new Uint8Array(capacity))
  }
}

/** Big endian. */
const word = (bytes: Uint8Array, at: number): number =>
  ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0

function grown<T extends Float64Array | Uint32Array | Uint16Array | Uint8Array>(
  from: T,
  into: T,
): T {
  into.set(from)
  return into
}
