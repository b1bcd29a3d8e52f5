/**
 * The gateway's log on a cluster: a frame becomes one entry a message in Kafka, each in the
 * partition of its device. One frame is on its way at a time, so the order per device and
 * connection is kept.
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
  bytes = 0
  /** By partition; ticks are not counted. */
  readonly entries: Float64Array

  constructor(parts: EntryLogParts) {
    this.#parts = parts
    this.entries = new Float64Array(parts.partitions)
    this.#encoder = new MessageEncoder({ partitions: parts.partitions })
  }

  /**
   * Resolves with the number of the frame once all brokers that must have it do. After an error
   * some of it may be there: appended again it is a repeat, which the stream takes out.
   */
  async append(frame: Uint8Array): Promise<number> {
    const { counts, bytes, appended } = this.#start(frame)
    await appended
    for (const [partition, count] of counts.entries()) this.entries[partition]! += count
    this.bytes += bytes
    return this.#frames++
  }

  /**
   * Not in append(), which would hold thousands of entries until the brokers answer: the collector
   * copies what lives that long twice. It took 0.66 µs a message so, and takes 0.26.
   */
  #start(frame: Uint8Array): { counts: Uint32Array; bytes: number; appended: Promise<unknown> } {
    const { telemetry, deadLetters, partitions } = this.#parts
    const batch = decodeFrame(frame)
    const entries = this.#encoder.encode(batch)
    const refused = (batch.deadLetters ?? []).map((one) => toEntry(one, partitions))
    const appended = Promise.all([
      telemetry.append(entries),
      refused.length > 0 ? deadLetters.append(refused) : undefined,
    ])
    const counts = new Uint32Array(partitions)
    let bytes = 0
    for (const { value, key, partition } of entries) {
      bytes += value.length
      if (key !== undefined) counts[partition]!++
    }
    return { counts, bytes, appended }
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
