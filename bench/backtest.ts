/**
 * How long does it take to know what a rule would have said over a month? A fleet's month, a
 * reading a minute of each device, is published over MQTT and merged; then rules are tried on it,
 * through the API, each run for itself.
 */
import { fileURLToPath } from 'node:url'
import { sendDay } from './day.ts'
import { isQuick, median, numberFlag, Reporter } from './report.ts'
import { WeirServer } from './weir-server.ts'

const PIPELINE = fileURLToPath(new URL('./backtest.pipeline.yaml', import.meta.url))
const DEVICES = numberFlag('devices', isQuick ? 100 : 1000)
const DAYS = 30
const INTERVAL_MS = 60_000
const READINGS = (DAYS * 86_400_000) / INTERVAL_MS
const RUNS = numberFlag('runs', 3)
const STORED_MS_MAX = 300_000

const reporter = new Reporter('backtest', `rules over ${DAYS} days of ${DEVICES} devices at 60 s`)

/** The values walk around 21.5, seldom further than 1 from it. */
const RULES = {
  'one rule': [{ id: 'warm', when: 'temperature > 22.4', for: '5m' }],
  'five rules': [
    { id: 'warm', when: 'temperature > 22.4', clear: 'temperature < 22', for: '5m', keep: '10m' },
    { id: 'warm-hour', when: 'avg(temperature) > 21.8', window: '1h' },
    { id: 'jump', when: 'abs(delta(temperature)) > 0.2' },
    { id: 'often', when: 'temperature > 22.3', repeat: { count: 3, within: '30m' } },
    { id: 'silent', silent: { interval: '60s', count: 5 } },
  ],
}

interface Line {
  report?: { readings: number; rules: { rule_id: string; episodes: number; alerts: number }[] }
  problem?: unknown
}

async function tryRules(server: WeirServer, name: keyof typeof RULES): Promise<number> {
  const startMs = performance.now()
  const asked = { rules: RULES[name], days: DAYS + 1 }
  const { status, body } = await server.call('POST', '/v1/rules/backtest', asked)
  const seconds = (performance.now() - startMs) / 1000
  const { report, problem } = JSON.parse(body.trim().split('\n').at(-1)!) as Line
  if (status !== 200 || report === undefined)
    throw new Error(`answered ${status}: ${JSON.stringify(problem)}`)
  if (report.readings !== DEVICES * READINGS)
    throw new Error(`${report.readings} readings were looked at, not ${DEVICES * READINGS}`)
  const said = report.rules.map((rule) => `${rule.rule_id} ${rule.alerts}`).join(', ')
  console.log(`${name}: ${seconds.toFixed(2)} s, alerts: ${said}`)
  return seconds
}

// Everything is to be in segments soon after the last reading, so commits come often.
const env = { WEIR_STREAM_CHECKPOINT_INTERVAL: '10s' }
const server = await WeirServer.start({ pipeline: PIPELINE, env })
try {
  const { clients } = await server.registerFleet(50, DEVICES, { type: 'thermometer' })
  const startMs = Math.floor(Date.now() / INTERVAL_MS) * INTERVAL_MS - (READINGS + 1) * INTERVAL_MS
  await sendDay({
    ...{ port: server.mqttPort, clients, startMs, readings: READINGS, intervalMs: INTERVAL_MS },
    ...{ messagesPerPacket: 60, window: 8 },
  })
  const sent = DEVICES * READINGS
  const stored = await server.untilStored(sent, STORED_MS_MAX)
  if (stored !== sent) throw new Error(`${sent} readings were acknowledged, ${stored} stored`)
  await server.untilInSegments(STORED_MS_MAX)
  await server.untilMerged(STORED_MS_MAX)
  reporter.add('readings', sent, 'readings')
  for (const name of ['one rule', 'five rules'] as const) {
    const runs: number[] = []
    for (let run = 0; run < RUNS; run++) runs.push(await tryRules(server, name))
    reporter.add(name, median(runs), 's')
    reporter.add(`${name}, slowest of ${RUNS}`, Math.max(...runs), 's')
  }
} finally {
  await server.stop()
}
reporter.finish()
