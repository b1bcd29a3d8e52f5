/** The gateway's thread: sockets, decoding, the log. */
import { join } from 'node:path'
import { workerData } from 'node:worker_threads'
import type { SeriesDefinition } from '../batch/batch.ts'
import { openDeviceReader } from '../control/sqlite-control.ts'
import { WeirError } from '../errors/errors.ts'
import { Gateway } from '../gateway/gateway-stage.ts'
import { gatewaySamples } from '../gateway/gateway-metrics.ts'
import { openFileLog } from '../log/file-log.ts'
import type { Log } from '../log/log.ts'
import type { EventCall } from '../observe/observe.ts'
import type { Recovered } from '../storage/storage.ts'
import { nodeWorld } from '../world/node-world.ts'
import { connect, serve, transferOf } from './rpc.ts'
import type {
  FrameMessage,
  GatewayThread,
  LoopMessage,
  MainEvent,
  MainThread,
  ThreadData,
} from './threads.ts'

const { config, plan, folder, tenant, calls, events, downstream, loop } = workerData as ThreadData
const RATES_INTERVAL_MS = 1000

const main = connect<MainThread>((workerData as ThreadData).main)
const tell = (event: MainEvent): void => events.postMessage(event)

const happened = (event: EventCall): void => tell({ happened: event })

const openLog = (nextOffsetMin: number): Promise<Log> =>
  openFileLog({
    disk: nodeWorld.disk,
    random: nodeWorld.random,
    folder: join(folder, 'log'),
    nextOffsetMin,
    options: { segmentBytes: config.log.segmentBytes },
  })

const recovering = Promise.withResolvers<Recovered>()
loop!.once('message', (message: LoopMessage) => {
  if ('recovered' in message) recovering.resolve(message.recovered)
})
// Both at once, since each takes its time.
const [opened, { definitions, nextOffset }] = await Promise.all([openLog(0), recovering.promise])

/**
 * Storage has only what was durable in the log. Where the log ends earlier, its end is gone: to go
 * on there would give offsets a second time, and storage would take new entries for a replay.
 */
async function goOnBehind(shorter: Log): Promise<Log> {
  const endsAt = shorter.nextOffset
  await shorter.close()
  happened({ name: 'logEndLost', fields: { endsAt, goesOnAt: nextOffset } })
  return openLog(nextOffset)
}
const log = opened.nextOffset < nextOffset ? await goOnBehind(opened) : opened

const reader = openDeviceReader({
  path: join(folder, 'control.db'),
  onDamage: (problem) => happened({ name: 'registryDamaged', fields: { problem } }),
})
checkRegistry()

/**
 * Device numbers rise, so a registry that lost its end does not know the highest one that has
 * readings; new devices would get numbers that others have.
 */
function checkRegistry(): void {
  const newest = definitions.series.reduce<SeriesDefinition | undefined>(
    (most, one) => (one.device > (most?.device ?? -1) ? one : most),
    undefined,
  )
  if (newest === undefined || reader.hasNumber(newest.device)) return
  throw new WeirError(
    'DATA_FILE_DAMAGED',
    `control.db does not know device ${newest.device}, "${newest.deviceId}", which has readings`,
  )
}

const gateway = new Gateway(
  {
    world: nodeWorld,
    log,
    reader,
    forward(offset, frame) {
      downstream!.postMessage({ offset, frame } satisfies FrameMessage, transferOf(frame))
    },
    register: config.gateway.autoRegister ? (ids) => main.register(ids) : undefined,
    lost: ({ segment, fromOffset, toOffset }) =>
      happened({ name: 'logDamageFound', fields: { segment, fromOffset, toOffset } }),
  },
  {
    plan,
    limits: config.gateway,
    mqtt: {
      ...config.mqtt,
      connectTimeoutMs: config.mqtt.connectTimeoutUs / 1000,
      heldMsMax: config.mqtt.heldTimeoutUs / 1000,
      keepAliveMaxSeconds: config.mqtt.keepAliveMaxUs / 1_000_000,
    },
    deviceTags: config.gateway.deviceTags,
    tenant,
  },
)

/** Resolves when storage has taken the entry of this offset. */
let caughtUp: { offset: number; resolve: () => void } | undefined
let takenOffset = -1

loop!.on('message', (message: LoopMessage) => {
  if ('recovered' in message) return
  if ('trimBefore' in message) void log.trim(message.trimBefore)
  else {
    takenOffset = message.offset
    gateway.commit.taken(message.taken, message.buffer)
    if (caughtUp !== undefined && takenOffset >= caughtUp.offset) caughtUp.resolve()
  }
})

let failingSinceMs: number | undefined

function tellFailure(failure: WeirError | undefined): void {
  tell({ failure: failure && { message: failure.message } })
  const nowMs = nodeWorld.clock.monotonicMs()
  if (failure !== undefined && failingSinceMs === undefined) {
    failingSinceMs = nowMs
    const { code, message: detail } = failure
    happened({ name: 'logWriteRefused', fields: { code, detail } })
  } else if (failure === undefined && failingSinceMs !== undefined) {
    const outageMs = Math.round(nowMs - failingSinceMs)
    failingSinceMs = undefined
    happened({ name: 'logWriteRecovered', fields: { outageMs } })
  }
}

const methods: GatewayThread = {
  async open() {
    const startMs = nodeWorld.clock.monotonicMs()
    const { entries, lastOffset } = await gateway.recover(definitions, nextOffset)
    if (entries > 0 && takenOffset < lastOffset) {
      await new Promise<void>((resolve) => (caughtUp = { offset: lastOffset, resolve }))
    }
    if (entries > 0) {
      const durationMs = Math.round(nodeWorld.clock.monotonicMs() - startMs)
      const fields = { fromOffset: nextOffset, entries, durationMs }
      happened({ name: 'recoveryFinished', fields })
    }
    const port = await gateway.listen(config.mqtt.host, config.mqtt.port)
    nodeWorld.clock.every(RATES_INTERVAL_MS, () => {
      tell({ rates: { messages: gateway.acceptedMessages, readings: gateway.acceptedReadings } })
      tellFailure(gateway.commit.failure)
    })
    return { port, entriesReplayed: entries }
  },
  ingest: (request) => gateway.ingest(request),
  metrics: () => gatewaySamples(gateway, log),
  stop: () => gateway.stop(),
}
serve(calls, methods as never)
