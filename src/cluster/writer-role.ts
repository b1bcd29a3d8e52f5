/** The writer: all topics behind the stream, into PostgreSQL; and the end of what is too old. */
import type { MetricSample } from '../observe/observe.ts'
import type { PostgresWriter } from '../postgres/postgres.ts'
import { openPostgresWriter } from '../postgres/writer.ts'
import { nodeWorld } from '../world/node-world.ts'
import { postgresAccess } from './accesses.ts'
import type { Shared } from './cluster.ts'
import { metric } from './metrics.ts'
import { TopicWriter } from './topic-writer.ts'
import type { BatchKind } from './writer-batches.ts'

const KINDS: readonly BatchKind[] = ['readings', 'windows', 'events', 'dead-letters']
const RETENTION_INTERVAL_MS = 3_600_000

export class WriterRole {
  readonly #writer: PostgresWriter
  readonly #topics: ReadonlyMap<BatchKind, TopicWriter>
  readonly #shared: Shared
  #stopRetention: (() => void) | undefined

  /** Makes or updates the tables. Errors: STORAGE_UNAVAILABLE, DATA_FORMAT_NEWER. */
  static async open(shared: Shared): Promise<WriterRole> {
    const { config } = shared
    const writer = await openPostgresWriter({
      place: postgresAccess(config),
      clock: nodeWorld.clock,
      partitionsPerMonth: config.postgres.devicePartitions,
    })
    return new WriterRole(shared, writer)
  }

  private constructor(shared: Shared, writer: PostgresWriter) {
    this.#shared = shared
    this.#writer = writer
    const { topics, events, config } = shared
    const { batchBytesMax: bytesMax, intervalUs } = config.writer
    const { seriesMax, textsMax } = config.gateway
    const options = { bytesMax, waitMs: intervalUs / 1000, seriesMax, textsMax }
    this.#topics = new Map(
      KINDS.map((kind) => [
        kind,
        new TopicWriter({
          ...{ kafka: topics.kafka, writer, clock: nodeWorld.clock, kind, options },
          topic: topics.name(kind),
          partitions: topics.partitions,
          malformed: (topic, offset, { code, message: detail }) =>
            events?.entryMalformed({ topic, offset, code, detail }),
          lost: (fields) => events?.entriesLost(fields),
          failed: (error) => events?.roleFailed({ role: `writer ${kind}`, problem: String(error) }),
        }),
      ]),
    )
  }

  start(): void {
    for (const topic of this.#topics.values()) topic.start()
    void this.#retain()
    this.#stopRetention = nodeWorld.clock.every(RETENTION_INTERVAL_MS, () => void this.#retain())
  }

  metrics(): MetricSample[] {
    return [...this.#topics].flatMap(([kind, { entries, duplicates }]) => [
      metric('weir_writer_entries_total', 'Kafka entries written.', entries, { topic: kind }),
      metric('weir_writer_duplicates_total', 'Readings that were there.', duplicates, {
        topic: kind,
      }),
    ])
  }

  async stop(): Promise<void> {
    this.#stopRetention?.()
    await Promise.all([...this.#topics.values()].map((topic) => topic.stop()))
    await this.#writer.close()
  }

  async #retain(): Promise<void> {
    const { config, events } = this.#shared
    const beforeUs = nodeWorld.clock.nowUs() - config.postgres.retentionUs
    try {
      await this.#writer.dropBefore(beforeUs / 1000)
    } catch (error) {
      events?.roleFailed({ role: 'writer retention', problem: String(error) })
    }
  }
}
