/**
 * The readings topic into another database: first the database has them, then the offset moves, in
 * PostgreSQL. What was cut off between the two is written again, and replaces itself.
 */
import type { DecoderLimits } from '../entries/entries.ts'
import type { WeirError } from '../errors/errors.ts'
import type { ReadEntry } from '../kafka/kafka.ts'
import type { LakeBatch } from '../lake/lake.ts'
import type { LineSink, SinkBatch, SinkReport } from '../line-sink/line-sink.ts'
import { SeriesIds, type Lease, type PostgresWriter } from '../postgres/postgres.ts'
import { LakeReadings } from './lake-readings.ts'
import { takeTexts } from './reading-columns.ts'
import type { EntryDecoder, TopicSpan, TopicTarget, Written } from './topic-writer.ts'

export interface SinkTargetParts {
  sink: LineSink
  /** Keeps offsets and leases. */
  writer: PostgresWriter
  topic: string
  limits: DecoderLimits
  malformed: (offset: number, error: WeirError) => void
  refused: (report: SinkReport) => void
}

/** What has rows beside its offset counts series; an offset alone has none. */
const NO_SERIES = new SeriesIds()

export class SinkTarget implements TopicTarget<SinkBatch[]> {
  readonly isCopy = true
  readonly #parts: SinkTargetParts
  /** Under it the offsets are kept, beside those of the topic's rows. */
  readonly #name: string
  /** Readings since start. */
  readonly totals = { written: 0, refused: 0, unsupported: 0 }

  constructor(parts: SinkTargetParts) {
    this.#parts = parts
    this.#name = `sink:${parts.topic}`
  }

  claim(): Promise<Lease | undefined> {
    return this.#parts.writer.claim(this.#name)
  }

  offsets(): Promise<Map<number, number>> {
    return this.#parts.writer.offsets(this.#name)
  }

  createDecoder(partition: number): EntryDecoder<SinkBatch[]> {
    const { topic, limits, malformed } = this.#parts
    // What is written twice is there once all the same, so a restart need not know the sources.
    const from = { topic, sourceTopic: topic, nextSource: 0 }
    const readings = new LakeReadings({ ...from, partition, limits, malformed })
    return { decode: (entries) => decode(readings, entries) }
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
    return writer.write(lease, { topic: this.#name, ...span, series: NO_SERIES })
  }
}

/** Several batches when numbers of series or texts are used up between them. */
function decode(readings: LakeReadings, entries: readonly ReadEntry[]): SinkBatch[] {
  const batches: SinkBatch[] = []
  for (let rest = entries; rest.length > 0;) {
    const decoded = readings.decode(rest)
    batches.push(toSinkBatch(decoded.batch))
    rest = decoded.rest
  }
  return batches
}

/** The lake's batch is good until the next one. */
function toSinkBatch(batch: LakeBatch): SinkBatch {
  const { names, count, texts } = batch
  const series = new Uint32Array(batch.series)
  const value = new Float64Array(batch.value)
  const isText = (one: number): boolean => names[one]!.kind === 'text'
  return {
    ...{ names, count, series, timeUs: new Float64Array(batch.timeUs), value },
    texts: takeTexts({ series, value, texts }, isText),
  }
}
