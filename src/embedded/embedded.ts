/**
 * The embedded engine: the whole pipeline in one process. Starts the parts in the order in which
 * data flows backwards (storage first, doors last) and stops them in the reverse.
 */
import { mkdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { StorageDesk } from '../api/api.ts'
import { createApi, type Api } from '../api/server.ts'
import type { Config } from '../config/config.ts'
import { createMemorySignIns } from '../control/memory-sign-ins.ts'
import { SharedIndex } from '../control/shared-index.ts'
import { openControl, type SqliteControl } from '../control/sqlite-control.ts'
import { tellEvent, type Events, type MetricSample } from '../observe/observe.ts'
import type { Plan } from '../pipeline/pipeline.ts'
import { nodeWorld } from '../world/node-world.ts'
import { ensureAdminKey, type AdminKey } from './admin-key.ts'
import { AlertStage } from './alert-stage.ts'
import { ThreadBacktests } from './backtests.ts'
import { DiskReserve } from './disk-reserve.ts'
import { lockFolder } from './folder-lock.ts'
import { Erasures } from './erasures.ts'
import { LiveHub } from './live-hub.ts'
import { openWhole } from './open-whole.ts'
import { PortsFile } from './ports-file.ts'
import { registerMissing } from './register-missing.ts'
import { startThreads, type Threads } from './start-threads.ts'
import { apiOptions, sqlOptions } from './stage-options.ts'
import { processSamples } from './stage-metrics.ts'
import { StatementDesk, type SqlStore } from './sql-desk.ts'
import { SQL_FOLDER } from '../storage/sql-files.ts'
import { storageDesk } from './storage-desk.ts'
import type { MainEvent } from './threads.ts'

const TENANT = 'default'

export interface EmbeddedOptions {
  config: Config
  plan: Plan
  /** Where to write `{"adminKey"}` (mode 600). */
  credentialsFile?: string | undefined
  /** Called once, after the start, when a thread ends that should not. */
  onCrash?: (error: Error) => void
  events?: Events
}

export interface Embedded extends AdminKey {
  readonly httpUrl: string
  readonly mqttUrl: string
  readonly httpPort: number
  readonly mqttPort: number
  /** The page's address with a one-time code. */
  signInUrl(): Promise<string>
  stop(): Promise<void>
}

/**
 * Errors: DATA_FOLDER_LOCKED, PORT_IN_USE, DATA_FORMAT_NEWER, DATA_FILE_DAMAGED, and why a thread
 * ended. After one, all that was opened is closed again.
 */
export function startEmbedded(options: EmbeddedOptions): Promise<Embedded> {
  return openWhole((opened) => open(options, opened))
}

/** What is opened puts its closing on the stack, which stop() runs from the top. */
async function open(options: EmbeddedOptions, opened: AsyncDisposableStack): Promise<Embedded> {
  const { config, plan } = options
  const folder = resolve(config.data)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  opened.defer(lockFolder(folder))
  const reserve = new DiskReserve(nodeWorld.disk, folder)
  await reserve.release()
  opened.defer(() => reserve.close())
  const portsFile = await PortsFile.reserve(folder)
  opened.defer(() => portsFile.remove())
  const path = join(folder, 'control.db')
  const control = openControl({
    path,
    world: nodeWorld,
    // It is the first that a new folder gets.
    mustExist: await nodeWorld.disk.exists(join(folder, 'catalogue.db')),
    onDamage: (problem) => options.events?.registryDamaged({ problem }),
  })
  const index = new SharedIndex(nodeWorld.disk, path)
  opened.defer(() => index.close())
  opened.defer(() => control.close())
  await index.allocate()
  const admin = await ensureAdminKey(control, folder, options.credentialsFile)
  const hub = new LiveHub({ clock: nodeWorld.clock, tenant: TENANT })
  opened.defer(() => hub.close())
  const threads = startThreads({
    ...{ config, plan, folder, tenant: TENANT },
    onEvent: (event) => takeEvent(event, { hub, alerts, events: options.events }),
    main: { register: (ids) => registerMissing(control, TENANT, ids) },
  })
  const alerts = new AlertStage({
    ...{ config, plan, control, threads, tenant: TENANT, events: options.events },
    changed: (records) => hub.alert(records),
  })
  // Behind the threads, whose last checkpoint waits for it.
  opened.defer(() => alerts.stop())
  opened.defer(() => threads.stop())
  hub.onFollow((deviceIds) => void threads.stream.follow(deviceIds))
  hub.countDevices(() => control.countDevices(TENANT))
  const state = { isReady: false }
  const unready = (): string[] => (state.isReady ? hub.faults() : ['starting'])
  const lostAtUs = await orCrash(threads, threads.storage.stateLostAtUs())
  if (lostAtUs !== undefined) await alerts.loseState(lostAtUs)
  const opening = orCrash(threads, threads.gateway.open())
  // Whoever awaits it hears of a failure, also when that is later.
  opening.catch(() => undefined)
  const desk = storageDesk(control, threads)
  const sql = openSql(options, { control, threads, alerts, folder, flush: () => desk.flush() })
  opened.defer(() => sql.close())
  const erasures = new Erasures({
    ...{ folder, threads, alerts, ...nodeWorld, events: options.events },
    ...{ stateTtlUs: config.stream.stateTtlUs, flush: () => desk.flush() },
  })
  opened.defer(() => erasures.stop())
  const creating = openApi(options, { control, hub, threads, alerts, unready, desk, sql, erasures })
  const api = await creating
  opened.defer(() => api.close())
  const mqttPort = await opening
  const httpPort = await api.listen(config.http.host, config.http.port)
  opened.defer(() => portsFile.remove())
  await portsFile.publish({ pid: process.pid, http: httpPort, mqtt: mqttPort })
  // Behind the last file of a start: on a full disk there is room for no more.
  await orCrash(threads, alerts.start())
  await orCrash(threads, erasures.resume())
  state.isReady = true
  await reserve.keep(nodeWorld.clock)
  opened.defer(() => void (state.isReady = false))
  void threads.crashed.then((error) => options.onCrash?.(error))
  const shown = config.http.host === '0.0.0.0' ? '127.0.0.1' : config.http.host
  const httpUrl = `http://${shown}:${httpPort}`
  return {
    httpUrl,
    mqttUrl: `mqtt://${shown}:${mqttPort}`,
    httpPort,
    mqttPort,
    ...admin,
    signInUrl: async () => `${httpUrl}/?code=${await api.createSignInCode()}`,
    stop: () => opened.disposeAsync(),
  }
}

function takeEvent(
  event: MainEvent,
  { hub, alerts, events }: { hub: LiveHub; alerts: AlertStage; events: Events | undefined },
): void {
  if ('ruleEvents' in event) return alerts.take(event.ruleEvents)
  if (!('happened' in event)) return hub.take(event)
  if (events !== undefined) tellEvent(events, event.happened)
}

/** A thread that ended answers nothing: waiting for its answer ends with the reason. */
function orCrash<T>({ crashed }: Threads, answer: Promise<T>): Promise<T> {
  return Promise.race([answer, crashed.then((error) => Promise.reject<T>(error))])
}

function openSql(
  { config, plan }: EmbeddedOptions,
  parts: {
    control: SqliteControl
    threads: Threads
    alerts: AlertStage
    folder: string
    flush: () => Promise<void>
  },
): StatementDesk {
  const { control, threads, alerts, folder, flush } = parts
  const store: SqlStore = {
    async open(needs, signal) {
      // What is in memory is in no file.
      await flush()
      const { id, files } = await threads.storage.openSql(needs, signal)
      return { files: { ...files, rows: [] }, release: () => threads.storage.closeSql(id) }
    },
  }
  return new StatementDesk({
    ...{ control, store, alerts: alerts.alerts, ...nodeWorld, ...sqlOptions(config) },
    ...{ folder: join(folder, SQL_FOLDER), windowsMs: plan.windowsMs },
  })
}

function openApi(
  { config, plan, events }: EmbeddedOptions,
  parts: {
    control: SqliteControl
    hub: LiveHub
    threads: Threads
    alerts: AlertStage
    unready: () => string[]
    desk: StorageDesk
    sql: StatementDesk
    erasures: Erasures
  },
): Promise<Api> {
  const { control, hub, threads, alerts, unready, desk, sql, erasures } = parts
  return createApi(
    {
      ...{ control, plan, unready, live: hub },
      telemetry: threads.gateway,
      query: threads.storage,
      alerts: alerts.alerts,
      backtests: new ThreadBacktests(plan, (question, port) => {
        void threads.storage.scan(question, port)
      }),
      storage: desk,
      ...{ sql, erasures },
      signIns: createMemorySignIns(nodeWorld),
      clock: nodeWorld.clock,
      metrics: async () => [...(await allSamples(threads)), ...alerts.metrics()],
    },
    {
      ...apiOptions(config, 1),
      ...(events && { events }),
    },
  )
}

async function allSamples({ gateway, stream, storage }: Threads): Promise<MetricSample[]> {
  const stages = [gateway.metrics(), stream.metrics(), storage.metrics()]
  return [...processSamples(), ...(await Promise.all(stages)).flat()]
}
