/**
 * What do 10,000 rules over 100,000 devices cost who sends readings? The whole server, everything
 * on: MQTT, flush, stream, storage. The same server without the rules, then with them, put one by
 * one through the API while it runs, then without again: readings acknowledged and processed.
 *
 * The mix is that of rules.ts, on what a sensor of the benchmarks says.
 */
import { generate } from './generate.ts'
import type { LoadClient, LoadJob } from './load.ts'
import { METRICS_PER_MESSAGE } from './message-ring.ts'
import { ruleMix } from './rule-mix.ts'
import { isQuick, median, numberFlag, Reporter } from './report.ts'
import { WeirServer } from './weir-server.ts'

const DEVICES = numberFlag('devices', 100_000)
const RULES = numberFlag('rules', 10_000)
const CONNECTIONS = numberFlag('connections', 200)
const WINDOW = numberFlag('window', 200)
const RUNS = numberFlag('runs', isQuick ? 1 : 3)
const SECONDS = numberFlag('seconds', isQuick ? 8 : 20)
const PARALLEL = 20
/** How far each metric of a sensor strays from its middle, at most, but for an outlier. */
const METRICS = { temperature: [15, 28], pressure: [1000, 1027], vibration: [0, 0.9] } as const

const reporter = new Reporter(
  'rules-ingest',
  `readings/s of ${DEVICES.toLocaleString('en')} devices by MQTT, without and with ${RULES.toLocaleString('en')} rules`,
)

const job = (server: WeirServer, clients: LoadClient[], seed: number): LoadJob => ({
  ...{ protocol: 'mqtt', window: WINDOW, messagesPerPacket: 1, port: server.mqttPort },
  ...{ clients, seconds: SECONDS, rate: 0, seed, warmUpMs: 0 },
})

/** All of them, several calls at once. */
async function changeRules(
  server: WeirServer,
  method: 'PUT' | 'DELETE',
  rules: ReturnType<typeof ruleMix>,
): Promise<void> {
  const left = rules.slice()
  const work = async (): Promise<void> => {
    for (let rule = left.pop(); rule !== undefined; rule = left.pop()) {
      const { id, ...text } = rule
      const path = `/v1/rules/${id}`
      const { status, body } = await server.call(method, path, method === 'PUT' ? text : undefined)
      if (status >= 300) throw new Error(`${method} ${path} answered ${status}: ${body}`)
    }
  }
  await Promise.all(Array.from({ length: PARALLEL }, work))
}

/** Readings a second, until the last one is processed. */
async function measure(server: WeirServer, clients: LoadClient[], seed: number): Promise<number> {
  const before = (await server.metrics()).get('weir_storage_readings_total') ?? 0
  const startMs = performance.now()
  const report = await generate(job(server, clients, seed))
  const sent = report.messages * METRICS_PER_MESSAGE
  const stored = (await server.untilStored(before + sent, 60_000)) - before
  if (stored !== sent) throw new Error(`${sent} readings were acknowledged, ${stored} stored`)
  return (sent / (performance.now() - startMs)) * 1000
}

const server = await WeirServer.start({ config: 'gateway: { seriesMax: 1000000 }\n' })
try {
  const { clients } = await server.registerFleet(CONNECTIONS, DEVICES)
  const ids = clients.flatMap(({ devices }) => devices)
  const rules = ruleMix({ count: RULES, devices: ids, metrics: METRICS, seed: 1 })
  // Every device has spoken, and all code is warm.
  await measure(server, clients, 1)
  const shares: number[] = []
  for (let run = 0; run < RUNS; run++) {
    const before = await measure(server, clients, 2 + 3 * run)
    const startMs = performance.now()
    await changeRules(server, 'PUT', rules)
    reporter.add('putting a rule', (performance.now() - startMs) / rules.length, 'ms')
    const withRules = await measure(server, clients, 3 + 3 * run)
    reporter.add('the stream holds', (await stateBytes(server)) / 2 ** 20, 'MiB')
    await changeRules(server, 'DELETE', rules)
    const after = await measure(server, clients, 4 + 3 * run)
    reporter.add('without rules', (before + after) / 2, 'readings/s')
    reporter.add('with rules', withRules, 'readings/s')
    shares.push((2 * withRules) / (before + after))
  }
  reporter.add('with / without, median of the runs', median(shares) * 100, '%')
} finally {
  await server.stop()
}
reporter.finish()

async function stateBytes(of: WeirServer): Promise<number> {
  return (await of.metrics()).get('weir_stream_state_bytes') ?? NaN
}
