/**
 * How long from a publish to its PUBACK, and to the rule event that it causes, while the pipeline
 * works at half of what it can do in this run? The load is open loop: latency counts from when a
 * message was due. The probes are devices of their own: each one crosses its rule's threshold once.
 */
import { generate, prepareGenerator } from './generate.ts'
import { Histogram } from './histogram.ts'
import type { LoadClient, LoadJob } from './load.ts'
import { anonymousClients, loadPeer, startSink } from './peers.ts'
import { publishProbes } from './probes.ts'
import { isQuick, numberFlag, Reporter } from './report.ts'
import { WeirServer } from './weir-server.ts'

const DEVICES = numberFlag('devices', 10_000)
const GATEWAYS = numberFlag('gateways', 50)
const RUNS = numberFlag('runs', isQuick ? 1 : 3)
const CALIBRATION_SECONDS = numberFlag('calibration-seconds', isQuick ? 4 : 20)
const SECONDS = numberFlag('seconds', isQuick ? 10 : 60)
const PROBES_PER_SECOND = 20
/** The first seconds of a load warm up generator and server; nothing is measured in them. */
const WARM_UP_MS = 1500

const reporter = new Reporter('latency', 'publish to PUBACK and to rule event, at half of the rate')

function job(port: number, clients: LoadClient[], seconds: number, rate: number): LoadJob {
  const shape = { protocol: 'mqtt', window: 200, messagesPerPacket: 1 } as const
  const seed = rate === 0 ? 1 : 2
  return { ...shape, port, clients, seconds, rate, seed, warmUpMs: WARM_UP_MS }
}

async function registerProbes(server: WeirServer): Promise<LoadClient> {
  const count = Math.floor(((SECONDS * 1000 - WARM_UP_MS) / 1000) * PROBES_PER_SECOND)
  const name = 'gateway-probes'
  const [secret = ''] = await server.register([{ id: name, type: 'generic', gateway: true }])
  const devices = Array.from({ length: count }, (_, i) => `probe-${String(i).padStart(6, '0')}`)
  await server.register(devices.map((id) => ({ id, type: 'probe', parent: name })))
  return { name, secret, devices }
}

/** The do-nothing baseline at the same rate: a server that reads and acknowledges. */
async function measureSink(rate: number): Promise<void> {
  const sink = await startSink()
  const clients = anonymousClients(GATEWAYS, DEVICES)
  const { latencyMs } = await loadPeer(sink, job(sink.port, clients, CALIBRATION_SECONDS, rate))
  reporter.add('sink: publish to PUBACK, p50', latencyMs.p50, 'ms')
  reporter.add('sink: publish to PUBACK, p99', latencyMs.p99, 'ms')
}

async function checkpointsOf(server: WeirServer): Promise<number> {
  return (await server.metrics()).get('weir_storage_commits_total') ?? NaN
}

/** Returns the rate that it measured at. */
async function measure(): Promise<number> {
  const server = await WeirServer.start()
  try {
    const { clients } = await server.registerFleet(GATEWAYS, DEVICES)
    const probes = await registerProbes(server)
    const full = await generate(job(server.mqttPort, clients, CALIBRATION_SECONDS, 0))
    reporter.add('rate of this run', full.rate, 'messages/s')
    const half = Math.floor(full.rate / 2)
    const generation = await prepareGenerator(job(server.mqttPort, clients, SECONDS, half))
    const commitsBefore = await checkpointsOf(server)
    generation.start()
    await new Promise((resolve) => setTimeout(resolve, WARM_UP_MS))
    const toEvent = new Histogram()
    const toPuback = new Histogram()
    const intervalMs = 1000 / PROBES_PER_SECOND
    const missing = await publishProbes(server, probes, { intervalMs, toEvent, toPuback })
    const report = await generation.report
    reporter.add('rate while measuring', report.rate, 'messages/s')
    reporter.add('publish to PUBACK, p50', report.latencyMs.p50, 'ms')
    reporter.add('publish to PUBACK, p99', report.latencyMs.p99, 'ms')
    reporter.add('publish to PUBACK, p99.9', report.latencyMs.p999, 'ms')
    reporter.add('probe to PUBACK, p99', toPuback.summary().p99, 'ms')
    reporter.add('publish to rule event, p50', toEvent.summary().p50, 'ms')
    reporter.add('publish to rule event, p99', toEvent.summary().p99, 'ms')
    reporter.add('checkpoints', (await checkpointsOf(server)) - commitsBefore, 'commits')
    const count = probes.devices.length
    reporter.note(`${count - missing} of ${count} probes had their rule event`)
    if (missing > 0) throw new Error(`${missing} rule events never came`)
    return half
  } finally {
    await server.stop()
  }
}

for (let run = 0; run < RUNS; run++) await measureSink(await measure())
reporter.finish()
