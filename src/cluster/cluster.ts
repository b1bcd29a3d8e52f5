/**
 * One process of a cluster: the roles that it was given, over Kafka and PostgreSQL, and Redis where
 * there is one. All state is in those services; the data folder holds `ports.json` and the like.
 *
 *   devices ─▶ gateway ─▶ telemetry ─▶ stream ─▶ readings, windows, events ─▶ writer ─▶ PostgreSQL
 *                                                   │                          control ◀─┘
 *                                                   ├─▶ control: alerts ─▶ whoever is told
 *                                                   ├─▶ lake ─▶ Parquet in S3
 *                                                   └─▶ sink ─▶ another time series database
 */
import { mkdir } from 'node:fs/promises'
import { resolve } from 'node:path'
import { createApi, type Api } from '../api/server.ts'
import type { Config } from '../config/config.ts'
import { openPostgresControl } from '../control/postgres-control.ts'
import { ensureAdminKey, type AdminKey } from '../embedded/admin-key.ts'
import { lockFolder } from '../embedded/folder-lock.ts'
import { openWhole } from '../embedded/open-whole.ts'
import { PortsFile } from '../embedded/ports-file.ts'
import { processSamples } from '../embedded/stage-metrics.ts'
import { apiOptions } from '../embedded/stage-options.ts'
import { openKafka } from '../kafka/open-kafka.ts'
import type { Events, MetricSample } from '../observe/observe.ts'
import type { Plan } from '../pipeline/pipeline.ts'
import { nodeWorld } from '../world/node-world.ts'
import { kafkaAccess, postgresAccess } from './accesses.ts'
import { ControlRole } from './control-role.ts'
import { GatewayRole } from './gateway-role.ts'
import { openLive } from './live.ts'
import type { Role } from './roles.ts'
import { openErasures } from './erasures.ts'
import { openAlertRole } from './open-alert-role.ts'
import { openLakeRole } from './open-lake-role.ts'
import { openSql } from './open-sql.ts'
import { openStreamRole } from './open-stream-role.ts'
import { guardStores } from './store-guard.ts'
import { SinkRole } from './sink-role.ts'
import { Topics } from './topics.ts'
import { WriterRole } from './writer-role.ts'

const TENANT = 'default'
/** As many as there are connections to a store. */
const QUESTIONS_AT_ONCE_MIN = 8

export interface ClusterOptions {
  config: Config
  plan: Plan
  roles: ReadonlySet<Role>
  /** Where to write `{"adminKey"}` (mode 600). */
  credentialsFile?: string | undefined
  /** Called once, after the start, when this process must not go on. */
  onCrash?: (error: Error) => void
  events?: Events
}

/** What a running engine tells; parts that a process does not have are undefined. */
export interface Cluster extends AdminKey {
  readonly httpUrl: string
  readonly mqttUrl: string | undefined
  readonly httpPort: number
  readonly mqttPort: number | undefined
  /** The page's address with a one-time code. */
  readonly signInUrl: (() => Promise<string>) | undefined
  stop(): Promise<void>
}

/** What the roles share. */
export interface Shared extends ClusterOptions {
  topics: Topics
}

/**
 * Errors: CONFIG_VALUE_INVALID, CONFIG_STORES_DIFFER, LOG_UNAVAILABLE, CONTROL_UNAVAILABLE,
 * STORAGE_UNAVAILABLE, PORT_IN_USE, DATA_FOLDER_LOCKED, DATA_FORMAT_NEWER. After one, all that was
 * opened is closed.
 */
export function startCluster(options: ClusterOptions): Promise<Cluster> {
  return openWhole((opened) => open(options, opened))
}

