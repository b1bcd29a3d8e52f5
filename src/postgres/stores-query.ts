/**
 * Questions of several PostgreSQL, each of which has the devices of a range wholly.
 *
 * A question of one device goes to its store alone, and fails by name when that is away; those of
 * the other stores' devices go on. A list over devices is asked of all stores at once and merged in
 * their own order. It fails by name when one of them is away: the rows of a list do not say what is
 * missing, and half of the anomalies would look like all of them.
 *
 * While devices change their store, a row may be in two: the one of its device's store counts.
 */
import { WeirError } from '../errors/errors.ts'
import {
  answerGroups,
  compareDeviceIds,
  LatestRows,
  type AnomalyRow,
  type DeadLetterRow,
  type EventsFilter,
  type GroupsQuestion,
  type GroupsSource,
  type LatestColumns,
  type LatestQuestion,
  type Query,
  type ScanQuestion,
  type ScanStep,
  type Value,
} from '../query/query.ts'
import { isInRange, type HashRange } from './postgres.ts'
import { LETTER_ID_SEPARATOR } from './query-events.ts'
import type { PostgresQuery } from './query.ts'

export interface StoreQuery {
  range: HashRange
  query: PostgresQuery
}

export interface StoresQueryOptions {
  stores: readonly StoreQuery[]
  /** As for PostgresQueryOptions. */
  hashDevice: (tenant: string, deviceId: string) => number
}

/** Closes the stores' queries with itself. Errors of questions: those of PostgresQuery. */
export const openStoresQuery = (options: StoresQueryOptions): PostgresQuery =>
  new StoresQuery(options)

interface ListRow {
  id: string
  device_id: string
}

interface LatestRow extends ListRow {
  timeMs: number
  value: Value
}

type Order<T> = (one: T, other: T) => number

class StoresQuery implements PostgresQuery {
  readonly #options: StoresQueryOptions

  constructor(options: StoresQueryOptions) {
    this.#options = options
  }

  readings: Query['readings'] = (question, signal) => {
    const store = this.#storeOf(question.tenant, question.deviceId)
    return named(store, store.query.readings(question, signal))
  }

  windows: Query['windows'] = (question, signal) => {
    const store = this.#storeOf(question.tenant, question.deviceId)
    return named(store, store.query.windows(question, signal))
  }

  groups(question: GroupsQuestion, signal?: AbortSignal): ReturnType<Query['groups']> {
    return answerGroups(this, question, { signal })
  }

  /** One store after the other; a device's readings are those of its own. */
  async looks(...[question, run, signal]: Parameters<GroupsSource['looks']>): Promise<void> {
    const { stores, hashDevice } = this.#options
    for (const store of stores) {
      const runOwn = async (...[series, view]: Parameters<typeof run>): Promise<void> => {
        const own = series.filter(({ tenant, deviceId }) =>
          isInRange(store.range, hashDevice(tenant, deviceId)),
        )
        if (own.length > 0) await run(own, view)
      }
      await named(store, store.query.looks(question, runOwn, signal))
    }
  }

  /** One store after the other; a device's readings are those of its own. */
  async eachDevice(
    ...[question, run, signal]: Parameters<PostgresQuery['eachDevice']>
  ): Promise<void> {
    const { stores, hashDevice } = this.#options
    for (const store of stores) {
      const runOwn: typeof run = async (look) => {
        const [first] = look.series
        if (first === undefined) return
        if (isInRange(store.range, hashDevice(first.tenant, first.deviceId))) await run(look)
      }
      await named(store, store.query.eachDevice(question, runOwn, signal))
    }
  }

  latest(tenant: string, deviceId: string): ReturnType<Query['latest']> {
    const store = this.#storeOf(tenant, deviceId)
    return named(store, store.query.latest(tenant, deviceId))
  }

  /** A device that is among the first of all is among the first of its store, so limits hold. */
  async latestOfMetric(question: LatestQuestion, signal?: AbortSignal): Promise<LatestColumns> {
    const { stores } = this.#options
    const answers = await Promise.all(
      stores.map((store) => named(store, store.query.latestOfMetric(question, signal))),
    )
    const lists = answers.map(({ deviceIds, timesMs, values }) =>
      deviceIds.map((id, at): LatestRow => ({
        ...{ id, device_id: id, timeMs: timesMs[at]!, value: values[at]! },
      })),
    )
    const rows = new LatestRows(question.limit)
    for (const row of this.#merge(question.tenant, lists).toSorted(compareDevices)) {
      if (!rows.take(row.id, row.timeMs, row.value)) break
    }
    return rows.columns
  }

