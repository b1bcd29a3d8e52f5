/**
 * Do slow queries make devices wait? The p99 of publish to PUBACK at a rate that leaves room for
 * queries, alone and while 16 clients ask for the whole history of one device after another, in
 * turns. Flushes of the log share a thread pool, two cores and a disk with DuckDB's calls; they
 * must never queue behind them.
 */
import { generate, prepareGenerator } from './generate.ts'
import type { LoadClient, LoadJob } from './load.ts'
import { isQuick, median, numberFlag, Reporter } from './report.ts'
import { WeirServer } from './weir-server.ts'

const DEVICES = numberFlag('devices', 10_000)
const GATEWAYS = numberFlag('gateways', 50)
const CLIENTS = numberFlag('clients', 16)
/** Messages a second while measuring: an eighth or so of what the machine can do. */
const RATE = numberFlag('rate', 100_000)
const HISTORY_SECONDS = numberFlag('history-seconds', isQuick ? 6 : 20)
const SECONDS = numberFlag('seconds', isQuick ? 6 : 15)
const TURNS = numberFlag('turns', isQuick ? 1 : 3)
const SETTLE_MS_MAX = 60_000
const WARM_UP_MS = 1500
const TIMES_MAX = 3

const reporter = new Reporter(
  'query-interference',
  `publish to PUBACK at ${RATE.toLocaleString('en')} messages/s, alone and beside ${CLIENTS} queries at once`,
)

function job(port: number, clients: LoadClient[], seconds: number, rate: number): LoadJob {
  const shape = { protocol: 'mqtt', window: 200, messagesPerPacket: 1 } as const
  return { ...shape, port, clients, seconds, rate, seed: rate + 1, warmUpMs: WARM_UP_MS }
}

/** Each client asks again as soon as it has its answer, until stopped. */
function beginQueries(server: WeirServer, devices: string[]) {
  const durationsMs: number[] = []
  let isOver = false
  let next = 0
  const ask = async (): Promise<void> => {
    while (!isOver) {
      const device = devices[next++ % devices.length]!
      const startMs = performance.now()
      // A step that no window divides: every reading is read.
      const span = `start=0&end=${Date.now() + 60_000}&agg=stddev&step=7s`
      const path = `/v1/query?device_id=${device}&metric=temperature&${span}`
      const { status, body } = await server.call('GET', path)
      if (status !== 200) throw new Error(`a query answered ${status}: ${body}`)
      durationsMs.push(performance.now() - startMs)
    }
  }
  const running = Promise.all(Array.from({ length: CLIENTS }, ask))
  return {
    async stop(): Promise<number[]> {
      isOver = true
      await running
      return durationsMs
    },
  }
}

/** Until the history is in segments and merged: that work is not the queries'. */
async function settle(server: WeirServer): Promise<void> {
  const endMs = performance.now() + SETTLE_MS_MAX
  while (performance.now() < endMs) {
    const metrics = await server.metrics()
    const lag = metrics.get('weir_log_lag_bytes') ?? 0
    if (lag === 0 && metrics.get('weir_storage_merge_debt_segments') === 0) return
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}

const server = await WeirServer.start()
try {
  const { clients } = await server.registerFleet(GATEWAYS, DEVICES)
  const full = await generate(job(server.mqttPort, clients, HISTORY_SECONDS, 0))
  reporter.add('rate of this run', full.rate, 'messages/s')
  await settle(server)
  const history = (await server.metrics()).get('weir_storage_readings_total') ?? NaN
  reporter.add('history', history, 'readings')
  const devices = clients.flatMap((client) => client.devices)
  const p99: Record<'alone' | 'beside', number[]> = { alone: [], beside: [] }
  for (let turn = 0; turn < TURNS; turn++) {
    for (const how of ['alone', 'beside'] as const) {
      const generation = await prepareGenerator(job(server.mqttPort, clients, SECONDS, RATE))
      const queries = how === 'beside' ? beginQueries(server, devices) : undefined
      generation.start()
      const report = await generation.report
      const durationsMs = (await queries?.stop()) ?? []
      p99[how].push(report.latencyMs.p99)
      const name = how === 'alone' ? 'alone' : `beside ${CLIENTS} queries`
      reporter.add(`publish to PUBACK, p50, ${name}`, report.latencyMs.p50, 'ms')
      reporter.add(`publish to PUBACK, p99, ${name}`, report.latencyMs.p99, 'ms')
      if (durationsMs.length === 0) continue
      reporter.add('queries answered', durationsMs.length / SECONDS, 'queries/s')
      reporter.add('a query, median', median(durationsMs), 'ms')
    }
  }
  const times = median(p99.beside) / median(p99.alone)
  reporter.add('p99 beside / p99 alone', times, 'times')
  reporter.note(`at most ${TIMES_MAX} times are wanted`)
  if (times > TIMES_MAX) process.exitCode = 1
} finally {
  await server.stop()
}
reporter.finish()
