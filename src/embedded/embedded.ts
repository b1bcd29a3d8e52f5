/**
 * The embedded engine: the whole pipeline in one process. Starts the parts in the order in which
 * data flows backwards (storage first, doors last) and stops them in the reverse.
 */
import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createApi, type Api } from '../api/server.ts'
import type { Config } from '../config/config.ts'
import { isDeviceId, type Control } from '../control/control.ts'
import { openControl } from '../control/sqlite-control.ts'
import { WeirError } from '../errors/errors.ts'
import { tellEvent, type Events, type MetricSample } from '../observe/observe.ts'
import type { Plan } from '../pipeline/pipeline.ts'
import { nodeWorld } from '../world/node-world.ts'
import { DiskReserve } from './disk-reserve.ts'
import { lockFolder } from './folder-lock.ts'
import { LiveHub } from './live-hub.ts'
import { startThreads, type Threads } from './start-threads.ts'
import { processSamples } from './stage-metrics.ts'

const TENANT = 'default'
const WEB_FOLDER = fileURLToPath(new URL('../../dist/web', import.meta.url))

export interface EmbeddedOptions {
  config: Config
  plan: Plan
  /** Where to write `{"adminKey"}` (mode 600). */
  credentialsFile?: string | undefined
  /** Called once, after the start, when a thread ends that should not. */
  onCrash?: (error: Error) => void
  events?: Events
}

export interface Embedded {
  readonly httpUrl: string
  readonly mqttUrl: string
  readonly httpPort: number
  readonly mqttPort: number
  /** The one in the credentials file: found there and still good, or made in this start. */
  readonly adminKey: string
  readonly isAdminKeyNew: boolean
  /** The page's address with a one-time code. */
  signInUrl(): string
  stop(): Promise<void>
}

/**
 * Errors: DATA_FOLDER_LOCKED, PORT_IN_USE, DATA_FORMAT_NEWER, DATA_FILE_DAMAGED, and why a thread
 * ended. After one, all that was opened is closed again.
 */
export async function startEmbedded(options: EmbeddedOptions): Promise<Embedded> {
  const opened = new AsyncDisposableStack()
  try {
    return await open(options, opened)
  } catch (error) {
    // A closing that fails, too, follows from this error and says less.
    await opened.disposeAsync().catch(() => undefined)
    throw error
  }
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
  const control = openControl({
    path: join(folder, 'control.db'),
    world: nodeWorld,
    // It is the first that a new folder gets.
    mustExist: await nodeWorld.disk.exists(join(folder, 'catalogue.db')),
    onDamage: (problem) => options.events?.registryDamaged({ problem }),
  })
  opened.defer(() => control.close())
  const admin = await ensureAdminKey(control, folder, options.credentialsFile)
  const hub = new LiveHub({ clock: nodeWorld.clock, tenant: TENANT })
  opened.defer(() => hub.close())
  const threads = startThreads({
    ...{ config, plan, folder, tenant: TENANT },
    onEvent: (event) => {
      if (!('happened' in event)) hub.take(event)
      else if (options.events !== undefined) tellEvent(options.events, event.happened)
    },
    main: { register: (ids) => registerMissing(control, ids) },
  })
  opened.defer(() => threads.stop())
  hub.onFollow((deviceIds) => void threads.stream.follow(deviceIds))
  hub.countDevices(() => control.countDevices(TENANT))
  const state = { isReady: false }
  const unready = (): string[] => (state.isReady ? hub.faults() : ['starting'])
  const opening = orCrash(threads, threads.gateway.open())
  const creating = openApi(options, { control, hub, threads, unready })
  const api = await creating
  opened.defer(() => api.close())
  const mqttPort = await opening
  const httpPort = await api.listen(config.http.host, config.http.port)
  const portsFile = join(folder, 'ports.json')
  opened.defer(() => rm(portsFile, { force: true }))
  const ports = { pid: process.pid, http: httpPort, mqtt: mqttPort }
  await writeFile(portsFile, `${JSON.stringify(ports)}\n`)
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
    signInUrl: () => `${httpUrl}/?code=${api.createSignInCode()}`,
    stop: () => opened.disposeAsync(),
  }
}

/** A thread that ended answers nothing: waiting for its answer ends with the reason. */
function orCrash<T>({ crashed }: Threads, answer: Promise<T>): Promise<T> {
  return Promise.race([answer, crashed.then((error) => Promise.reject<T>(error))])
}

function openApi(
  { config, plan, events }: EmbeddedOptions,
  parts: { control: Control; hub: LiveHub; threads: Threads; unready: () => string[] },
): Promise<Api> {
  const { control, hub, threads, unready } = parts
  const { http } = config
  return createApi(
    {
      ...{ control, plan, unready, live: hub },
      telemetry: threads.gateway,
      query: threads.storage,
      clock: nodeWorld.clock,
      random: nodeWorld.random,
      metrics: () => allSamples(threads),
    },
    {
      hosts: http.hosts,
      web: { folder: WEB_FOLDER, disk: nodeWorld.disk },
      limits: {
        bodyBytesMax: http.bodyBytesMax,
        inflatedBytesMax: http.inflatedBytesMax,
        bodiesBytesMax: http.bodiesBytesMax,
        headersTimeoutMs: http.headersTimeoutUs / 1000,
        requestTimeoutMs: http.requestTimeoutUs / 1000,
        idleTimeoutMs: http.idleTimeoutUs / 1000,
        connectionsMax: http.connectionsMax,
      },
      ...(events && { events }),
    },
  )
}

async function allSamples({ gateway, stream, storage }: Threads): Promise<MetricSample[]> {
  const stages = [gateway.metrics(), stream.metrics(), storage.metrics()]
  return [...processSamples(), ...(await Promise.all(stages)).flat()]
}

/** What cannot be an id stays unknown: its lines become dead letters, the others count. */
async function registerMissing(control: Control, ids: string[]): Promise<void> {
  const creating = ids
    .filter(isDeviceId)
    .map((id) => control.createDevice(TENANT, { id, type: 'generic' }))
  for (const answer of await Promise.allSettled(creating)) {
    if (answer.status === 'rejected' && !isDeviceKnown(answer.reason)) throw answer.reason
  }
}

const isDeviceKnown = (error: unknown): boolean =>
  error instanceof WeirError && error.code === 'CONTROL_DEVICE_EXISTS'

/** A key in the credentials file that still works is kept; else a new one is made. */
async function ensureAdminKey(
  control: Control,
  folder: string,
  credentialsFile: string | undefined,
): Promise<Pick<Embedded, 'adminKey' | 'isAdminKeyNew'>> {
  const file = credentialsFile ?? join(folder, 'credentials.json')
  const known = await readFile(file, 'utf8').catch(() => undefined)
  if (known !== undefined) {
    const { adminKey } = parseCredentials(known)
    if (adminKey !== undefined && (await control.identify(adminKey))?.kind === 'admin')
      return { adminKey, isAdminKeyNew: false }
  }
  // Durable now: the file must not hold a key that a power cut takes back.
  const adminKey = await control.createAdminKey()
  await writeFile(file, `${JSON.stringify({ adminKey })}\n`, { mode: 0o600 })
  await chmod(file, 0o600)
  return { adminKey, isAdminKeyNew: true }
}

function parseCredentials(text: string): { adminKey?: string } {
  try {
    return JSON.parse(text) as { adminKey?: string }
  } catch {
    return {}
  }
}
