/**
 * What happens when devices offer five times of what Weir can take, for minutes, and then go back?
 * The load is open loop over 1,000 connections: what finds no room in the receive window waits at
 * the sender. Beside it a light client makes the calls of people and scripts.
 */
import { ControlCalls, type ControlFigures } from './control-calls.ts'
import { generate, prepareGenerator } from './generate.ts'
import type { LoadClient, LoadJob, LoadReport } from './load.ts'
import { residentBytesMax } from './memory-limit.ts'
import { METRICS_PER_MESSAGE } from './message-ring.ts'
import { isQuick, numberFlag, Reporter } from './report.ts'
import { Sampler } from './sampler.ts'
import { WeirServer } from './weir-server.ts'

const CONNECTIONS = numberFlag('connections', 1000)
const NORMAL_CONNECTIONS = 200
/** Of the crowd, and as many of the normal load. */
const DEVICES = numberFlag('devices', isQuick ? 4000 : 10_000)
const WINDOW = numberFlag('window', 200)
const FACTOR = numberFlag('factor', 5)
const CALIBRATION_SECONDS = numberFlag('calibration-seconds', isQuick ? 5 : 30)
const SECONDS = numberFlag('seconds', isQuick ? 15 : 300)
const BACK_SECONDS = numberFlag('back-seconds', isQuick ? 8 : 60)

const reporter = new Reporter('overload', `${FACTOR} times the sustained rate, then back`)

function job(
  server: WeirServer,
  clients: LoadClient[],
  parts: Pick<LoadJob, 'seconds' | 'rate' | 'seed' | 'end'>,
): LoadJob {
  const shape = { protocol: 'mqtt', window: WINDOW, messagesPerPacket: 1, warmUpMs: 0 } as const
  return { ...shape, port: server.mqttPort, clients, ...parts }
}

/** Accepted messages a second in the slowest ten seconds; NaN when there were fewer. */
function slowestTen(samples: { seconds: number; acknowledged: number }[]): number {
  const rates = samples.flatMap((from, index) => {
    const to = samples.slice(index).find(({ seconds }) => seconds >= from.seconds + 10)
    if (to === undefined) return []
    return [(to.acknowledged - from.acknowledged) / (to.seconds - from.seconds)]
  })
  return rates.length > 0 ? Math.min(...rates) : NaN
}

interface Overload {
  report: LoadReport
  control: ControlFigures
  slowest: number
}

async function overload(
  server: WeirServer,
  clients: LoadClient[],
  rate: number,
): Promise<Overload> {
  const parts = { seconds: SECONDS, rate: rate * FACTOR, seed: 2, end: 'abandon' } as const
  const generation = await prepareGenerator(job(server, clients, parts))
  const progress: { seconds: number; acknowledged: number }[] = []
  generation.onProgress(({ seconds, acknowledged }) => progress.push({ seconds, acknowledged }))
  const device = clients[0]?.devices[0] ?? ''
  const calls = new ControlCalls(server, { device, prefix: 'new' })
  generation.start()
  const report = await generation.report
  return { report, control: await calls.stop(), slowest: slowestTen(progress) }
}

/** Seconds until nothing that became durable a second ago is missing in storage. */
async function untilCaughtUp(server: WeirServer, secondsMax: number): Promise<number> {
  const startMs = performance.now()
  for (;;) {
    const before = (await server.metrics()).get('weir_gateway_readings_total') ?? NaN
    const elapsedMs = performance.now() - startMs
    await new Promise((resolve) => setTimeout(resolve, 1000))
    const stored = (await server.metrics()).get('weir_storage_readings_total') ?? NaN
    if (stored >= before) return elapsedMs / 1000
    if (elapsedMs > secondsMax * 1000) return Infinity
  }
}

const server = await WeirServer.start()
try {
  const { clients: normal } = await server.registerFleet(NORMAL_CONNECTIONS, DEVICES)
  const { clients: crowd } = await server.registerFleet(CONNECTIONS, DEVICES, { prefix: 'crowd-' })
  const calibration = { seconds: CALIBRATION_SECONDS, rate: 0, seed: 1 }
  const sustained = await generate(job(server, normal, calibration))
  reporter.add('sustained rate', sustained.rate, 'messages/s')

  const sampler = new Sampler(server)
  const { report, control, slowest } = await overload(server, crowd, sustained.rate)
  reporter.add('offered', report.offered / SECONDS, 'messages/s')
  reporter.add('accepted', report.rate, 'messages/s')
  reporter.add('accepted / sustained rate', (report.rate / sustained.rate) * 100, '%')
  reporter.add('the slowest ten seconds / sustained rate', (slowest / sustained.rate) * 100, '%')
  for (const [name, latency] of control.latency)
    reporter.add(`${name}: p95`, latency.percentile(0.95), 'ms')
  reporter.add('telemetry by HTTP refused with 503', control.postsRefused, 'requests')

  const half = { seconds: BACK_SECONDS, rate: Math.floor(sustained.rate / 2), seed: 3 }
  const [back, caughtUp] = await Promise.all([
    generate(job(server, normal, half)),
    untilCaughtUp(server, BACK_SECONDS),
  ])
  reporter.add('lag 0 again after', caughtUp, 's')
  reporter.add('back at half of the rate: p99 of publish to PUBACK', back.latencyMs.p99, 'ms')

  const samples = sampler.stop()
  const series = 2 * DEVICES * METRICS_PER_MESSAGE
  const limit = residentBytesMax({ connections: CONNECTIONS, series })
  const peak = Math.max(...samples.map(({ residentBytes }) => residentBytes))
  reporter.add('RSS, peak', peak / 2 ** 20, 'MiB')
  reporter.add('RSS, stated limit', limit / 2 ** 20, 'MiB')
  reporter.add(
    'connections held, most',
    Math.max(...samples.map(({ held }) => held)),
    'connections',
  )

  const messages = sustained.messages + report.messages + back.messages
  const acknowledged = messages * METRICS_PER_MESSAGE + control.readingsAccepted
  const stored = await server.untilStored(acknowledged, 60_000)
  if (stored !== acknowledged)
    throw new Error(`${acknowledged} readings were acknowledged, ${stored} stored`)
  reporter.note(`every one of ${acknowledged} acknowledged readings was stored once`)
  reporter.add('generator: CPU', report.cpu, 'cores')
} finally {
  await server.stop()
}
reporter.finish()
