/** Starts the three threads behind main, wires them to each other, and stops them again. */
import { extname } from 'node:path'
import { MessageChannel, Worker, type MessagePort } from 'node:worker_threads'
import type { Config } from '../config/config.ts'
import { ERRORS, WeirError } from '../errors/errors.ts'
import type { IngestRequest } from '../gateway/gateway.ts'
import type { Plan } from '../pipeline/pipeline.ts'
import type { ScanQuestion } from '../query/query.ts'
import { nodeWorld } from '../world/node-world.ts'
import { connect, serve, transferOf, type Remote } from './rpc.ts'
import type {
  GatewayThread,
  MainEvent,
  MainThread,
  StorageThread,
  StreamThread,
  ThreadData,
} from './threads.ts'

/** A checkpoint that takes longer is left to the next start, which replays the log instead. */
const FLUSH_AT_STOP_MS = 2500

/** How long a process that ends by a fault lets DuckDB come to rest. */
const REST_AT_CRASH_MS = 3000
const STORAGE_FILE = './storage-thread.ts'

/**
 * Of a thread's heap, for what is new. V8 would take three times as much, 100 MB a thread under
 * full load, though nearly nothing on the hot path outlives a collection: of 160 MB 27 were in use.
 */
const YOUNG_MEGABYTES = 32

/** Node runs the TypeScript of a checkout; the package holds the JavaScript emitted from it. */
export const fileOfThread = (source: string): URL =>
  new URL(source.replace(/\.ts$/, extname(import.meta.url)), import.meta.url)

export interface Threads {
  readonly gateway: Remote<GatewayThread>
  readonly stream: Remote<StreamThread>
  readonly storage: Remote<StorageThread>
  /** Resolves when a thread ended by itself: it answers no call any more. */
  readonly crashed: Promise<Error>
  /** The doors close, what was accepted becomes durable, a checkpoint is made if time allows. */
  stop(): Promise<void>
}

export interface ThreadsOptions {
  config: Config
  plan: Plan
  folder: string
  tenant: string
  onEvent: (event: MainEvent) => void
  /** What main does for the gateway. */
  main: MainThread
}

type Ports = Partial<Pick<ThreadData, 'upstream' | 'downstream' | 'loop' | 'main'>>

export function startThreads(options: ThreadsOptions): Threads {
  const { config, plan, folder, tenant } = options
  const gatewayToStream = new MessageChannel()
  const streamToStorage = new MessageChannel()
  const storageToGateway = new MessageChannel()
  const workers: Worker[] = []
  /** The ends that stay here. */
  const ends: MessagePort[] = []
  const crashed = Promise.withResolvers<Error>()
  const start = <T>(file: string, ports: Ports, give?: Parameters<typeof connect>[1]) => {
    const calls = new MessageChannel()
    const events = new MessageChannel()
    events.port1.on('message', options.onEvent)
    const none = { upstream: undefined, downstream: undefined, loop: undefined, main: undefined }
    const workerData: ThreadData = {
      ...{ config, plan, folder, tenant },
      ...{ calls: calls.port2, events: events.port2, ...none, ...ports },
    }
    const transferList = [calls.port2, events.port2, ...Object.values(ports)] as MessagePort[]
    const resourceLimits = { maxYoungGenerationSizeMb: YOUNG_MEGABYTES }
    const worker = new Worker(fileOfThread(file), { workerData, transferList, resourceLimits })
    worker.on('error', (error) => void crash(file, revive(error as Error)))
    worker.on('exit', (code) => void crash(file, new Error(`${file} ended with code ${code}`)))
    workers.push(worker)
    ends.push(calls.port1, events.port1)
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
    crashed.resolve(error)
  }
  const storage = start<StorageThread>(
    STORAGE_FILE,
    { upstream: streamToStorage.port2, loop: storageToGateway.port1 },
    { scan: (_question: ScanQuestion, port: MessagePort) => [port] },
  )
  const stream = start<StreamThread>('./stream-thread.ts', {
    upstream: gatewayToStream.port2,
    downstream: streamToStorage.port1,
  })
  const main = new MessageChannel()
  serve(main.port1, { ...options.main })
  ends.push(main.port1)
  const gateway = start<GatewayThread>(
    './gateway-thread.ts',
    { downstream: gatewayToStream.port1, loop: storageToGateway.port2, main: main.port2 },
    { ingest: ({ body }: IngestRequest) => transferOf(body) },
  )
  const stages = { gateway, stream, storage, crashed: crashed.promise }
  return {
    ...stages,
    async stop() {
      try {
        // Without one of them the others wait forever; what was acknowledged is in the log.
        await Promise.race([drain(stages), crashed.promise])
      } finally {
        for (const worker of workers) {
          worker.removeAllListeners('exit')
          await worker.terminate()
        }
        for (const end of ends) end.close()
      }
    },
  }
}

type Stages = Pick<Threads, 'gateway' | 'stream' | 'storage'>

async function drain({ gateway, stream, storage }: Stages): Promise<void> {
  await gateway.stop()
  const late = Promise.withResolvers<void>()
  const cancel = nodeWorld.clock.after(FLUSH_AT_STOP_MS, late.resolve)
  await Promise.race([stream.stop(), late.promise])
  cancel()
  await storage.stop()
}

/** An error comes from its thread as plain data: its class is lost, its code is not. */
function revive(error: Error): Error {
  const { code, message, details = {} } = error as Partial<WeirError> & Error
  return code !== undefined && code in ERRORS ? new WeirError(code, message, { details }) : error
}
