/**
 * 16 clients ask a mix, each its next question behind its last answer, while 300,000 readings a
 * second come in: a day of one series raw, its hours, a day of it in the points of a chart, the
 * average of the fleet by the hour, the last values of a hundred devices, windows, alerts. 10,000
 * devices have a day of readings, sent by one connection, in the order of time. Nothing may be
 * refused; asked is the p95 of all together.
 */
import { addPercentiles, ask, askBeside } from './asking.ts'
import { fillStore, untilSummedUp } from './filling.ts'
import { Histogram } from './histogram.ts'
import { isQuick, numberFlag, Reporter } from './report.ts'
import { WeirServer } from './weir-server.ts'

const DEVICES = numberFlag('devices', isQuick ? 1000 : 10_000)
const ASKERS = numberFlag('clients', 16)
const INTERVAL_MS = 10_000
const MINUTE_MS = 60_000
const READINGS = 8640
const RATE = numberFlag('rate', 300_000)
const SECONDS = numberFlag('seconds', isQuick ? 10 : 60)
const P95_MS_MAX = 1000
const QUIET_QUERIES = 140

const reporter = new Reporter(
  'query-mix',
  `${ASKERS} clients asking a mix while ${RATE.toLocaleString('en')} readings/s come in`,
)
const endMs = Math.floor(Date.now() / INTERVAL_MS) * INTERVAL_MS
const startMs = endMs - READINGS * INTERVAL_MS

/** The last day up to the last full minute, as a chart asks that is renewed. */
function span(): string {
  const toMs = Math.floor(Date.now() / MINUTE_MS) * MINUTE_MS
  return `metric=temperature&start=${toMs - 86_400_000}&end=${toMs}`
}

/** By name, asked in turn. */
const QUESTIONS: Record<string, (device: string) => string> = {
  'a day, raw': (device) => `/v1/query?device_id=${device}&${span()}`,
  'its hours': (device) => `/v1/query?device_id=${device}&${span()}&agg=avg&step=1h`,
  'a chart of it': (device) => `/v1/query?device_id=${device}&${span()}&max_points=1000`,
  'the fleet by the hour': () => `/v1/query?${span()}&agg=avg&step=1h&group_by=type`,
  'a hundred last values': () => '/v1/latest?metric=temperature&limit=100',
  'its windows': (device) => `/v1/aggregations?device_id=${device}&${span()}&window=5m`,
  'newest alerts': () => '/v1/alerts?limit=100',
}
const NAMES = Object.keys(QUESTIONS)

/** Answers by their question, and all together. */
class Mix {
  readonly all = new Histogram()
  readonly each = new Map(NAMES.map((name) => [name, new Histogram()]))
  asked = 0

  async askNext(server: WeirServer): Promise<void> {
    const at = this.asked++
    const name = NAMES[at % NAMES.length]!
    const device = `d${String((at * 7919 + 13) % DEVICES).padStart(String(DEVICES).length, '0')}`
    const askedMs = performance.now()
    await ask(server, QUESTIONS[name]!(device), this.each.get(name)!)
    this.all.add(performance.now() - askedMs)
  }
}

async function measure(server: WeirServer): Promise<void> {
  const quiet = new Mix()
  while (quiet.asked < QUIET_QUERIES) await quiet.askNext(server)
  for (const [name, one] of quiet.each) addPercentiles(reporter, `${name}, quiet`, one, [50])
  const { clients } = await server.registerFleet(20, 1000, { prefix: 'load-' })
  const load = { clients, rate: RATE, seconds: SECONDS }
  const mix = new Mix()
  await askBeside({ reporter, server, load }, () => mix.askNext(server), ASKERS)
  reporter.add('questions', mix.asked / SECONDS, 'questions/s')
  addPercentiles(reporter, 'all', mix.all)
  for (const [name, histogram] of mix.each) addPercentiles(reporter, name, histogram, [50, 95])
  reporter.note(`a p95 of at most ${P95_MS_MAX} ms is wanted`)
  if (mix.all.percentile(0.95) > P95_MS_MAX) process.exitCode = 1
}

const env = { WEIR_STREAM_CHECKPOINT_INTERVAL: '10s' }
const server = await WeirServer.start({ env })
try {
  const { clients } = await server.registerFleet(1, DEVICES, { type: 'thermometer' })
  await fillStore(reporter, server, {
    ...{ clients, startMs, readings: READINGS, intervalMs: INTERVAL_MS },
    ...{ messagesPerPacket: 60, window: 1000 },
  })
  await untilSummedUp(reporter, server, endMs)
  await measure(server)
} finally {
  await server.stop()
}
reporter.finish()
