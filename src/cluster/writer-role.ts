/** The writer: all topics behind the stream, into PostgreSQL; and the end of what is too old. */
import type { MetricSample } from '../observe/observe.ts'
import type { PostgresWriter } from '../postgres/postgres.ts'
import { openPostgresWriter } from '../postgres/writer.ts'
import { nodeWorld } from '../world/node-world.ts'
import { postgresAccess } from './accesses.ts'
import type { Shared } from './cluster.ts'
import { metric } from './metrics.ts'
import { PostgresTarget } from './postgres-target.ts'
import { TopicWriter } from './topic-writer.ts'
import type { BatchKind, Rows } from './writer-batches.ts'

const KINDS: readonly BatchKind[] = ['readings', 'windows', 'events', 'dead-letters']
const RETENTION_INTERVAL_MS = 3_600_000

interface WrittenTopic {
  kind: BatchKind
  target: PostgresTarget
  work: TopicWriter<Rows>
}

export class WriterRole {
  readonly #writer: PostgresWriter
  readonly #topics: readonly WrittenTopic[]
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
    this.#topics = KINDS.map((kind) => this.#open(kind))
  }

  #open(kind: BatchKind): WrittenTopic {
    const { topics, events, config } = this.#shared
    const { kafka, partitions } = topics
    const { batchBytesMax: bytesMax, intervalUs } = config.writer
    const topic = topics.name(kind)
    const target = new PostgresTarget({
      ...{ writer: this.#writer, kind, topic, limits: config.gateway },
      malformed: (offset, { code, message: detail }) =>
        events?.entryMalformed({ topic, offset, code, detail }),
    })
    const work = new TopicWriter({
      ...{ kafka, clock: nodeWorld.clock, target, topic, partitions },
      options: { bytesMax, waitMs: intervalUs / 1000 },
      lost: (fields) => events?.entriesLost(fields),
      failed: (error) => events?.roleFailed({ role: `writer ${kind}`, problem: String(error) }),
    })
    return { kind, target, work }
  }

  start(): void {
    for (const { work } of this.#topics) work.start()
    void this.#retain()
    this.#stopRetention = nodeWorld.clock.every(RETENTION_INTERVAL_MS, () => void this.#retain())
  }

  metrics(): MetricSample[] {
    return this.#topics.flatMap(({ kind: topic, target: { duplicates }, work: { entries } }) => [
      metric('weir_writer_entries_total', 'Kafka entries written.', entries, { topic }),
      metric('weir_writer_duplicates_total', 'Readings that were there.', duplicates, { topic }),
    ])
  }

  async stop(): Promise<void> {
    this.#stopRetention?.()
    await Promise.all(this.#topics.map(({ work }) => work.stop()))
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
