/**
 * What do 10,000 rules over 100,000 devices cost the stream? Encoded frames go through the real
 * processor, with and without rules in turn: readings per second of CPU time, and what the rules
 * hold in memory.
 *
 * The mix: 9,900 rules on 10 devices each (one comparison 80 %, of which a quarter with hysteresis;
 * two metrics 10 %, rate 5 %, silence 5 %), 100 on all devices (one comparison 80, two metrics 10,
 * rate 3, windows 2, silence 5). One reading in 2,000 breaches what comparisons watch.
 */
import { encodeFrame, type SeriesDefinition } from '../src/batch/batch.ts'
import { compilePipeline, compileRule } from '../src/pipeline/compile.ts'
import type { Plan, Rule } from '../src/pipeline/pipeline.ts'
import { StreamProcessor } from '../src/stream/processor.ts'
import { DEFAULT_STREAM_LIMITS } from '../src/stream/limits.ts'
import { isQuick, median, numberFlag, Reporter } from './report.ts'
import { ruleMix, sequence } from './rule-mix.ts'

const DEVICES = numberFlag('devices', 100_000)
const RULES = numberFlag('rules', 10_000)
const METRICS = numberFlag('metrics', 8)
const RUNS = numberFlag('runs', 3)
/** Every device speaks this often in a run, after once to warm up. */
const ROUNDS = numberFlag('rounds', isQuick ? 3 : 8)
const MESSAGES_A_FRAME = 2000
const ROUND_US = 10_000_000
const START_US = 1_753_000_000_000_000
/** Readings lie in [0, 100), thresholds at 100 and above; a breach is 150. */
const ONE_IN_BREACHES = 2000

const BASE = compilePipeline({ version: 1 })
const deviceName = (device: number): string => `device-${device}`
const metricName = (metric: number): string => `metric${metric}`

function makeRules(): Rule[] {
  const devices = Array.from({ length: DEVICES }, (_, device) => deviceName(device))
  const metrics = Array.from({ length: METRICS }, (_, metric) => [metricName(metric), [0, 100]])
  const mix = { count: RULES, devices, metrics: Object.fromEntries(metrics), seed: 1 }
  return ruleMix(mix).map((rule) => compileRule(rule, BASE))
}

const series: SeriesDefinition[] = Array.from({ length: DEVICES * METRICS }, (_, one) => {
  const device = Math.floor(one / METRICS)
  return {
    ...{ series: one, device, tenant: 'default', deviceId: deviceName(device) },
    ...{ deviceType: 'generic', metric: metricName(one % METRICS), dimensions: [], kind: 'number' },
  }
})

/** One frame of a round: the next devices' messages, with all their metrics. */
function frameOf(round: number, fromDevice: number, random: () => number): Uint8Array<ArrayBuffer> {
  const messageCount = Math.min(MESSAGES_A_FRAME, DEVICES - fromDevice)
  const readingCount = messageCount * METRICS
  const baseUs = START_US + (round + fromDevice / DEVICES) * ROUND_US
  const device = Uint32Array.from({ length: messageCount }, (_, at) => fromDevice + at)
  const value = (): number => (random() < 1 / ONE_IN_BREACHES ? 150 : random() * 100)
  return encodeFrame({
    ...{ messageCount, readingCount, baseIngestTimeUs: Math.floor(baseUs), device },
    eventTimeUs: Float64Array.from(device, (one) => Math.floor(baseUs) - 100_000 + (one % 997)),
    ingestDeltaUs: new Uint32Array(messageCount),
    ...{ identityHigh: undefined, identityLow: undefined },
    readingsInMessage: new Uint16Array(messageCount).fill(METRICS),
    flags: new Uint8Array(messageCount),
    value: Float64Array.from({ length: readingCount }, value),
    series: Uint32Array.from({ length: readingCount }, (_, at) => fromDevice * METRICS + at),
    ...{ definitions: undefined, deadLetters: undefined },
  })
}

interface Measured {
  rate: number
  events: number
  stateBytes: number
  heapBytes: number
  definingMs: number
}

/** CPU time of this process, ms: others on the machine do not count, collecting garbage does. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

/** Objects; tables are buffers, which are counted where they are held. */
function heapUsed(): number {
  globalThis.gc?.()
  return process.memoryUsage().heapUsed
}

function measure(rules: Rule[]): Measured {
  const plan: Plan = { ...BASE, rules }
  const before = heapUsed()
  const limits = { ...DEFAULT_STREAM_LIMITS, deviceMax: DEVICES, seriesMax: series.length }
  const processor = new StreamProcessor({ plan, limits })
  const definedMs = cpuMs()
  processor.restore([], { series, texts: [] })
  const definingMs = cpuMs() - definedMs
  const random = sequence(2)
  let events = 0
  let busyMs = 0
  for (let round = -1; round < ROUNDS; round++)
    for (let device = 0; device < DEVICES; device += MESSAGES_A_FRAME) {
      const frame = frameOf(round + 1, device, random)
      const startMs = cpuMs()
      const output = processor.process(0, frame)
      if (round >= 0) busyMs += cpuMs() - startMs
      events += output.ruleEvents.length
    }
  const { stateBytes } = processor.statistics()
  const heapBytes = heapUsed() - before
  const rate = (ROUNDS * DEVICES * METRICS) / (busyMs / 1000)
  return { rate, events, stateBytes, heapBytes, definingMs }
}

const reporter = new Reporter(
  'rules',
  `${RULES} rules over ${DEVICES} devices, in the stream alone`,
)
const rules = makeRules()
const runs: { without: Measured; with: Measured }[] = []
// The first only warms the compiler up.
for (let run = -1; run < RUNS; run++) {
  const measured = { without: measure([]), with: measure(rules) }
  if (run >= 0) runs.push(measured)
}
const of = (which: 'without' | 'with', what: keyof Measured): number[] =>
  runs.map((run) => run[which][what])
const shares = runs.map((run) => (100 * run.with.rate) / run.without.rate)
reporter.add('without rules', median(of('without', 'rate')), 'readings/s')
reporter.add('with rules', median(of('with', 'rate')), 'readings/s')
reporter.add('with rules, of without', median(shares), '%')
reporter.add('the least of the runs', Math.min(...shares), '%')
reporter.add('the most of the runs', Math.max(...shares), '%')
const more = (what: 'stateBytes' | 'heapBytes'): number =>
  median(runs.map((run) => run.with[what] - run.without[what]))
reporter.add('memory of rules: tables', more('stateBytes') / 1e6, 'MB')
reporter.add('memory of rules: objects', more('heapBytes') / 1e6, 'MB')
reporter.add('all series defined, with rules', median(of('with', 'definingMs')), 'ms')
reporter.add('events of a run', median(of('with', 'events')), 'events')
reporter.note(
  `${METRICS} metrics a message, ${ROUNDS} messages a device, 9,900 rules on 10 devices and 100 on all: ` +
    '80 % one comparison (a quarter of them with hysteresis), 10 % two metrics, 5 % rate or window, ' +
    '5 % silence; one reading in 2,000 breaches',
)
if (globalThis.gc === undefined) reporter.note('memory is less exact without --expose-gc')
reporter.finish()
