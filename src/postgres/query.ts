/**
 * The reading half of hot storage on PostgreSQL. Planning, downsampling and merging are those of
 * `src/query/`; here are rows only. What an answer promises: `reading-view.ts`.
 */
import {
  answerGroups,
  answerReadings,
  answerWindows,
  type EventsFilter,
  type GroupsQuestion,
  type GroupsSource,
  type LatestQuestion,
  type Query,
  type QueryLimits,
  type ReadingScan,
  type ReadingsQuestion,
  type ReadingSource,
  type ScanQuestion,
  type WindowsQuestion,
} from '../query/query.ts'
import type { WeirError } from '../errors/errors.ts'
import type { Objects } from '../objects/objects.ts'
import type { PostgresPlace } from '../postgres-client/postgres-client.ts'
import { ColdFiles } from './cold-files.ts'
import { EngineGroups, type EngineUse } from './engine-groups.ts'
import { QueryDatabase, type Ask } from './query-database.ts'
import { readAnomalies, readDeadLetters } from './query-events.ts'
import { lookAtEach, type DeviceLooks } from './query-devices.ts'
import { lookAtDevices } from './query-groups.ts'
import { readLatest, readLatestOfMetric } from './query-latest.ts'
import { scanTables } from './query-scan.ts'
import { loadSource, type DevicePlace, type SourceOptions } from './query-source.ts'

export interface PostgresQueryOptions {
  access: PostgresPlace
  limits: QueryLimits
  /** `reading.device_hash`: murmur2 of the key `tenant/device`, as signed 32 bits. */
  hashDevice: (tenant: string, deviceId: string) => number
  /** Window sizes of the pipeline. */
  windowsMs: readonly number[]
  /** Where the lake is; needed as soon as it has something. */
  objects?: Objects | undefined
  /** For what is much to read there. */
  engine?: EngineUse | undefined
}

export interface PostgresQuery extends Query, ReadingScan, GroupsSource, DeviceLooks {
  /** Waits for the questions under way. */
  close(): Promise<void>
}

export type { EngineUse } from './engine-groups.ts'

/**
 * Connects at the first question; the writer makes the tables. Errors of questions:
 * STORAGE_UNAVAILABLE, QUERY_FAILED, QUERY_LIMIT_EXCEEDED.
 */
export const openPostgresQuery = (options: PostgresQueryOptions): PostgresQuery =>
  new TableQuery(options)

class TableQuery implements PostgresQuery {
  readonly #options: PostgresQueryOptions
  readonly #database: QueryDatabase
  readonly #coldFiles: ColdFiles
  readonly #engine: EngineGroups | undefined

  constructor(options: PostgresQueryOptions) {
    this.#options = options
    this.#coldFiles = new ColdFiles(options.objects)
    this.#database = new QueryDatabase(options.access)
    this.#engine = options.engine && new EngineGroups(options.engine)
  }

  readings(question: ReadingsQuestion, signal?: AbortSignal): ReturnType<Query['readings']> {
    const hasPartials = question.aggregate !== undefined
    const what = { ...question, hasPartials, signal }
    return this.#answer(what, (source) => answerReadings(source, question))
  }

  windows(question: WindowsQuestion, signal?: AbortSignal): ReturnType<Query['windows']> {
    const { limits } = this.#options
    return this.#answer({ ...question, hasPartials: true, signal }, (source) =>
      answerWindows(source, question, limits),
    )
  }

  async groups(question: GroupsQuestion, signal?: AbortSignal): ReturnType<Query['groups']> {
    const told = await this.#engine?.tell(this.#database, question, signal)
    return answerGroups(this, question, { signal, told })
  }

  looks(...[question, run, signal]: Parameters<GroupsSource['looks']>): Promise<void> {
    const { hashDevice } = this.#options
    const place = {
      ...{ database: this.#database, hashDevice, options: this.#sourceOptions(), signal },
    }
    return lookAtDevices(place, question, run)
  }

  eachDevice(...[question, run, signal]: Parameters<DeviceLooks['eachDevice']>): Promise<void> {
    const { hashDevice } = this.#options
    const options = { ...this.#sourceOptions(), rowsMax: Infinity }
    return lookAtEach({ database: this.#database, hashDevice, options, signal }, question, run)
  }

  scan(question: ScanQuestion): ReturnType<ReadingScan['scan']> {
    const { hashDevice } = this.#options
    const coldFiles = this.#coldFiles
    return scanTables({ database: this.#database, hashDevice, coldFiles }, question)
  }

  #answer<T>(
    what: {
      tenant: string
      deviceId: string
      metric: string
      hasPartials: boolean
      signal: AbortSignal | undefined
    },
    run: (source: ReadingSource) => Promise<T>,
  ): Promise<T> {
    const device = this.#place(what.tenant, what.deviceId)
    const look = (): Promise<T> =>
      this.#database.snapshot(
        async (ask: Ask) => run(await loadSource(ask, { ...what, device }, this.#sourceOptions())),
        what.signal,
      )
    // A file went away behind the look: a new one knows what took its place.
    return look().catch((error: WeirError) => {
      if (error.code === 'OBJECT_MISSING') return look()
      throw error
    })
  }

  #sourceOptions(): SourceOptions {
    const { limits, windowsMs } = this.#options
    return { rowsMax: limits.rowsMax, windowsMs, coldFiles: this.#coldFiles }
  }

  #place(tenant: string, deviceId: string): DevicePlace {
    return { tenant, deviceId, deviceHash: this.#options.hashDevice(tenant, deviceId) }
  }

  latest(tenant: string, deviceId: string): ReturnType<Query['latest']> {
    return this.#database.snapshot((ask) => readLatest(ask, this.#place(tenant, deviceId)))
  }

  latestOfMetric(
    question: LatestQuestion,
    signal?: AbortSignal,
  ): ReturnType<Query['latestOfMetric']> {
    const { hashDevice } = this.#options
    const read = (ask: Ask) => readLatestOfMetric(ask, question, hashDevice)
    return this.#database.snapshot(read, signal)
  }

  anomalies(filter: EventsFilter): ReturnType<Query['anomalies']> {
    return this.#database.snapshot((ask) => readAnomalies(ask, filter))
  }

  deadLetters(filter: EventsFilter): ReturnType<Query['deadLetters']> {
    return this.#database.snapshot((ask) => readDeadLetters(ask, filter))
  }

  /** What is on its way through the topics is not acknowledged as stored. */
  async completeness(): Promise<number> {
    return 1
  }

  close(): Promise<void> {
    return this.#database.close()
  }
}
