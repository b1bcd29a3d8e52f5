/**
 * How many QoS 1 publishes a second does Weir make durable and process, everything on, compared
 * with brokers that only relay? 200 connections, 10,000 devices behind them, 3 metrics a message.
 */
import { prepareGenerator } from './generate.ts'
import type { LoadClient, LoadJob, LoadReport } from './load.ts'
import { METRICS_PER_MESSAGE } from './message-ring.ts'
import {
  anonymousClients,
  loadPeer,
  measureParsing,
  startAedes,
  startMosquitto,
  startSink,
  type Peer,
} from './peers.ts'
import { isQuick, median, numberFlag, Reporter } from './report.ts'
import { SteadinessProbe } from './steadiness.ts'
import { WeirServer } from './weir-server.ts'

const CONNECTIONS = numberFlag('connections', 200)
const DEVICES = numberFlag('devices', 10_000)
const WINDOW = numberFlag('window', 200)
const RUNS = numberFlag('runs', isQuick ? 1 : 3)
const SECONDS = numberFlag('seconds', isQuick ? 12 : 180)
const PEER_SECONDS = numberFlag('peer-seconds', isQuick ? 3 : 20)

const reporter = new Reporter('ingest-mqtt', 'QoS 1 publishes/s of one JSON message with 3 metrics')

function job(port: number, clients: LoadClient[], seconds: number): LoadJob {
  const shape = { protocol: 'mqtt', window: WINDOW, messagesPerPacket: 1 } as const
  return { ...shape, port, clients, seconds, rate: 0, seed: 1, warmUpMs: 0 }
}

async function measurePeer(peer: Peer | undefined, name: string): Promise<number | undefined> {
  if (peer === undefined) {
    reporter.note(`${name} is not installed`)
    return undefined
  }
  const clients = anonymousClients(CONNECTIONS, DEVICES)
  const { rate } = await loadPeer(peer, job(peer.port, clients, PEER_SECONDS))
  reporter.add(`${peer.name} (${peer.version})`, rate, 'messages/s')
  return rate
}

async function measureWeir(): Promise<LoadReport> {
  const server = await WeirServer.start()
  try {
    const fleet = await server.registerFleet(CONNECTIONS, DEVICES)
    console.log(`registered ${DEVICES} devices in ${fleet.seconds.toFixed(1)} s`)
    const generation = await prepareGenerator(job(server.mqttPort, fleet.clients, SECONDS))
    const probe = new SteadinessProbe(server)
    generation.start()
    const report = await generation.report
    const steady = probe.stop(report.rate * METRICS_PER_MESSAGE)
    const acknowledged = report.messages * METRICS_PER_MESSAGE
    const stored = await server.untilStored(acknowledged, 20_000)
    if (stored !== acknowledged)
      throw new Error(`${acknowledged} readings were acknowledged, ${stored} stored`)
    reporter.add('Weir', report.rate, 'messages/s')
    reporter.add('Weir: p50 of publish to PUBACK', report.latencyMs.p50, 'ms')
    reporter.add('Weir: p99 of publish to PUBACK', report.latencyMs.p99, 'ms')
    reporter.add('Weir: largest lag', steady.lagReadingsMax / (report.rate * 3), 's')
    reporter.add('Weir: lag, first third', steady.lagReadings[0], 'readings')
    reporter.add('Weir: lag, last third', steady.lagReadings[1], 'readings')
    reporter.add('Weir: merge debt, last third', steady.mergeDebt[1], 'segments')
    if (!steady.isFlat) reporter.note('lag or merge debt grew: the rate is not sustained')
    reporter.note(`every one of ${acknowledged} acknowledged readings was stored once`)
    reporter.add('generator: CPU', report.cpu, 'cores')
    return report
  } finally {
    await server.stop()
  }
}

const ratios: number[] = []
const shares: number[] = []
reporter.add('parse loop (JSON.parse, one thread)', measureParsing(1), 'messages/s')
for (let run = 0; run < RUNS; run++) {
  const sink = await measurePeer(await startSink(), 'sink')
  const mosquitto = await measurePeer(await startMosquitto(), 'Mosquitto')
  await measurePeer(await startAedes(), 'aedes')
  const { rate } = await measureWeir()
  if (mosquitto !== undefined) ratios.push(rate / mosquitto)
  if (sink !== undefined) shares.push(rate / sink)
}
if (ratios.length > 0) reporter.add('Weir / Mosquitto, median of the runs', median(ratios), 'times')
reporter.add('Weir / sink, median of the runs', median(shares), 'times')
reporter.finish()
