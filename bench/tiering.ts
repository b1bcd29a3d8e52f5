/**
 * Do devices wait while readings are merged and moved? Publish to PUBACK at half of this run's full
 * rate: first with a history that stays where it is, then for ten minutes in which its months, no
 * longer to be kept on this disk, go to the cold tier (WEIR_COLD_BUCKET: a bucket). The p99 may be
 * 1.5 times as high, and what waits to be merged must not grow.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { fillStore, untilSummedUp } from './filling.ts'
import { generate, prepareGenerator } from './generate.ts'
import type { LoadClient, LoadJob, LoadReport } from './load.ts'
import { METRICS_PER_MESSAGE } from './message-ring.ts'
import { isQuick, median, numberFlag, Reporter } from './report.ts'
import { Sampler, type Sample } from './sampler.ts'
import { WeirServer } from './weir-server.ts'

const PIPELINE = fileURLToPath(new URL('./day.pipeline.yaml', import.meta.url))
const GATEWAYS = 50
const DEVICES = numberFlag('devices', 10_000)
const HISTORY_DEVICES = 50
const HISTORY_DAYS = numberFlag('history-days', isQuick ? 200 : 500)
const HISTORY_INTERVAL_MS = 10_000
const CALIBRATION_SECONDS = numberFlag('calibration-seconds', isQuick ? 5 : 20)
const BASE_SECONDS = numberFlag('base-seconds', isQuick ? 10 : 120)
const SECONDS = Math.round(numberFlag('minutes', isQuick ? 0.5 : 10) * 60)
const WARM_UP_MS = 1500
const TIMES_MAX = 1.5
const DAY_MS = 86_400_000

const reporter = new Reporter('tiering', 'publish to PUBACK at half of the rate, while tiers move')

const job = (port: number, clients: LoadClient[], seconds: number, rate: number): LoadJob => ({
  ...{ protocol: 'mqtt', port, clients, window: 200, messagesPerPacket: 1, seconds, rate },
  ...{ seed: rate + seconds, warmUpMs: WARM_UP_MS },
})

async function fillHistory(server: WeirServer): Promise<void> {
  const fleet = await server.registerFleet(GATEWAYS, HISTORY_DEVICES, {
    ...{ type: 'thermometer', prefix: 'old-' },
  })
  const endMs = Math.floor(Date.now() / DAY_MS) * DAY_MS
  await fillStore(reporter, server, {
    ...{ clients: fleet.clients, startMs: endMs - HISTORY_DAYS * DAY_MS },
    ...{ readings: (HISTORY_DAYS * DAY_MS) / HISTORY_INTERVAL_MS, window: 1 },
    ...{ intervalMs: HISTORY_INTERVAL_MS, messagesPerPacket: 1000 },
  })
  await untilSummedUp(reporter, server, endMs)
}

interface Measured {
  report: LoadReport
  samples: Sample[]
}

async function measure(server: WeirServer, load: LoadJob): Promise<Measured> {
  const generation = await prepareGenerator({ ...load, port: server.mqttPort })
  const sampler = new Sampler(server)
  generation.start()
  const report = await generation.report
  return { report, samples: sampler.stop() }
}

function add(name: string, { report, samples }: Measured): void {
  reporter.add(`rate, ${name}`, report.rate * METRICS_PER_MESSAGE, 'readings/s')
  for (const percent of ['p50', 'p99', 'p999'] as const)
    reporter.add(`publish to PUBACK, ${percent}, ${name}`, report.latencyMs[percent], 'ms')
  const third = Math.floor(samples.length / 3)
  const debtOf = (some: Sample[]): number => median(some.map(({ mergeDebt }) => mergeDebt))
  reporter.add(`merge debt, first third, ${name}`, debtOf(samples.slice(0, third)), 'files')
  reporter.add(`merge debt, last third, ${name}`, debtOf(samples.slice(-third)), 'files')
}

interface Tier {
  tier: string
  rows: number
}

async function coldRows(server: WeirServer): Promise<number> {
  const { body } = await server.call('GET', '/v1/storage')
  const { tiers } = JSON.parse(body) as { tiers: Tier[] }
  return tiers.reduce((sum, { tier, rows }) => (/cold/.test(tier) ? sum + rows : sum), 0)
}

const config = 'stream: { checkpointInterval: 30s }\n'
const folder = mkdtempSync(join(tmpdir(), 'weir-tiering-'))
const keeping = join(folder, 'keeping.pipeline.yaml')
writeFileSync(keeping, `${readFileSync(PIPELINE, 'utf8')}retention: { warm: 4000d }\n`)
let server = await WeirServer.start({ pipeline: keeping, config })
try {
  await fillHistory(server)
  const { clients } = await server.registerFleet(GATEWAYS, DEVICES)
  const full = await generate(job(server.mqttPort, clients, CALIBRATION_SECONDS, 0))
  reporter.add('rate of this run', full.rate * METRICS_PER_MESSAGE, 'readings/s')
  const half = Math.floor(full.rate / 2)
  const base = await measure(server, job(server.mqttPort, clients, BASE_SECONDS, half))
  add('nothing to move', base)
  const before = await coldRows(server)
  // A process that starts looks at once at what is to be moved.
  await server.halt()
  server = await server.restart({ pipeline: PIPELINE })
  const tiering = await measure(server, job(server.mqttPort, clients, SECONDS, half))
  add('while tiers move', tiering)
  reporter.add('moved meanwhile', ((await coldRows(server)) - before) / SECONDS, 'readings/s')
  const times = tiering.report.latencyMs.p99 / base.report.latencyMs.p99
  reporter.add('p99 while tiers move / p99 without', times, 'times')
  reporter.note(`at most ${TIMES_MAX} times are wanted`)
  if (times > TIMES_MAX) process.exitCode = 1
} finally {
  await server.stop()
  rmSync(folder, { recursive: true })
}
reporter.finish()
