/** The storage's thread: recent readings, segments, the catalogue, and all queries. */
import { workerData } from 'node:worker_threads'
import { readingsOfFrame } from '../batch/batch.ts'
import { openStorage } from '../storage/embedded-storage.ts'
import { storageSamples } from './stage-metrics.ts'
import { FATE_DUPLICATE, type StreamOutput } from '../stream/stream.ts'
import { nodeWorld } from '../world/node-world.ts'
import { serve } from './rpc.ts'
import type {
  LoopMessage,
  StorageThread,
  StreamControl,
  StreamMessage,
  ThreadData,
} from './threads.ts'

const { config, folder, calls, upstream, loop } = workerData as ThreadData

/** Windows in one answer. */
const WINDOWS_MAX = 100_000

const storage = await openStorage({
  folder,
  world: nodeWorld,
  options: {
    threads: config.storage.duckdbThreads,
    memoryBytes: config.storage.duckdbMemoryBytes,
    segmentRows: config.storage.segmentReadingsTarget,
    queryConcurrency: config.query.concurrency,
    limits: { rowsMax: config.query.rowsMax, windowsMax: WINDOWS_MAX },
  },
})

const recovered = await storage.recover()
upstream!.postMessage({ recovered } satisfies StreamControl)
// The gateway wants the dictionary and the offset; the state is the stream's alone.
loop!.postMessage({ recovered: { ...recovered, state: [] } } satisfies LoopMessage)

/** Since start, what was replayed included. */
let readingsTaken = 0

function countTaken({ frame, fates }: StreamOutput): number {
  if (fates === undefined) return readingsOfFrame(frame)
  let taken = 0
  for (const fate of fates) if (fate !== FATE_DUPLICATE) taken++
  return taken
}

upstream!.on('message', (message: StreamMessage) => {
  if ('output' in message) {
    const { output } = message
    const { offset, frame } = output
    storage.output(output)
    readingsTaken += countTaken(output)
    const { buffer } = frame
    loop!.postMessage({ taken: frame.length, buffer, offset } satisfies LoopMessage, [buffer])
    return
  }
  const { checkpoint } = message
  storage.commit(checkpoint).then(
    () => {
      upstream!.postMessage({ committed: checkpoint.offset } satisfies StreamControl)
      // T1: everything up to the checkpoint is durable here, so the log may forget it.
      loop!.postMessage({ trimBefore: checkpoint.offset + 1 } satisfies LoopMessage)
    },
    (error: unknown) => {
      throw error
    },
  )
})

const methods: StorageThread = {
  readings: (question) => storage.readings(question),
  windows: (question) => storage.windows(question),
  latest: (tenant, deviceId) => storage.latest(tenant, deviceId),
  alerts: (filter) => storage.alerts(filter),
  anomalies: (filter) => storage.anomalies(filter),
  deadLetters: (filter) => storage.deadLetters(filter),
  metrics: () => storageSamples(storage, readingsTaken),
  stop: () => storage.close(),
}
serve(calls, methods as never)
