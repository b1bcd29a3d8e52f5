/**
 * The embedded engine: the whole pipeline in one process. Starts the parts in the order in which
 * data flows backwards (storage first, doors last) and stops them in the reverse.
 */
import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { MessageChannel, Worker, type MessagePort } from 'node:worker_threads'
import { createApi } from '../api/server.ts'
import type { Config } from '../config/config.ts'
import type { Control } from '../control/control.ts'
import { openControl } from '../control/sqlite-control.ts'
import { ERRORS, WeirError } from '../errors/errors.ts'
import { tellEvent, type Events, type MetricSample } from '../observe/observe.ts'
import type { IngestRequest } from '../gateway/gateway.ts'
import type { Plan } from '../pipeline/pipeline.ts'
import { nodeWorld } from '../world/node-world.ts'
import { DiskReserve } from './disk-reserve.ts'
import { lockFolder } from './folder-lock.ts'
import { LiveHub } from './live-hub.ts'
import { connect, serve, transferOf, type Remote } from './rpc.ts'
import { processSamples } from './stage-metrics.ts'
import type {
  GatewayThread,
  MainEvent,
  MainThread,
  StorageThread,
  StreamThread,
  ThreadData,
} from './threads.ts'

const TENANT = 'default'
/** How long a process that ends by a fault lets DuckDB come to rest. */
const REST_AT_CRASH_MS = 3000
/** A checkpoint that takes longer is left to the next start, which replays the log instead. */
const FLUSH_AT_STOP_MS = 2500
const STORAGE_FILE = './storage-thread.ts'
const WEB_FOLDER = fileURLToPath(new URL('../../dist/web', import.meta.url))

export interface EmbeddedOptions {
  config: Config
  plan: Plan
  /** Where to write `{"adminKey"}` (mode 600). */
  credentialsFile?: string | undefined
  /** Called once when a thread ends that should not. */
  onCrash?: (error: Error) => void
  events?: Events
}

export interface Embedded {
  readonly httpUrl: string
  readonly mqttUrl: string
  readonly httpPort: number
  readonly mqttPort: number
  /** Only when it was made in this start. */
  readonly adminKey: string | undefined
  readonly entriesReplayed: number
  /** The page's address with a one-time code. */
  signInUrl(): string
  stop(): Promise<void>
}

interface Threads {
  gateway: Remote<GatewayThread>
  stream: Remote<StreamThread>
  storage: Remote<StorageThread>
  workers: Worker[]
}

/** Errors: DATA_FOLDER_LOCKED, PORT_IN_USE, DATA_FORMAT_NEWER, DATA_FILE_DAMAGED. */
export async function startEmbedded(options: EmbeddedOptions): Promise<Embedded> {
  const { config, plan } = options
  const folder = resolve(config.data)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const unlock = lockFolder(folder)
  const reserve = new DiskReserve(nodeWorld.disk, folder)
  try {
    await reserve.release()
    const control = openControl({
      path: join(folder, 'control.db'),
      world: nodeWorld,
      // It is the first that a new folder gets.
      mustExist: await nodeWorld.disk.exists(join(folder, 'catalogue.db')),
      onDamage: (problem) => options.events?.registryDamaged({ problem }),
    })
    const adminKey = await ensureAdminKey(control, folder, options.credentialsFile)
    const hub = new LiveHub({ clock: nodeWorld.clock, tenant: TENANT })
    const state = { isReady: false }
    const threads = startThreads(
      options,
      folder,
      (event) => {
        if (!('happened' in event)) hub.take(event)
        else if (options.events !== undefined) tellEvent(options.events, event.happened)
      },
      (ids) => registerMissing(control, ids),
    )
    hub.onFollow((deviceIds) => void threads.stream.follow(deviceIds))
    const { port: mqttPort, entriesReplayed } = await threads.gateway.open()
    const api = await createApi(
      {
        control,
        telemetry: threads.gateway,
        query: threads.storage,
        live: hub,
        plan,
        clock: nodeWorld.clock,
        random: nodeWorld.random,
        metrics: () => allSamples(threads),
        unready: () => (state.isReady ? hub.faults() : ['starting']),
        deviceChanged: () => {},
      },
      {
        hosts: config.http.hosts,
        web: { folder: WEB_FOLDER, disk: nodeWorld.disk },
        limits: {
          bodyBytesMax: config.http.bodyBytesMax,
          connectionsMax: config.http.connectionsMax,
        },
        ...(options.events && { events: options.events }),
      },
    )
    hub.countDevices(() => control.countDevices(TENANT))
    const httpPort = await api.listen(config.http.host, config.http.port)
    const portsFile = join(folder, 'ports.json')
    const ports = { pid: process.pid, http: httpPort, mqtt: mqttPort }
    await writeFile(portsFile, `${JSON.stringify(ports)}\n`)
    state.isReady = true
    await reserve.keep(nodeWorld.clock)
    const shown = config.http.host === '0.0.0.0' ? '127.0.0.1' : config.http.host
    const httpUrl = `http://${shown}:${httpPort}`
    return {
      httpUrl,
      mqttUrl: `mqtt://${shown}:${mqttPort}`,
      httpPort,
      mqttPort,
      adminKey,
      entriesReplayed,
      signInUrl: () => `${httpUrl}/?code=${api.createSignInCode()}`,
      async stop() {
        state.isReady = false
        await api.close()
        await stopThreads(threads)
        hub.close()
        reserve.close()
        control.close()
        await rm(portsFile, { force: true })
        unlock()
      },
    }
  } catch (error) {
    unlock()
    throw error
  }
}

