/** A topic behind the stream into PostgreSQL: rows and their offset are one transaction. */
import type { DecoderLimits } from '../entries/entries.ts'
import type { WeirError } from '../errors/errors.ts'
import type { Lease, PostgresWriter } from '../postgres/postgres.ts'
import type { EntryDecoder, TopicSpan, TopicTarget, Written } from './topic-writer.ts'
import { createDecoder, type BatchKind, type Rows } from './writer-batches.ts'

export interface PostgresTargetParts {
  writer: PostgresWriter
  kind: BatchKind
  topic: string
  limits: DecoderLimits
  malformed: (offset: number, error: WeirError) => void
}

export class PostgresTarget implements TopicTarget<Rows> {
  readonly isCopy = false
  readonly #parts: PostgresTargetParts
  /** Readings that were there, since start. */
  duplicates = 0

  constructor(parts: PostgresTargetParts) {
    this.#parts = parts
  }

  claim(): Promise<Lease | undefined> {
    return this.#parts.writer.claim(`writer-${this.#parts.kind}`)
  }

  offsets(): Promise<Map<number, number>> {
    return this.#parts.writer.offsets(this.#parts.topic)
  }

  createDecoder(partition: number): EntryDecoder<Rows> {
    const { kind, limits, malformed } = this.#parts
    return createDecoder(kind, { partition, limits, malformed })
  }

  async write(lease: Lease, span: TopicSpan, rows: Rows): Promise<Written> {
    const { writer, topic } = this.#parts
    const result = await writer.write(lease, { topic, ...span, ...rows })
    this.duplicates += result.duplicates
    return result
  }
}
