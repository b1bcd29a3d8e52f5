/**
 * The writer: all topics behind the stream, into each PostgreSQL that keeps hot storage; and what
 * becomes of the old (`retention.ts`), and its hours and days (`rollups.ts`).
 */
import type { Config } from '../config/config.ts'
import { openWhole } from '../embedded/open-whole.ts'
import type { MetricSample } from '../observe/observe.ts'
import type { PostgresWriter } from '../postgres/postgres.ts'
import { openPostgresWriter } from '../postgres/writer.ts'
import { nodeWorld } from '../world/node-world.ts'
import { storeAccesses, type StoreAccess } from './accesses.ts'
import type { Shared } from './cluster.ts'
import { metric } from './metrics.ts'
import { PostgresTarget } from './postgres-target.ts'
import { RetentionWork, roleName, type RetainedStore } from './retention.ts'
import { RollupWork } from './rollups.ts'
import { TopicWriter } from './topic-writer.ts'
import { growingTopic, steadyTopic } from './topics.ts'
import type { BatchKind, KnownMax, Rows } from './writer-batches.ts'

const KINDS: readonly BatchKind[] = ['readings', 'windows', 'events', 'dead-letters']

interface WrittenTopic {
  kind: BatchKind
  target: PostgresTarget
  work: TopicWriter<Rows>
}

/** What one PostgreSQL is written by. */
interface StoreWriter {
  /** For people; undefined when it is the only one. */
  name: string | undefined
  writer: PostgresWriter
  topics: readonly WrittenTopic[]
}

export class WriterRole {
  readonly #stores: readonly StoreWriter[]
  readonly #retention: RetentionWork
  readonly #rollups: RollupWork

  /** Makes or updates the tables of all stores. Errors: STORAGE_UNAVAILABLE, DATA_FORMAT_NEWER. */
  static open(shared: Shared): Promise<WriterRole> {
    const { config } = shared
    return openWhole(async (opened) => {
      const stores: StoreWriter[] = []
      const retained: RetainedStore[] = []
      for (const store of storeAccesses(config)) {
        const writer = await openPostgresWriter({
          place: store.place,
          clock: nodeWorld.clock,
          partitionsPerMonth: config.postgres.devicePartitions,
        })
        opened.defer(() => writer.close())
        shared.events?.storeOpened({
          tables: writer.tables,
          ...(store.name !== undefined && { store: store.name }),
        })
        // What cannot be read is told by one of them, or it would be told by each.
        const tells = stores.length === 0
        const topics = KINDS.map((kind) => openTopic(shared, { kind, store, writer, tells }))
        stores.push({ name: store.name, writer, topics })
        retained.push({ access: store, writer })
      }
      return new WriterRole(stores, {
        retention: new RetentionWork(shared, retained),
        rollups: new RollupWork(shared, retained),
      })
    })
  }

  private constructor(
    stores: readonly StoreWriter[],
    { retention, rollups }: { retention: RetentionWork; rollups: RollupWork },
  ) {
    this.#stores = stores
    this.#retention = retention
    this.#rollups = rollups
  }

  start(): void {
    for (const { topics } of this.#stores) {
      for (const { work } of topics) work.start()
    }
    this.#retention.start()
    this.#rollups.start()
  }

  metrics(): MetricSample[] {
    return this.#stores.flatMap(({ name, topics }) =>
      topics.flatMap(({ kind, target: { duplicates, erased }, work: { entries } }) => {
        const labels = { topic: kind, ...(name !== undefined && { store: name }) }
        return [
          metric('weir_writer_entries_total', 'Kafka entries written.', entries, labels),
          metric('weir_writer_duplicates_total', 'Readings that were there.', duplicates, labels),
          metric('weir_writer_erased_total', 'Readings that had been erased.', erased, labels),
        ]
      }),
    )
  }

  async stop(): Promise<void> {
    await Promise.all([this.#retention.stop(), this.#rollups.stop()])
    await Promise.all(
      this.#stores.map(async ({ topics, writer }) => {
        await Promise.all(topics.map(({ work }) => work.stop()))
        await writer.close()
      }),
    )
  }
}

interface TopicParts {
  kind: BatchKind
  store: StoreAccess
  writer: PostgresWriter
  /** Whether it tells of entries that are malformed, which all read alike. */
  tells: boolean
}

/**
 * All series that an installation may have, in shares of the partitions: twice its share each, as
 * hashes spread devices only about evenly. A series takes 740 bytes.
 */
function knownMax({ gateway }: Config, partitions: number): KnownMax {
  return { series: Math.ceil((2 * gateway.seriesMax) / partitions), texts: gateway.textsMax }
}

function openTopic(shared: Shared, { kind, store, writer, tells }: TopicParts): WrittenTopic {
  const { topics, config, events } = shared
  const { batchBytesMax: bytesMax, intervalUs } = config.writer
  const isSteady = kind === 'events' || kind === 'dead-letters'
  const topic = isSteady ? steadyTopic(topics, kind) : growingTopic(topics, kind)
  const target = new PostgresTarget({
    ...{ writer, kind, range: store.range, known: knownMax(config, topics.partitions) },
    malformed(topic, offset, { code, message: detail }) {
      if (tells) events?.entryMalformed({ topic, offset, code, detail })
    },
  })
  const work = new TopicWriter({
    ...{ kafka: topics.kafka, clock: nodeWorld.clock, target, topic },
    options: { bytesMax, waitMs: intervalUs / 1000 },
    lost: (fields) => events?.entriesLost(fields),
    failed: (error) =>
      events?.roleFailed({ role: roleName(kind, store.name), problem: String(error) }),
  })
  return { kind, target, work }
}
