/**
 * Does anything grow while Weir works for long at 200,000 messages a second? Memory, handles, lag
 * and latency, sampled every second. The first tenth warms up: memory fills to its working size,
 * code is compiled. Of the rest the last third is compared with the first.
 */
import { isFlat, trendOf, type Trend } from './flatness.ts'
import { prepareGenerator } from './generate.ts'
import type { LoadProgress } from './load.ts'
import { METRICS_PER_MESSAGE } from './message-ring.ts'
import { isQuick, numberFlag, Reporter } from './report.ts'
import { Sampler, type Sample } from './sampler.ts'
import { WeirServer } from './weir-server.ts'

const CONNECTIONS = numberFlag('connections', 200)
const DEVICES = numberFlag('devices', 10_000)
const RATE = numberFlag('rate', 200_000)
const MINUTES = numberFlag('minutes', 30)
const SECONDS = isQuick ? 30 : MINUTES * 60
const WARM_UP_SECONDS = Math.max(SECONDS / 10, 10)
/** Below this a run is too short to fail: memory has not reached its working size. */
const JUDGED_SECONDS_MIN = 240

/** What may differ between the thirds and is still flat. */
const MEMORY_FACTOR = 1.1
/** Files of a merge and connections of this bench's own calls come and go. */
const HANDLES_MORE = 10
const LATENCY_FACTOR = 1.5
/** A reading's way through memory: less is what one batch is. */
const LAG_SECONDS_MORE = 0.5

const reporter = new Reporter(
  'soak',
  `${RATE.toLocaleString('en')} messages/s for long: what grows?`,
)

function report(name: string, { first, last, perHour }: Trend, unit: string): void {
  reporter.add(`${name}, first third`, first, unit)
  reporter.add(`${name}, last third`, last, unit)
  reporter.add(`${name}, slope`, perHour, `${unit} an hour`)
}

function judge(samples: Sample[], progress: LoadProgress[]): string[] {
  const warm = samples.filter(({ seconds }) => seconds >= WARM_UP_SECONDS)
  const of = (pick: (sample: Sample) => number): Trend =>
    trendOf(warm.map((sample) => ({ seconds: sample.seconds, value: pick(sample) })))
  const memory = of(({ residentBytes }) => residentBytes / 2 ** 20)
  const handles = of((sample) => sample.handles)
  const lag = of(({ lagReadings }) => lagReadings)
  const latency = trendOf(
    progress
      .filter(({ seconds }) => seconds >= WARM_UP_SECONDS)
      .map(({ seconds, latencyMs }) => ({ seconds, value: latencyMs.p99 })),
  )
  report('RSS', memory, 'MiB')
  reporter.add('RSS, peak', Math.max(...warm.map((one) => one.residentBytes)) / 2 ** 20, 'MiB')
  report('handles', handles, 'handles')
  report('p99 of publish to PUBACK', latency, 'ms')
  report('lag', lag, 'readings')
  const grown: string[] = []
  if (!isFlat(memory, MEMORY_FACTOR)) grown.push('memory')
  if (!isFlat(handles, 1, HANDLES_MORE)) grown.push('handles')
  if (!isFlat(latency, LATENCY_FACTOR)) grown.push('latency')
  if (!isFlat(lag, 1, RATE * METRICS_PER_MESSAGE * LAG_SECONDS_MORE)) grown.push('lag')
  return grown
}

const server = await WeirServer.start()
try {
  const fleet = await server.registerFleet(CONNECTIONS, DEVICES)
  const shape = { protocol: 'mqtt', window: 200, messagesPerPacket: 1 } as const
  const pace = { seconds: SECONDS, rate: RATE, seed: 1, warmUpMs: WARM_UP_SECONDS * 1000 }
  const job = { ...shape, ...pace, port: server.mqttPort, clients: fleet.clients }
  const generation = await prepareGenerator(job)
  const progress: LoadProgress[] = []
  generation.onProgress((word) => progress.push(word))
  const sampler = new Sampler(server)
  generation.start()
  const load = await generation.report
  const samples = sampler.stop()
  reporter.add('minutes', SECONDS / 60, 'minutes')
  reporter.add('accepted', load.rate, 'messages/s')
  reporter.add('p50 of publish to PUBACK', load.latencyMs.p50, 'ms')
  reporter.add('p99 of publish to PUBACK', load.latencyMs.p99, 'ms')
  const grown = judge(samples, progress)
  const acknowledged = load.messages * METRICS_PER_MESSAGE
  const stored = await server.untilStored(acknowledged, 30_000)
  if (stored !== acknowledged)
    throw new Error(`${acknowledged} readings were acknowledged, ${stored} stored`)
  reporter.note(`every one of ${acknowledged} acknowledged readings was stored once`)
  const isJudged = SECONDS >= JUDGED_SECONDS_MIN
  if (grown.length === 0) reporter.note('memory, handles, latency and lag are flat')
  else if (isJudged) throw new Error(`grew: ${grown.join(', ')}`)
  else reporter.note(`grew: ${grown.join(', ')}; ${SECONDS} s are too short to judge`)
} finally {
  await server.stop()
}
reporter.finish()
