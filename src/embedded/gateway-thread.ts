/** The gateway's thread: sockets, decoding, the log. */
import { join } from 'node:path'
import { workerData } from 'node:worker_threads'
import { openDeviceReader } from '../control/sqlite-control.ts'
import { Gateway } from '../gateway/gateway-stage.ts'
import { gatewaySamples } from '../gateway/gateway-metrics.ts'
import type { Tail } from '../gateway/log-tail.ts'
import { openFileLog } from '../log/file-log.ts'
import type { Recovered } from '../storage/storage.ts'
import { nodeWorld } from '../world/node-world.ts'
import { connect, serve, transferOf } from './rpc.ts'
import type {
  FrameMessage,
  GatewayThread,
  LogMessage,
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
    forward(offset, frame, isReplayed) {
      const message: FrameMessage = { offset, frame, isReplayed }
      downstream!.postMessage(message, transferOf(frame))
    },
    logEnds: (nextOffset) => loop!.postMessage({ logEnds: nextOffset } satisfies LogMessage),
    register: config.gateway.autoRegister ? (ids) => main.register(ids) : undefined,
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

const recovered = Promise.withResolvers<Recovered>()

loop!.on('message', (message: LoopMessage) => {
  if ('recovered' in message) recovered.resolve(message.recovered)
  else if ('trimBefore' in message) void log.trim(message.trimBefore)
  else gateway.commit.taken(message.taken, message.buffer)
})

/** What fails here ends the thread, and with it the process: the log is damaged or gone. */
async function replay({ fromOffset, entries }: Tail): Promise<void> {
  const { clock } = nodeWorld
  const startMs = clock.monotonicMs()
  await gateway.replay()
  const durationMs = Math.round(clock.monotonicMs() - startMs)
  if (entries > 0) tell({ replayed: { fromOffset, entries, durationMs } })
}

const methods: GatewayThread = {
  async open() {
    const { definitions, nextOffset } = await recovered.promise
    const tail = await gateway.recover(definitions, nextOffset)
    void replay(tail)
    const port = await gateway.listen(config.mqtt.host, config.mqtt.port)
    nodeWorld.clock.every(RATES_INTERVAL_MS, () => {
      tell({ rates: { messages: gateway.acceptedMessages, readings: gateway.acceptedReadings } })
      tell({ failure: gateway.commit.failure && { message: gateway.commit.failure.message } })
    })
    return port
  },
  ingest: (request) => gateway.ingest(request),
  metrics: () => gatewaySamples(gateway, log),
  stop: () => gateway.stop(),
}
serve(calls, methods as never)
