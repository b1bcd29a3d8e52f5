/**
 * A topic behind the stream into one PostgreSQL: rows and their offset are one transaction.
 *
 * **Of several stores each has a TopicWriter of its own**, which reads the whole topic and keeps
 * the devices of its range: with its own offsets and its own lease, so each store's transactions
 * are exact for themselves, and a store that is away or slow holds up no other. The price: the
 * topic is read and decoded once per store. One reader that split its batches would save that, but
 * would have to go on from the lowest offset of all, at the pace of the slowest.
 */
import type { WeirError } from '../errors/errors.ts'
import type { HashRange, Lease, PostgresWriter } from '../postgres/postgres.ts'
import type {
  DecodedPartition,
  EntryDecoder,
  TopicSpan,
  TopicTarget,
  Written,
} from './topic-writer.ts'
import { createDecoder, type BatchKind, type KnownMax, type Rows } from './writer-batches.ts'

export interface PostgresTargetParts {
  writer: PostgresWriter
  kind: BatchKind
  /** The devices that are kept. */
  range: HashRange
  known: KnownMax
  malformed: (topic: string, offset: number, error: WeirError) => void
}

export class PostgresTarget implements TopicTarget<Rows> {
  readonly isCopy = false
  readonly #parts: PostgresTargetParts
  /** Readings that were there, since start. */
  duplicates = 0
  /** Readings that were left out because they were erased, since start. */
  erased = 0

  constructor(parts: PostgresTargetParts) {
    this.#parts = parts
  }

  claim(): Promise<Lease | undefined> {
    return this.#parts.writer.claim(`writer-${this.#parts.kind}`)
  }

  offsets(topic: string): Promise<Map<number, number>> {
    return this.#parts.writer.offsets(topic)
  }

  createDecoder({ topic, partition, generation }: DecodedPartition): EntryDecoder<Rows> {
    const { kind, range, known, malformed } = this.#parts
    return createDecoder(kind, {
      ...{ partition, generation, range, known },
      malformed: (offset, error) => malformed(topic, offset, error),
    })
  }

  async write(lease: Lease, span: TopicSpan, rows: Rows): Promise<Written> {
    const result = await this.#parts.writer.write(lease, { ...span, ...rows })
    this.duplicates += result.duplicates
    this.erased += result.erasedReadings
    return result
  }
}
