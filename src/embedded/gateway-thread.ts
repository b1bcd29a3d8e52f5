/** The gateway's thread: sockets, decoding, the log. */
import { join } from 'node:path'
import { workerData } from 'node:worker_threads'
import type { Definitions, SeriesDefinition } from '../batch/batch.ts'
import { openDeviceReader } from '../control/sqlite-control.ts'
import { WeirError } from '../errors/errors.ts'
import { Gateway } from '../gateway/gateway-stage.ts'
import { gatewaySamples, logSamples } from '../gateway/gateway-metrics.ts'
import type { Tail } from '../gateway/log-tail.ts'
import { entryBytesMax, openFileLog } from '../log/file-log.ts'
import type { EventCall } from '../observe/observe.ts'
import { nodeWorld } from '../world/node-world.ts'
import { GatewayLoop } from './gateway-loop.ts'
import { readRestoredMark, removeRestoredMark } from './restored-mark.ts'
import { connect, serve, transferOf } from './rpc.ts'
import { gatewayOptions } from './stage-options.ts'
import type {
  FrameMessage,
  GatewayThread,
  LogMessage,
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

const happened = (event: EventCall): void => tell({ happened: event })

const log = await openFileLog({
  disk: nodeWorld.disk,
  random: nodeWorld.random,
  folder: join(folder, 'log'),
  options: { segmentBytes: config.log.segmentBytes },
})

const reader = openDeviceReader({
  path: join(folder, 'control.db'),
  onDamage: (problem) => happened({ name: 'registryDamaged', fields: { problem } }),
})

/**
 * Device numbers rise, so a registry that lost its end does not know the highest one that has
 * readings; new devices would get numbers that others have.
 */
function checkRegistry({ series }: Definitions): void {
  const newest = series.reduce<SeriesDefinition | undefined>(
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
    forward(offset, frame, isReplayed) {
      const message: FrameMessage = { offset, frame, isReplayed }
      downstream!.postMessage(message, transferOf(frame))
    },
    register: config.gateway.autoRegister ? (ids) => main.register(ids) : undefined,
  },
  gatewayOptions(config, { plan, tenant, frameBytesMax: entryBytesMax(config.log.segmentBytes) }),
)

const stage = new GatewayLoop(gateway, {
  log,
  numbers: reader,
  logEnds: (nextOffset) => loop!.postMessage({ logEnds: nextOffset } satisfies LogMessage),
  restarted(fields) {
    const { endsAt, goesOnAt } = fields
    const mark = readRestoredMark(folder)
    const isRestored = endsAt === 0 && mark?.nextOffset === goesOnAt
    if (!isRestored) return happened({ name: 'logEndLost', fields })
    happened({ name: 'backupRestored', fields: { backup: mark.backup, goesOnAt } })
    removeRestoredMark(folder)
  },
  lost: ({ segment, fromOffset, toOffset }) =>
    happened({ name: 'logDamageFound', fields: { segment, fromOffset, toOffset } }),
})
loop!.on('message', (message: LoopMessage) => stage.take(message))

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

/** What fails here ends the thread, and with it the process: the log is damaged or gone. */
async function replay({ fromOffset, entries }: Tail): Promise<void> {
  const { clock } = nodeWorld
  const startMs = clock.monotonicMs()
  await gateway.replay()
  const durationMs = Math.round(clock.monotonicMs() - startMs)
  const fields = { fromOffset, entries, durationMs }
  if (entries > 0) happened({ name: 'recoveryFinished', fields })
}

const methods: GatewayThread = {
  async open() {
    checkRegistry((await stage.recovered).definitions)
    void replay(await stage.recover())
    const port = await gateway.listen(config.mqtt.host, config.mqtt.port)
    nodeWorld.clock.every(RATES_INTERVAL_MS, () => {
      tell({ rates: { messages: gateway.acceptedMessages, readings: gateway.acceptedReadings } })
      tellFailure(gateway.commit.failure)
    })
    return port
  },
  ingest: (request) => gateway.ingest(request),
  newestOffset: () => log.nextOffset - 1,
  async beginLogFile() {
    await log.beginAfresh()
    // An entry that says nothing: without one the file would not be begun.
    await gateway.changeRules([])
    return log.nextOffset - 1
  },
  async forgetLogBefore(offset) {
    await log.trim(offset)
    await log.keepSpares()
    return log.firstOffset
  },
  changeRules: (changes) => gateway.changeRules(changes),
  metrics: () => [...gatewaySamples(gateway), ...logSamples(log)],
  stop: () => gateway.stop(),
}
serve(calls, methods as never)
