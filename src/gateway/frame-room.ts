/**
 * Keeps a batch below the size of a log entry: a frame that does not fit could never become
 * durable, nor could anything behind it. The shares of the room that an entry has:
 *
 *   1/4 readings, 1/8 dead letters and definitions    then the batch is sealed
 *   1/16 facts of devices                             then too, and what is more waits
 *   1/2 all of it                                     then a body that cannot be cut is refused
 *   1/8 readings or dead letter of one message, 1/4 definitions    what may come on top
 */
import { WeirError } from '../errors/errors.ts'
import type { BatchBuilder } from './batch-builder.ts'
import type { Dictionary } from './dictionary.ts'

/** Of a reading's message (27) and its reading (12); see the layout of a frame. */
const READING_BYTES_MAX = 39
const MESSAGE_BYTES = 27
const READING_BYTES = 12
/** A body makes the batch grow while nothing is written: 430,000 messages of one reading. */
const BODY_BYTES_MAX = 16 << 20
/** In JSON a character takes at most six bytes. */
export const JSON_BYTES_MAX = 6

export interface RoomLimits {
  batchReadingsMax: number
  /** The largest frame that the log takes. */
  frameBytesMax: number
}

/** How much one message may bring, so that it fits behind what is there already. */
export function messageShare({ frameBytesMax }: RoomLimits): {
  readingsMax: number
  definitionBytesMax: number
  factsBytesMax: number
  payloadBytesMax: number
} {
  const share = frameBytesMax / 8
  return {
    readingsMax: Math.floor(share / READING_BYTES),
    definitionBytesMax: 2 * share,
    factsBytesMax: share / 2,
    payloadBytesMax: Math.floor(share / JSON_BYTES_MAX),
  }
}

export class FrameRoom {
  readonly #builder: BatchBuilder
  readonly #dictionary: Dictionary
  readonly #readingsMax: number
  readonly #otherBytesMax: number
  readonly #bodyBytesMax: number

  constructor(parts: { builder: BatchBuilder; dictionary: Dictionary }, limits: RoomLimits) {
    this.#builder = parts.builder
    this.#dictionary = parts.dictionary
    const { batchReadingsMax, frameBytesMax } = limits
    const readings = Math.floor(frameBytesMax / 4 / READING_BYTES_MAX)
    this.#readingsMax = Math.min(batchReadingsMax, readings)
    this.#otherBytesMax = frameBytesMax / 8
    this.#bodyBytesMax = Math.min(frameBytesMax / 2, BODY_BYTES_MAX)
  }

  /** True when the batch should be sealed before more is put into it. */
  get isFull(): boolean {
    if (this.#dictionary.hasManyFacts) return true
    return (
      this.#builder.readingCount >= this.#readingsMax || this.#otherBytes >= this.#otherBytesMax
    )
  }

  get #otherBytes(): number {
    return this.#builder.deadLetterBytes + this.#dictionary.newBytes
  }

  /** Throws TELEMETRY_LIMIT_EXCEEDED when the body that is being decoded has grown too large. */
  check(): void {
    const { messageCount, readingCount } = this.#builder
    const bytes = messageCount * MESSAGE_BYTES + readingCount * READING_BYTES + this.#otherBytes
    if (bytes <= this.#bodyBytesMax) return
    const detail = 'the body holds more than fits into one entry of the log: send smaller ones'
    throw new WeirError('TELEMETRY_LIMIT_EXCEEDED', detail)
  }
}