  anomalies(filter: EventsFilter): Promise<AnomalyRow[]> {
    return this.#list(filter, (query) => query.anomalies(filter), compareAnomalies)
  }

  deadLetters(filter: EventsFilter): Promise<DeadLetterRow[]> {
    return this.#list(filter, (query) => query.deadLetters(filter), compareLetters)
  }

  /** One store after the other; a device's readings are those of its own. */
  async *scan(question: ScanQuestion): AsyncGenerator<ScanStep, void> {
    const { stores, hashDevice } = this.#options
    const scans = stores.map(({ query }) => query.scan(question))
    try {
      // How many devices there are each says with its first step.
      const firsts = await Promise.all(scans.map((scan, at) => named(stores[at]!, scan.next())))
      const totals = firsts.map(({ value }) => value?.devicesTotal ?? 0)
      const devicesTotal = totals.reduce((sum, total) => sum + total, 0)
      let before = 0
      for (const [at, scan] of scans.entries()) {
        const store = stores[at]!
        for (let step = firsts[at]!; !step.done; step = await named(store, scan.next())) {
          const blocks = step.value.blocks.filter(({ series: [first] }) =>
            isInRange(store.range, hashDevice(first!.tenant, first!.deviceId)),
          )
          const devicesDone = before + step.value.devicesDone
          yield { ...step.value, blocks, devicesDone, devicesTotal }
        }
        before += totals[at]!
      }
    } finally {
      await Promise.all(scans.map((scan) => scan.return()))
    }
  }

  /** The least that any store promises. */
  async completeness(): Promise<number> {
    const { stores } = this.#options
    return Math.min(
      ...(await Promise.all(stores.map((store) => named(store, store.query.completeness())))),
    )
  }

  async close(): Promise<void> {
    await Promise.all(this.#options.stores.map(({ query }) => query.close()))
  }

  #storeOf(tenant: string, deviceId: string): StoreQuery {
    const hash = this.#options.hashDevice(tenant, deviceId)
    const store = this.#options.stores.find(({ range }) => isInRange(range, hash))
    if (store === undefined) throw new RangeError(`no store has the device hash ${hash >>> 0}`)
    return store
  }

  /** A row that is among the newest of all is among the newest of its store, so limits hold. */
  async #list<T extends ListRow>(
    { tenant, deviceId, limit }: EventsFilter,
    ask: (query: PostgresQuery) => Promise<T[]>,
    order: Order<T>,
  ): Promise<T[]> {
    if (deviceId !== undefined) {
      const store = this.#storeOf(tenant, deviceId)
      return named(store, ask(store.query))
    }
    const { stores } = this.#options
    const lists = await Promise.all(stores.map((store) => named(store, ask(store.query))))
    return this.#merge(tenant, lists).toSorted(order).slice(0, Math.max(0, limit))
  }

  /** Each id once; `lists` are in the order of the stores. */
  #merge<T extends ListRow>(tenant: string, lists: readonly T[][]): T[] {
    const { stores, hashDevice } = this.#options
    const rows = new Map<string, T>()
    for (const [at, list] of lists.entries()) {
      for (const row of list) {
        const isOwn = isInRange(stores[at]!.range, hashDevice(tenant, row.device_id))
        if (isOwn || !rows.has(row.id)) rows.set(row.id, row)
      }
    }
    return [...rows.values()]
  }
}

/** Says which store failed. */
async function named<T>({ range: { from, to } }: StoreQuery, answer: Promise<T>): Promise<T> {
  try {
    return await answer
  } catch (cause) {
    if (!(cause instanceof WeirError) || cause.code !== 'STORAGE_UNAVAILABLE') throw cause
    const store = `The store of devices 0x${from.toString(16)}-0x${to.toString(16)}`
    throw new WeirError('STORAGE_UNAVAILABLE', `${store}: ${cause.message}`, { cause })
  }
}

const byId = (one: ListRow, other: ListRow): number => (one.id < other.id ? -1 : 1)

const compareDevices: Order<LatestRow> = (one, other) => compareDeviceIds(one.id, other.id)

const compareAnomalies: Order<AnomalyRow> = (one, other) => other.ts - one.ts || byId(one, other)

const compareLetters: Order<DeadLetterRow> = (one, other) => {
  const [partition = 0, offset = 0] = one.id.split(LETTER_ID_SEPARATOR).map(Number)
  const [otherPartition = 0, otherOffset = 0] = other.id.split(LETTER_ID_SEPARATOR).map(Number)
  return other.received_at - one.received_at || otherPartition - partition || otherOffset - offset
}
