/** The gateway's thread: sockets, decoding, the log. */
import { join } from 'node:path'
import { workerData } from 'node:worker_threads'
import { openDeviceReader } from '../control/sqlite-control.ts'
import { Gateway } from '../gateway/gateway-stage.ts'
import { gatewaySamples } from '../gateway/gateway-metrics.ts'
import { openFileLog } from '../log/file-log.ts'
import { nodeWorld } from '../world/node-world.ts'
import { GatewayLoop } from './gateway-loop.ts'
import { connect, serve, transferOf } from './rpc.ts'
import type {
  FrameMessage,
  GatewayThread,
  LoopMessage,
  MainEvent,
  MainThread,
  ThreadData,
} from './threads.ts'

const { config, plan, folder, tenant, calls, events, ...ports } = workerData as ThreadData
const { downstream, loop } = ports
const RATES_INTERVAL_MS = 1000

const main = connect<MainThread>(ports.main!)
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
    restarted: (ends) => tell({ logRestarted: ends }),
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

const stage = new GatewayLoop(gateway, log)
loop!.on('message', (message: LoopMessage) => stage.take(message))

const methods: GatewayThread = {
  async open() {
    const entriesReplayed = await stage.recover()
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
