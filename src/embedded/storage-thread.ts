/** The storage's thread: recent readings, segments, the catalogue, and all queries. */
import { setPriority } from 'node:os'
import { workerData } from 'node:worker_threads'
import type { EventCall } from '../observe/observe.ts'
import { retentionOf } from '../pipeline/pipeline.ts'
import { removeCopies } from '../storage/backup-source.ts'
import { openStorage } from '../storage/open-storage.ts'
import { Backups } from './backups.ts'
import { coldRule, openColdObjects } from './cold-objects.ts'
import { isoTime } from './iso-time.ts'
import { storageSamples } from './stage-metrics.ts'
import { nodeWorld } from '../world/node-world.ts'
import { serve } from './rpc.ts'
import { serveScan } from './scan-port.ts'
import { StatementFiles } from './statement-files.ts'
import { StorageLoop } from './storage-loop.ts'
import { Verifications } from './verifications.ts'
import type { LogMessage, MainEvent, StorageThread, StreamMessage, ThreadData } from './threads.ts'

const { config, plan, folder, calls, events, upstream, loop } = workerData as ThreadData
const happened = (event: EventCall): void =>
  events.postMessage({ happened: event } satisfies MainEvent)

/** A third of the weight of a thread that is not niced. */
const STORAGE_NICENESS = 5
/** Windows in one answer. */
const WINDOWS_MAX = 100_000
/** Between two looks at what is due for its age. */
const AGING_INTERVAL_MS = 600_000

// Acknowledgements and rule events wait for gateway and stream, nobody waits for a segment: on a
// busy machine this thread yields to them, but not so far that memory fills up behind it. Linux
// sets the priority of the calling thread; elsewhere it would be the process's, so there it stays.
if (process.platform === 'linux') setPriority(STORAGE_NICENESS)

await removeCopies(nodeWorld.disk, folder)
const coldObjects = await openColdObjects(config, folder, nodeWorld)

const storage = await openStorage({
  folder,
  world: nodeWorld,
  options: {
    threads: config.storage.duckdbThreads,
    memoryBytes: config.storage.duckdbMemoryBytes,
    segmentRows: config.storage.segmentReadingsTarget,
    queryConcurrency: config.query.concurrency,
    limits: { rowsMax: config.query.rowsMax, windowsMax: WINDOWS_MAX },
    answersBytesMax: config.query.cacheBytes,
    allowedLatenessMs: plan.time.allowedLatenessUs / 1000,
    aging: {
      objects: coldObjects,
      intervalMs: AGING_INTERVAL_MS,
      agesOf: (series) => retentionOf(plan.retention, series),
      isExportedFirst: plan.retention.isExportedFirst,
    },
    listener: {
      aged: ({ moved, deleted, startUs, endUs }) => {
        const [from, to] = [startUs, endUs].map(isoTime)
        happened({ name: 'aged', fields: { moved, deleted, from: from!, to: to! } })
      },
      agingFailed: (cause) => happened({ name: 'agingFailed', fields: { problem: String(cause) } }),
      mergeFailed: (cause) => happened({ name: 'mergeFailed', fields: { problem: String(cause) } }),
      segmentDamaged: (fields) => happened({ name: 'segmentDamaged', fields }),
      stateLost: (problem) => happened({ name: 'stateLost', fields: { problem } }),
      eventDamaged: (problem) => happened({ name: 'eventDamaged', fields: { problem } }),
    },
  },
})

const stage = new StorageLoop({
  storage,
  clock: nodeWorld.clock,
  memoryReadingsMax: config.storage.memoryReadingsMax,
  toStream: (message) => upstream!.postMessage(message),
  toGateway: (message, transfer) => loop!.postMessage(message, transfer),
  commitFailed: (offset, error) =>
    happened({ name: 'commitFailed', fields: { offset, problem: String(error) } }),
  commitRecovered: (offset, outageMs) =>
    happened({ name: 'commitRecovered', fields: { offset, outageMs } }),
})
await stage.start()
upstream!.on('message', (message: StreamMessage) => stage.take(message))
loop!.on('message', ({ logEnds }: LogMessage) => storage.expect(logEnds))

const backups = new Backups({
  ...{ folder, storage, world: nodeWorld },
  coldFolder: config.cold.bucket === '' ? coldObjects : undefined,
})

const statements = new StatementFiles({
  ...{ storage, folder, disk: nodeWorld.disk, objects: coldObjects },
  isBucket: config.cold.bucket !== '',
  bytesMax: config.query.sqlFilesBytesMax,
})

const verifications = new Verifications(storage, nodeWorld.random)

const methods: StorageThread = {
  startVerification: () => verifications.start(),
  verification: (id) => verifications.status(id),
  async lifecycle() {
    return { found: await storage.frozen.rule(), configured: coldRule(config, plan.retention) }
  },
  async setLifecycle() {
    await storage.frozen.setRule(coldRule(config, plan.retention))
    return methods.lifecycle()
  },
  archived: (question) => storage.frozen.status(question),
  restoreArchived: (question, days) => storage.frozen.restore(question, days),
  erasures: () => storage.erasures.all(),
  beginErasure: (erasure) => storage.erasures.begin(erasure),
  async runErasure(id) {
    const done = await storage.erasures.run(id)
    await statements.sweep()
    return done
  },
  finishErasure: (id, receipt) => storage.erasures.finish(id, receipt),
  openSql: (question, signal) => statements.open(question, signal),
  closeSql: (id) => statements.close(id),
  report: () => storage.report(folder),
  confirmExported: (beforeUs) => storage.confirmExported(beforeUs),
  beginBackup: (to) => backups.begin(to),
  cancelBackup: () => backups.cancel(),
  runBackup: (to) => backups.run(to),
  backup: (id) => backups.status(id),
  pruneBackups: (to, keep) => backups.prune(to, keep),
  knownBackups: () => backups.known.list(),
  readings: (...asked) => storage.readings(...asked),
  windows: (...asked) => storage.windows(...asked),
  groups: (...asked) => storage.groups(...asked),
  latest: (tenant, deviceId) => storage.latest(tenant, deviceId),
  latestOfMetric: (question) => storage.latestOfMetric(question),
  anomalies: (filter) => storage.anomalies(filter),
  deadLetters: (filter) => storage.deadLetters(filter),
  completeness: () => storage.completeness(),
  scan: (question, port) => serveScan(port, storage.scan(question)),
  stateLostAtUs: () => stage.stateLostAtUs,
  metrics: () => storageSamples(storage, stage.readingsTaken),
  stop: () => stage.stop(),
}
serve(calls, methods as never)
