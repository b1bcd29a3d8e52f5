/**
 * What becomes of the old, once an hour: windows are dropped, chunks compressed, and readings go to
 * the lake and in the end away, by the ages of the pipeline. Without a lake months of readings are
 * dropped by `postgres.retention`, as windows are.
 */
import type { Objects } from '../objects/objects.ts'
import { retentionOf } from '../pipeline/pipeline.ts'
import { openAger, type Ager, type AgedMonth } from '../postgres/ager.ts'
import type { PostgresWriter } from '../postgres/postgres.ts'
import { nodeWorld } from '../world/node-world.ts'
import type { StoreAccess } from './accesses.ts'
import type { Shared } from './cluster.ts'
import { removeMovedCommits } from './moved-commits.ts'
import { openLakeObjects } from './lake-objects.ts'
import { whileLeased } from './while-leased.ts'

const INTERVAL_MS = 3_600_000

export interface RetainedStore {
  access: StoreAccess
  writer: PostgresWriter
}

interface AgedStore extends RetainedStore {
  /** Undefined where readings have no lake to go to. */
  ager: Ager | undefined
}

export const roleName = (work: string, store: string | undefined): string =>
  `writer ${work}${store === undefined ? '' : ` of ${store}`}`

/** Of a store's files in the lake. */
export const coldName = ({ name, range }: Pick<StoreAccess, 'name' | 'range'>): string =>
  name === undefined ? 'cold' : `cold_${range.from.toString(16)}`

/** Held in the first store by whoever deletes or rewrites files of the lake's commits. */
export const COMMITS_LEASE = 'commits'

export class RetentionWork {
  readonly #shared: Shared
  readonly #objects: Objects | undefined
  readonly #stores: readonly AgedStore[]
  #stopLooking: (() => void) | undefined
  #isStopping = false
  #work: Promise<void> = Promise.resolve()

  /** Errors: CONFIG_VALUE_INVALID. */
  constructor(shared: Shared, stores: readonly RetainedStore[]) {
    const { config } = shared
    this.#shared = shared
    this.#objects = openLakeObjects(config)
    this.#stores = stores.map((store) => ({ ...store, ager: this.#agerOf(store) }))
  }

  #agerOf({ access: { place, name, range }, writer }: RetainedStore): Ager | undefined {
    const { retention } = this.#shared.plan
    if (this.#objects === undefined || writer.tables !== 'months') return undefined
    return openAger({
      ...{ place, objects: this.#objects, clock: nodeWorld.clock },
      name: coldName({ name, range }),
      agesOf: (series) => retentionOf(retention, series),
      isExportedFirst: retention.isExportedFirst,
    })
  }

  start(): void {
    const look = (): void => {
      // What takes longer than an hour is waited for.
      this.#work = this.#work.then(() => this.#run())
    }
    look()
    this.#stopLooking = nodeWorld.clock.every(INTERVAL_MS, look)
  }

  /** What is under way ends with the series that it is at. */
  async stop(): Promise<void> {
    this.#isStopping = true
    this.#stopLooking?.()
    await this.#work
    for (const { ager } of this.#stores) await ager?.close()
    this.#objects?.close()
  }

  async #run(): Promise<void> {
    if (this.#isStopping) return
    await Promise.all(this.#stores.map((store) => this.#retain(store)))
    const agers = this.#stores.map(({ ager }) => ager).filter((ager) => ager !== undefined)
    if (this.#objects === undefined || agers.length < this.#stores.length) return
    await this.#guarded(undefined, async () => {
      const { topics } = this.#shared
      const generations = await topics.generations()
      const names = new Set(generations.map((one) => topics.name('readings', one)))
      const claim = () => this.#stores[0]!.writer.claim(COMMITS_LEASE)
      await whileLeased({ claim, isStopping: () => this.#isStopping }, async (_, isClosing) => {
        await removeMovedCommits({
          ...{ objects: this.#objects!, agers, isClosing },
          isReadingsTopic: (topic) => names.has(topic),
        })
      })
    })
  }

  async #guarded(store: string | undefined, work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      const role = roleName('retention', store)
      this.#shared.events?.roleFailed({ role, problem: String(error) })
    }
  }

  #retain({ access, writer, ager }: AgedStore): Promise<void> {
    const { retentionUs, compressAfterUs } = this.#shared.config.postgres
    const nowUs = nodeWorld.clock.nowUs()
    const droppedMs = (nowUs - retentionUs) / 1000
    return this.#guarded(access.name, async () => {
      await writer.dropBefore(droppedMs, ager === undefined ? undefined : 'window_partial')
      await writer.compressBefore((nowUs - compressAfterUs) / 1000)
      if (ager !== undefined) await this.#age(writer, ager)
    })
  }

  /** By one process alone. */
  #age(writer: PostgresWriter, ager: Ager): Promise<void> {
    const claim = () => writer.claim('aging')
    return whileLeased({ claim, isStopping: () => this.#isStopping }, async (lease, isClosing) => {
      for (const month of await ager.run(lease, isClosing)) this.#tell(month)
    })
  }

  #tell({ month, moved, deleted }: AgedMonth): void {
    const startOf = (of: number): string =>
      new Date(Date.UTC(Math.floor(of / 12), of % 12, 1)).toISOString()
    this.#shared.events?.aged({ moved, deleted, from: startOf(month), to: startOf(month + 1) })
  }
}
