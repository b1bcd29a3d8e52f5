/** Hours and days of what each store has: summed up when they are over, by one process each. */
import type { Objects } from '../objects/objects.ts'
import { retentionOf } from '../pipeline/pipeline.ts'
import { openRollups, type Rollups } from '../postgres/rollups.ts'
import { hashDevice } from '../entries/entries.ts'
import { nodeWorld } from '../world/node-world.ts'
import type { Shared } from './cluster.ts'
import { openLakeObjects } from './lake-objects.ts'
import { roleName, type RetainedStore } from './retention.ts'
import { whileLeased } from './while-leased.ts'

const INTERVAL_MS = 60_000

interface SummedStore extends RetainedStore {
  rollups: Rollups
}

export class RollupWork {
  readonly #shared: Shared
  readonly #objects: Objects | undefined
  readonly #stores: readonly SummedStore[]
  #stopLooking: (() => void) | undefined
  #isStopping = false
  #isWorking = false
  #work: Promise<unknown> = Promise.resolve()

  /** Errors: CONFIG_VALUE_INVALID. */
  constructor(shared: Shared, stores: readonly RetainedStore[]) {
    const { config, plan } = shared
    this.#shared = shared
    this.#objects = openLakeObjects(config)
    this.#stores = stores.map((store) => ({
      ...store,
      rollups: openRollups({
        ...{ place: store.access.place, objects: this.#objects, clock: nodeWorld.clock },
        hashDevice,
        agesOf: (series) => retentionOf(plan.retention, series),
        isExportedFirst: plan.retention.isExportedFirst,
        allowedLatenessMs: plan.time.allowedLatenessUs / 1000,
      }),
    }))
  }

  start(): void {
    const look = (): void => {
      // The next look goes on where a long one is.
      if (this.#isWorking) return
      this.#isWorking = true
      this.#work = Promise.all(this.#stores.map((store) => this.#sumUp(store))).finally(() => {
        this.#isWorking = false
      })
    }
    look()
    this.#stopLooking = nodeWorld.clock.every(INTERVAL_MS, look)
  }

  /** The step under way ends soon, and is undone. */
  async stop(): Promise<void> {
    this.#isStopping = true
    this.#stopLooking?.()
    await this.#work
    this.#objects?.close()
  }

  async #sumUp({ access, writer, rollups }: SummedStore): Promise<void> {
    const claim = () => writer.claim('rollups')
    try {
      await whileLeased({ claim, isStopping: () => this.#isStopping }, (lease, isOver) =>
        rollups.run(lease, isOver),
      )
    } catch (error) {
      const role = roleName('rollups', access.name)
      this.#shared.events?.roleFailed({ role, problem: String(error) })
    }
  }
}
