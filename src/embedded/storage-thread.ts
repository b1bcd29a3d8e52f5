/** The storage's thread: recent readings, segments, the catalogue, and all queries. */
import { setPriority } from 'node:os'
import { workerData } from 'node:worker_threads'
import { readingsOfFrame } from '../batch/batch.ts'
import { openStorage } from '../storage/embedded-storage.ts'
import { storageSamples } from './stage-metrics.ts'
import { FATE_DUPLICATE, type Checkpoint, type StreamOutput } from '../stream/stream.ts'
import { nodeWorld } from '../world/node-world.ts'
import { serve } from './rpc.ts'
import type {
  LogMessage,
  LoopMessage,
  StorageThread,
  StreamControl,
  StreamMessage,
  ThreadData,
} from './threads.ts'

const { config, folder, calls, upstream, loop } = workerData as ThreadData

type Taken = Extract<LoopMessage, { taken: number }>

const COMMIT_RETRY_MS = 1000
/** A third of the weight of a thread that is not niced. */
const STORAGE_NICENESS = 5
/** Windows in one answer. */
const WINDOWS_MAX = 100_000

// Acknowledgements and rule events wait for gateway and stream, nobody waits for a segment: on a
// busy machine this thread yields to them, but not so far that memory fills up behind it. Linux
// sets the priority of the calling thread; elsewhere it would be the process's, so there it stays.
if (process.platform === 'linux') setPriority(STORAGE_NICENESS)

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
/** Readings output and not yet in a segment. */
let readingsInMemory = 0
/** Frames that are not given back while memory is full: the gateway's brake. */
const withheld: Taken[] = []
let isStopping = false

function countTaken({ frame, fates }: StreamOutput): number {
  if (fates === undefined) return readingsOfFrame(frame)
  let taken = 0
  for (const fate of fates) if (fate !== FATE_DUPLICATE) taken++
  return taken
}

upstream!.on('message', (message: StreamMessage) => {
  if ('checkpoint' in message) return void commit(message.checkpoint)
  const { output } = message
  const { frame } = output
  storage.output(output)
  const count = countTaken(output)
  readingsTaken += count
  readingsInMemory += count
  const { buffer } = frame
  giveBack({ taken: frame.length, buffer })
})

loop!.on('message', ({ logEnds }: LogMessage) => storage.expect(logEnds))

function giveBack(taken: Taken): void {
  if (readingsInMemory > config.storage.memoryReadingsMax) withheld.push(taken)
  else loop!.postMessage(taken satisfies LoopMessage, [taken.buffer])
}

async function commit(checkpoint: Checkpoint): Promise<void> {
  const sealed = readingsInMemory
  await commitOnce(checkpoint)
  readingsInMemory -= sealed
  upstream!.postMessage({ committed: checkpoint.offset } satisfies StreamControl)
  // T1: everything up to the checkpoint is durable here, so the log may forget it.
  loop!.postMessage({ trimBefore: checkpoint.offset + 1 } satisfies LoopMessage)
  for (const taken of withheld.splice(0)) giveBack(taken)
}

/** Tries until it succeeds: until then everything stays in memory and in the log. */
async function commitOnce(checkpoint: Checkpoint): Promise<void> {
  for (;;) {
    try {
      return await storage.commit(checkpoint)
    } catch (error) {
      if (isStopping) return new Promise(() => {})
      console.error(`a checkpoint could not be committed, trying again: ${String(error)}`)
      await new Promise<void>((resolve) => nodeWorld.clock.after(COMMIT_RETRY_MS, resolve))
    }
  }
}

const methods: StorageThread = {
  readings: (question) => storage.readings(question),
  windows: (question) => storage.windows(question),
  latest: (tenant, deviceId) => storage.latest(tenant, deviceId),
  alerts: (filter) => storage.alerts(filter),
  anomalies: (filter) => storage.anomalies(filter),
  deadLetters: (filter) => storage.deadLetters(filter),
  completeness: () => storage.completeness(),
  metrics: () => storageSamples(storage, readingsTaken),
  stop() {
    isStopping = true
    return storage.close()
  },
}
serve(calls, methods as never)