/** What is opened puts its closing on the stack, which stop() runs from the top. */
async function open(options: ClusterOptions, opened: AsyncDisposableStack): Promise<Cluster> {
  const { config, roles, plan } = options
  const folder = resolve(config.data)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  opened.defer(lockFolder(folder))
  const portsFile = await PortsFile.reserve(folder)
  opened.defer(() => portsFile.remove())
  const control = await openPostgresControl({ access: postgresAccess(config), world: nodeWorld })
  opened.defer(() => control.close())
  if (roles.has('writer') || roles.has('control')) opened.defer(await guardStores(options))
  const kafka = await openKafka(kafkaAccess(config), nodeWorld)
  opened.defer(() => kafka.close())
  const topics = await Topics.open(kafka, config)
  const shared: Shared = { ...options, topics }
  const live = openLive(config, (tenant) => control.countDevices(tenant))
  opened.defer(() => live.close())
  const asking = roles.has('control') ? new ControlRole(shared) : undefined
  if (asking !== undefined) opened.defer(() => asking.close())
  const alerts = asking && (await openAlertRole(shared, { control, query: asking.query, live }))
  if (alerts !== undefined) opened.defer(() => alerts.stop())
  const erasures =
    asking && alerts && (await openErasures(shared, { list: asking.erasures, alerts }))
  if (erasures !== undefined) opened.defer(() => erasures.stop())
  const sql =
    asking &&
    alerts &&
    (await openSql(shared, { control, alerts: alerts.alerts, tables: asking.statements }))
  if (sql !== undefined) opened.defer(() => sql.close())
  const writer = roles.has('writer') ? await WriterRole.open(shared) : undefined
  if (writer !== undefined) opened.defer(() => writer.stop())
  const stream = roles.has('stream') ? await openStreamRole(shared, TENANT, live) : undefined
  if (stream !== undefined) opened.defer(() => stream.stop())
  const lake = roles.has('lake') ? await openLakeRole(shared) : undefined
  if (lake !== undefined) opened.defer(() => lake.close())
  const sink = roles.has('sink') ? await SinkRole.open(shared) : undefined
  if (sink !== undefined) opened.defer(() => sink.stop())
  const gateway = roles.has('gateway')
    ? await GatewayRole.open(shared, { control, tenant: TENANT, live })
    : undefined
  if (gateway !== undefined) opened.defer(() => gateway.stop())
  const state = { isReady: false }
  const behind = [writer, stream, lake?.role, sink, alerts]
  const reading = behind.filter((role) => role !== undefined)
  const working = [asking, ...reading, gateway].filter((role) => role !== undefined)
  const api = await createApi(
    {
      ...{ control, signIns: control.signIns, plan, clock: nodeWorld.clock },
      telemetry: gateway?.gateway,
      query: asking?.query,
      backtests: asking?.backtests,
      ...{ exports: asking?.exports, erasures, sql },
      live: asking && live.source,
      alerts: alerts?.alerts,
      metrics: async (): Promise<MetricSample[]> => [
        ...processSamples(),
        ...working.flatMap((role) => role.metrics()),
      ],
      unready: () => (state.isReady ? (gateway?.faults() ?? []) : ['starting']),
    },
    {
      ...apiOptions(config, QUESTIONS_AT_ONCE_MIN),
      ...(options.events && { events: options.events }),
    },
  )
  opened.defer(() => api.close())
  const mqttPort = await gateway?.listen(config.mqtt.host, config.mqtt.port)
  const httpPort = await api.listen(config.http.host, config.http.port)
  for (const role of reading) role.start()
  erasures?.begin()
  // Before the ports: whoever finds those may want it.
  const admin = await ensureAdminKey(control, folder, options.credentialsFile)
  opened.defer(() => portsFile.remove())
  await portsFile.publish({ pid: process.pid, http: httpPort, mqtt: mqttPort })
  state.isReady = true
  opened.defer(async () => {
    state.isReady = false
    if (gateway !== undefined) await delay(config.mqtt.drainDelayUs / 1000)
  })
  return describe(config, { admin, api: asking && api, httpPort, mqttPort, opened })
}

const delay = (delayMs: number): Promise<void> =>
  new Promise((resolve) => nodeWorld.clock.after(delayMs, resolve))

function describe(
  { http }: Config,
  is: {
    admin: AdminKey
    /** Of a process that serves the page. */
    api: Api | undefined
    httpPort: number
    mqttPort: number | undefined
    opened: AsyncDisposableStack
  },
): Cluster {
  const { admin, api, httpPort, mqttPort, opened } = is
  const shown = http.host === '0.0.0.0' ? '127.0.0.1' : http.host
  const httpUrl = `http://${shown}:${httpPort}`
  return {
    ...admin,
    ...{ httpUrl, httpPort, mqttPort },
    mqttUrl: mqttPort === undefined ? undefined : `mqtt://${shown}:${mqttPort}`,
    signInUrl: api && (async () => `${httpUrl}/?code=${await api.createSignInCode()}`),
    stop: () => opened.disposeAsync(),
  }
}
