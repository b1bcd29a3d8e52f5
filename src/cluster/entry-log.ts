/**
 * The gateway's log on a cluster: a frame becomes one entry a message in Kafka, each in its device's
 * partition. One frame is on its way at a time, so the order per device and connection is kept.
 */
import { decodeFrame, type DeadLetter } from '../batch/batch.ts'
import { deviceKey, MessageEncoder, partitionOf } from '../entries/entries.ts'
import type { Appender, NewEntry } from '../kafka/kafka.ts'
import type { LogAppender } from '../log/log.ts'

const text = new TextEncoder()

export interface EntryLogParts {
  telemetry: Appender
  deadLetters: Appender
  partitions: number
}

export class EntryLog implements LogAppender {
  readonly #parts: EntryLogParts
  readonly #encoder: MessageEncoder
  #frames = 0
  /** Totals since start. */
  entries = 0
  bytes = 0

  constructor(parts: EntryLogParts) {
    this.#parts = parts
    this.#encoder = new MessageEncoder({ partitions: parts.partitions })
  }

  /**
   * Resolves with the number of the frame once all brokers that must have it do. After an error
   * some of it may be there: appended again it is a repeat, which the stream takes out.
   */
  async append(frame: Uint8Array): Promise<number> {
    const { count, bytes, appended } = this.#start(frame)
    await appended
    this.entries += count
    this.bytes += bytes
    return this.#frames++
  }

  /**
   * Not in append(), which would hold thousands of entries until the brokers answer: the collector
   * copies what lives that long twice. It took 0.66 µs a message so, and takes 0.26.
   */
  #start(frame: Uint8Array): { count: number; bytes: number; appended: Promise<unknown> } {
    const { telemetry, deadLetters, partitions } = this.#parts
    const batch = decodeFrame(frame)
    const entries = this.#encoder.encode(batch)
    const refused = (batch.deadLetters ?? []).map((one) => toEntry(one, partitions))
    const appended = Promise.all([
      telemetry.append(entries),
      refused.length > 0 ? deadLetters.append(refused) : undefined,
    ])
    let bytes = 0
    for (const { value } of entries) bytes += value.length
    return { count: entries.length, bytes, appended }
  }

  async close(): Promise<void> {
    await Promise.all([this.#parts.telemetry.close(), this.#parts.deadLetters.close()])
  }
}

function toEntry(deadLetter: DeadLetter, partitions: number): NewEntry {
  const key = deviceKey(deadLetter.tenant, deadLetter.deviceId)
  const value = text.encode(JSON.stringify(deadLetter))
  return { partition: partitionOf(key, partitions), key, value }
}
