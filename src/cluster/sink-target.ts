/**
 * The readings topic into another database: first the database has them, then the offset moves, in
 * PostgreSQL. What was cut off between the two is written again, and replaces itself.
 */
import type { DecoderLimits } from '../entries/entries.ts'
import type { WeirError } from '../errors/errors.ts'
import type { LineSink, SinkBatch, SinkReport } from '../line-sink/line-sink.ts'
import { SeriesIds, type Lease, type PostgresWriter } from '../postgres/postgres.ts'
import { SinkReadings } from './sink-readings.ts'
import type {
  DecodedPartition,
  EntryDecoder,
  TopicSpan,
  TopicTarget,
  Written,
} from './topic-writer.ts'

export interface SinkTargetParts {
  sink: LineSink
  /** Keeps offsets and leases. */
  writer: PostgresWriter
  /** Of the first generation: the lease has its name. */
  topic: string
  limits: DecoderLimits
  malformed: (topic: string, offset: number, error: WeirError) => void
  refused: (report: SinkReport) => void
}

/** What has rows beside its offset counts series; an offset alone has none. */
const NO_SERIES = new SeriesIds()

/** Under it offsets are kept, beside those of the topic's rows. */
const nameOf = (topic: string): string => `sink:${topic}`

export class SinkTarget implements TopicTarget<SinkBatch[]> {
  readonly isCopy = true
  readonly #parts: SinkTargetParts
  /** Readings since start. */
  readonly totals = { written: 0, refused: 0, unsupported: 0 }

  constructor(parts: SinkTargetParts) {
    this.#parts = parts
  }

  claim(): Promise<Lease | undefined> {
    return this.#parts.writer.claim(nameOf(this.#parts.topic))
  }

  offsets(topic: string): Promise<Map<number, number>> {
    return this.#parts.writer.offsets(nameOf(topic))
  }

  createDecoder({ topic }: DecodedPartition): EntryDecoder<SinkBatch[]> {
    const { limits, malformed } = this.#parts
    return new SinkReadings(limits, (offset, error) => malformed(topic, offset, error))
  }

  async write(lease: Lease, span: TopicSpan, batches: SinkBatch[]): Promise<Written> {
    const { sink, writer, refused } = this.#parts
    for (const batch of batches) {
      const report = await sink.write(batch)
      this.totals.written += report.written
      this.totals.refused += report.refused
      this.totals.unsupported += report.unsupported
      if (report.refused > 0) refused(report)
    }
    return writer.write(lease, { ...span, topic: nameOf(span.topic), series: NO_SERIES })
  }
}