async function allSamples({ gateway, stream, storage }: Threads): Promise<MetricSample[]> {
  const stages = [gateway.metrics(), stream.metrics(), storage.metrics()]
  return [...processSamples(), ...(await Promise.all(stages)).flat()]
}

/** An error comes from its thread as plain data: its class is lost, its code is not. */
function revive(error: Error): Error {
  const { code, message, details = {} } = error as Partial<WeirError> & Error
  return code !== undefined && code in ERRORS ? new WeirError(code, message, { details }) : error
}

/** The doors close, what was accepted becomes durable, a checkpoint is made if time allows. */
async function stopThreads(threads: Threads): Promise<void> {
  await threads.gateway.stop()
  const late = Promise.withResolvers<void>()
  const cancel = nodeWorld.clock.after(FLUSH_AT_STOP_MS, late.resolve)
  await Promise.race([threads.stream.stop(), late.promise])
  cancel()
  await threads.storage.stop()
  for (const worker of threads.workers) {
    worker.removeAllListeners('exit')
    await worker.terminate()
  }
}

function startThreads(
  options: EmbeddedOptions,
  folder: string,
  onEvent: (event: MainEvent) => void,
  register: MainThread['register'],
): Threads {
  const { config, plan } = options
  const gatewayToStream = new MessageChannel()
  const streamToStorage = new MessageChannel()
  const storageToGateway = new MessageChannel()
  const workers: Worker[] = []
  const start = <T>(
    file: string,
    ports: Partial<Pick<ThreadData, 'upstream' | 'downstream' | 'loop'>>,
    give?: Parameters<typeof connect>[1],
  ): Remote<T> => {
    const calls = new MessageChannel()
    const events = new MessageChannel()
    events.port1.on('message', onEvent)
    const main = new MessageChannel()
    serve(main.port1, { register })
    const given = { upstream: undefined, downstream: undefined, loop: undefined, ...ports }
    const workerData: ThreadData = {
      ...{ config, plan, folder, tenant: TENANT },
      ...{ calls: calls.port2, events: events.port2, main: main.port2 },
      ...given,
    }
    const transferList = [
      calls.port2,
      events.port2,
      main.port2,
      ...Object.values(ports),
    ] as MessagePort[]
    const worker = new Worker(new URL(file, import.meta.url), { workerData, transferList })
    worker.on('error', (error) => void crash(file, revive(error as Error)))
    worker.on('exit', (code) => void crash(file, new Error(`${file} ended with code ${code}`)))
    workers.push(worker)
    return connect<T>(calls.port1, give)
  }
  /** To end a process in the middle of DuckDB's work would be an abort without an exit code. */
  let hasCrashed = false
  const crash = async (file: string, error: Error): Promise<void> => {
    if (hasCrashed) return
    hasCrashed = true
    const late = Promise.withResolvers<void>()
    nodeWorld.clock.after(REST_AT_CRASH_MS, late.resolve)
    if (file !== STORAGE_FILE) await Promise.race([storage.stop().catch(() => {}), late.promise])
    options.onCrash?.(error)
  }
  const storage = start<StorageThread>(STORAGE_FILE, {
    upstream: streamToStorage.port2,
    loop: storageToGateway.port1,
  })
  const stream = start<StreamThread>('./stream-thread.ts', {
    upstream: gatewayToStream.port2,
    downstream: streamToStorage.port1,
  })
  const gateway = start<GatewayThread>(
    './gateway-thread.ts',
    { downstream: gatewayToStream.port1, loop: storageToGateway.port2 },
    { ingest: ({ body }: IngestRequest) => transferOf(body) },
  )
  return { gateway, stream, storage, workers }
}

async function registerMissing(control: Control, ids: string[]): Promise<void> {
  for (const id of ids) {
    if (control.find(TENANT, id) === undefined)
      control.createDevice(TENANT, { id, type: 'generic' })
  }
  await control.durable()
}

/** A key in the credentials file that still works is kept; else a new one is made and returned. */
async function ensureAdminKey(
  control: Control,
  folder: string,
  credentialsFile: string | undefined,
): Promise<string | undefined> {
  const file = credentialsFile ?? join(folder, 'credentials.json')
  const known = await readFile(file, 'utf8').catch(() => undefined)
  if (known !== undefined) {
    const { adminKey } = parseCredentials(known)
    if (adminKey !== undefined && control.identify(adminKey)?.kind === 'admin') return adminKey
  }
  const adminKey = control.createAdminKey()
  // The file must not hold a key that a power cut takes back.
  await control.durable()
  await writeFile(file, `${JSON.stringify({ adminKey })}\n`, { mode: 0o600 })
  await chmod(file, 0o600)
  return adminKey
}

function parseCredentials(text: string): { adminKey?: string } {
  try {
    return JSON.parse(text) as { adminKey?: string }
  } catch {
    return {}
  }
}
