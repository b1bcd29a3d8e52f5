/**
 * How many readings a second arrive in batches, everything on, until the last one is queryable:
 * HTTP (arrays of 500 messages that name their devices) and MQTT (arrays of 100 messages of one
 * device).
 */
import { generate } from './generate.ts'
import type { LoadJob } from './load.ts'
import { METRICS_PER_MESSAGE } from './message-ring.ts'
import { anonymousClients, loadPeer, measureParsing, startSink } from './peers.ts'
import { isQuick, median, numberFlag, Reporter } from './report.ts'
import { WeirServer } from './weir-server.ts'

const DEVICES = numberFlag('devices', 10_000)
const GATEWAYS = numberFlag('gateways', 50)
const RUNS = numberFlag('runs', isQuick ? 1 : 3)
const SECONDS = numberFlag('seconds', isQuick ? 6 : 30)
const SINK_SECONDS = isQuick ? 3 : 10
const QUERYABLE_MS_MAX = 30_000

const reporter = new Reporter('ingest-batch', 'readings/s in batches, until the last is queryable')

type Shape = Pick<LoadJob, 'protocol' | 'window' | 'messagesPerPacket'>
const SHAPES: Record<string, Shape> = {
  HTTP: { protocol: 'http', window: 1, messagesPerPacket: 500 },
  MQTT: { protocol: 'mqtt', window: 4, messagesPerPacket: 100 },
}

/** Readings a second, from the first byte sent until storage has the last one. */
async function measure(name: string, shape: Shape): Promise<number> {
  const server = await WeirServer.start()
  try {
    const { clients } = await server.registerFleet(GATEWAYS, DEVICES)
    const port = shape.protocol === 'http' ? server.httpPort : server.mqttPort
    const report = await generate({
      ...shape,
      port,
      clients,
      seconds: SECONDS,
      rate: 0,
      seed: 1,
      warmUpMs: 0,
    })
    const acknowledgedAtMs = performance.now()
    const readings = report.messages * METRICS_PER_MESSAGE
    const stored = await server.untilStored(readings, QUERYABLE_MS_MAX)
    if (stored !== readings) throw new Error(`${readings} were acknowledged, ${stored} stored`)
    const lagS = (performance.now() - acknowledgedAtMs) / 1000
    const rate = readings / (report.seconds + lagS)
    reporter.add(`Weir, ${name}`, rate, 'readings/s')
    reporter.add(`Weir, ${name}: p99 of one batch`, report.latencyMs.p99, 'ms')
    reporter.add(`Weir, ${name}: last acknowledgement to queryable`, lagS, 's')
    return rate
  } finally {
    await server.stop()
  }
}

/**
 * The do-nothing baselines: a loop that parses such a batch, a server that reads and acknowledges.
 */
async function measureBaselines(name: string, shape: Shape): Promise<void> {
  const parsed = measureParsing(1, shape.messagesPerPacket) * METRICS_PER_MESSAGE
  reporter.add(`parse loop, batches of ${shape.messagesPerPacket}`, parsed, 'readings/s')
  if (shape.protocol !== 'mqtt') return
  const clients = anonymousClients(GATEWAYS, DEVICES)
  const load = { clients, seconds: SINK_SECONDS, rate: 0, seed: 1, warmUpMs: 0 }
  const { rate } = await loadPeer(await startSink(), { ...shape, ...load })
  reporter.add(`sink, ${name}`, rate * METRICS_PER_MESSAGE, 'readings/s')
}

for (const [name, shape] of Object.entries(SHAPES)) {
  await measureBaselines(name, shape)
  const rates: number[] = []
  for (let run = 0; run < RUNS; run++) rates.push(await measure(name, shape))
  if (RUNS > 1) reporter.add(`Weir, ${name}, median of the runs`, median(rates), 'readings/s')
}
reporter.finish()
