/**
 * The writer: all topics behind the stream, into each PostgreSQL that keeps hot storage; and what
 * becomes of the old: compressed, then dropped.
 */
import type { Config } from '../config/config.ts'
import { openWhole } from '../embedded/open-whole.ts'
import type { MetricSample } from '../observe/observe.ts'
import { createS3Objects } from '../objects/s3-objects.ts'
import { retentionOf } from '../pipeline/pipeline.ts'
import { openAger, type Ager } from '../postgres/ager.ts'
import type { PostgresWriter } from '../postgres/postgres.ts'
import { openPostgresWriter } from '../postgres/writer.ts'
import { nodeWorld } from '../world/node-world.ts'
import { s3Access, storeAccesses, type StoreAccess } from './accesses.ts'
import type { Shared } from './cluster.ts'
import { metric } from './metrics.ts'
import { PostgresTarget } from './postgres-target.ts'
import { TopicWriter } from './topic-writer.ts'
import { growingTopic, steadyTopic } from './topics.ts'
import type { BatchKind, KnownMax, Rows } from './writer-batches.ts'

const KINDS: readonly BatchKind[] = ['readings', 'windows', 'events', 'dead-letters']
const RETENTION_INTERVAL_MS = 3_600_000

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
  /** Undefined where readings have no lake to go to. */
  ager: Ager | undefined
}

export class WriterRole {
  readonly #stores: readonly StoreWriter[]
  readonly #shared: Shared
  #stopRetention: (() => void) | undefined
  #isStopping = false
  /** Of each store, what is under way. */
  #retaining: readonly Promise<void>[] = []

  /** Makes or updates the tables of all stores. Errors: STORAGE_UNAVAILABLE, DATA_FORMAT_NEWER. */
  static open(shared: Shared): Promise<WriterRole> {
    const { config } = shared
    return openWhole(async (opened) => {
      const stores: StoreWriter[] = []
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
        const ager = openStoreAger(shared, store, writer.tables)
        if (ager !== undefined) opened.defer(() => ager.close())
        stores.push({ name: store.name, writer, topics, ager })
      }
      return new WriterRole(shared, stores)
    })
  }

  private constructor(shared: Shared, stores: readonly StoreWriter[]) {
    this.#shared = shared
    this.#stores = stores
  }

  start(): void {
    for (const { topics } of this.#stores) {
      for (const { work } of topics) work.start()
    }
    this.#retainAll()
    this.#stopRetention = nodeWorld.clock.every(RETENTION_INTERVAL_MS, () => this.#retainAll())
  }

  metrics(): MetricSample[] {
    return this.#stores.flatMap(({ name, topics }) =>
      topics.flatMap(({ kind, target: { duplicates }, work: { entries } }) => {
        const labels = { topic: kind, ...(name !== undefined && { store: name }) }
        return [
          metric('weir_writer_entries_total', 'Kafka entries written.', entries, labels),
          metric('weir_writer_duplicates_total', 'Readings that were there.', duplicates, labels),
        ]
      }),
    )
  }

  async stop(): Promise<void> {
    this.#stopRetention?.()
    this.#isStopping = true
    await Promise.all(this.#retaining)
    await Promise.all(
      this.#stores.map(async ({ topics, writer, ager }) => {
        await Promise.all(topics.map(({ work }) => work.stop()))
        await ager?.close()
        await writer.close()
      }),
    )
  }

  #retainAll(): void {
    const before = this.#retaining
    // A month that takes longer than an hour to move is waited for.
    this.#retaining = this.#stores.map(async (store, at) => {
      await before[at]
      if (!this.#isStopping) await this.#retain(store)
    })
  }

  async #retain(store: StoreWriter): Promise<void> {
    const { config, events } = this.#shared
    const { name, writer, ager } = store
    const { retentionUs, compressAfterUs } = config.postgres
    const nowUs = nodeWorld.clock.nowUs()
    const retainedMs = (nowUs - retentionUs) / 1000
    try {
      if (ager === undefined) await writer.dropBefore(retainedMs)
      else await writer.dropBefore(retainedMs, 'window_partial')
      await writer.compressBefore((nowUs - compressAfterUs) / 1000)
      if (ager !== undefined) await this.#age(writer, ager)
    } catch (error) {
      events?.roleFailed({ role: roleName('retention', name), problem: String(error) })
    }
  }

  /** By one process alone; it looks again in an hour. */
  async #age(writer: PostgresWriter, ager: Ager): Promise<void> {
    const lease = await writer.claim('aging')
    if (lease === undefined) return
    try {
      const isClosing = (): boolean => this.#isStopping || lease.lost.aborted
      for (const { month, moved, deleted } of await ager.run(lease, isClosing)) {
        const day = (of: number): string =>
          new Date(Date.UTC(Math.floor(of / 12), of % 12, 1)).toISOString()
        this.#shared.events?.aged({ moved, deleted, from: day(month), to: day(month + 1) })
      }
    } finally {
      await lease.release()
    }
  }
}

/** Where there is a lake, and months that can go there. Errors: CONFIG_VALUE_INVALID. */
function openStoreAger(
  { config, plan }: Shared,
  { place, name, range }: StoreAccess,
  tables: PostgresWriter['tables'],
): Ager | undefined {
  if (config.lake.bucket === '' || tables !== 'months') return undefined
  const objects = createS3Objects(s3Access(config, nodeWorld.random))
  const ager = openAger({
    ...{ place, objects, clock: nodeWorld.clock },
    name: name === undefined ? 'cold' : `cold_${range.from.toString(16)}`,
    agesOf: (series) => retentionOf(plan.retention, series),
    isExportedFirst: plan.retention.isExportedFirst,
  })
  const close = async (): Promise<void> => {
    await ager.close()
    objects.close()
  }
  return { run: (...how) => ager.run(...how), close }
}

const roleName = (work: string, store: string | undefined): string =>
  `writer ${work}${store === undefined ? '' : ` of ${store}`}`

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
