/** The gateway's thread: sockets, decoding, the log. */
import { join } from 'node:path'
import { workerData } from 'node:worker_threads'
import { openDeviceReader } from '../control/sqlite-control.ts'
import { Gateway } from '../gateway/gateway-stage.ts'
import { gatewaySamples } from '../gateway/gateway-metrics.ts'
import { entryBytesMax, openFileLog } from '../log/file-log.ts'
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

const log = await openFileLog({
  disk: nodeWorld.disk,
  random: nodeWorld.random,
  folder: join(folder, 'log'),
  options: { segmentBytes: config.log.segmentBytes },
})

const gateway = new Gateway(
  {
    world: nodeWorld,
    log,
    reader: openDeviceReader({ path: join(folder, 'control.db') }),
    forward(offset, frame) {
      downstream!.postMessage({ offset, frame } satisfies FrameMessage, transferOf(frame))
    },
    register: config.gateway.autoRegister ? (ids) => main.register(ids) : undefined,
  },
  {
    plan,
    limits: { ...config.gateway, frameBytesMax: entryBytesMax(config.log.segmentBytes) },
    mqtt: {
      ...config.mqtt,
      connectTimeoutMs: config.mqtt.connectTimeoutUs / 1000,
      heldMsMax: config.mqtt.heldTimeoutUs / 1000,
      keepAliveMaxSeconds: config.mqtt.keepAliveMaxUs / 1_000_000,
      idleMsMax: config.mqtt.idleTimeoutUs / 1000,
    },
    deviceTags: config.gateway.deviceTags,
    tenant,
  },
)

/** Resolves when storage has taken the entry of this offset. */
let caughtUp: { offset: number; resolve: () => void } | undefined
let takenOffset = -1
const recovered = Promise.withResolvers<Recovered>()

loop!.on('message', (message: LoopMessage) => {
  if ('recovered' in message) recovered.resolve(message.recovered)
  else if ('trimBefore' in message) void log.trim(message.trimBefore)
  else {
    takenOffset = message.offset
    gateway.commit.taken(message.taken, message.buffer)
    if (caughtUp !== undefined && takenOffset >= caughtUp.offset) caughtUp.resolve()
  }
})

const methods: GatewayThread = {
  async open() {
    const { definitions, nextOffset } = await recovered.promise
    const entriesReplayed = await gateway.recover(definitions, nextOffset)
    const last = log.nextOffset - 1
    if (entriesReplayed > 0 && takenOffset < last) {
      await new Promise<void>((resolve) => (caughtUp = { offset: last, resolve }))
    }
    const port = await gateway.listen(config.mqtt.host, config.mqtt.port)
    nodeWorld.clock.every(RATES_INTERVAL_MS, () => {
      tell({ rates: { messages: gateway.acceptedMessages, readings: gateway.acceptedReadings } })
      tell({ failure: gateway.commit.failure && { message: gateway.commit.failure.message } })
    })
    return { port, entriesReplayed }
  },
  ingest: (request) => gateway.ingest(request),
  metrics: () => gatewaySamples(gateway, log),
  stop: () => gateway.stop(),
}
serve(calls, methods as never)
