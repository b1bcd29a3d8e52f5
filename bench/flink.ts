/**
 * The whole job on Flink: entries that lie in Kafka, until all that is made of them lies there.
 * Deduplication, both windows, z-scores and rules of `bench.pipeline.yaml`; Kafka, Flink and this
 * process share the machine. Needs `npm run cluster:up -- kafka postgres flink`.
 *
 *   --readings 5000000   lie in Kafka before the job starts
 *   --devices 2000       of three metrics each
 *   --parallelism 2      instances of each function
 */
import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { flinkAccess, flinkSpec } from '../src/cluster/flink-spec.ts'
import { loadConfig } from '../src/config/config.ts'
import { FlinkJobs, type JobSpec, type StateBackend } from '../src/flink/flink.ts'
import { parsePipeline } from '../src/pipeline/compile.ts'
import { accessOf, pidsOf } from '../test/cluster/cluster.ts'
import { TASK_MANAGER } from '../test/cluster/flink-fixture.ts'
import { flinkSettings } from '../test/cluster/flink-section.ts'
import { EntrySource } from './cluster-entries.ts'
import { missingServices, openPlace, PARTITIONS, type ClusterPlace } from './cluster-place.ts'
import { METRICS_PER_MESSAGE } from './message-ring.ts'
import { residentBytes } from './process-figures.ts'
import { isQuick, median, numberFlag, Reporter } from './report.ts'

const RUNS = isQuick ? 1 : 3
const BACKENDS: readonly StateBackend[] = ['hashmap', 'rocksdb']
const STEP_US = 10_000_000
const POLL_MS = 100
const DONE_MS_MAX = 900_000
/** The rate is that between these parts of all messages: a job that starts or ends is not in it. */
const [FROM_PART, TO_PART] = [0.2, 0.95]

const readings = numberFlag('readings', isQuick ? 1_000_000 : 5_000_000)
const devices = numberFlag('devices', 2000)
const parallelism = numberFlag('parallelism', 2)
const turns = Math.ceil(readings / devices / METRICS_PER_MESSAGE)
const messages = turns * devices

const missing = missingServices(['kafka', 'postgres', 'flink'])
if (missing.length > 0) {
  console.error(`not running: ${missing.join(', ')}; npm run cluster:up -- ${missing.join(' ')}`)
  process.exit(1)
}
const definition = readFileSync(new URL('./bench.pipeline.yaml', import.meta.url), 'utf8')
const plan = parsePipeline(definition, 'bench.pipeline.yaml')
const reporter = new Reporter('flink', `${devices} devices, ${turns} messages of each`)
const place = await openPlace('flink')
try {
  await fill(place)
  for (const backend of BACKENDS) {
    const rates: number[] = []
    for (let run = 0; run < RUNS; run++) rates.push(await measure(place, backend, run))
    reporter.add(`${backend}: Kafka to Kafka, median`, median(rates), 'readings/s')
  }
} finally {
  await place.close()
}
reporter.finish()

async function fill(at: ClusterPlace): Promise<void> {
  for (const kind of ['telemetry', 'readings', 'windows', 'events', 'dead-letters'] as const)
    await at.makeTopic(kind)
  const appender = at.kafka.createAppender(at.topic('telemetry'))
  const startUs = Math.floor(Date.now() / 300_000) * 300e6 - turns * STEP_US
  const times = Array.from({ length: turns }, (_, turn) => startUs + turn * STEP_US)
  await new EntrySource(appender, devices, { hasTicks: true }).append(times)
  await appender.close()
}

async function measure(at: ClusterPlace, backend: StateBackend, run: number): Promise<number> {
  const { jobs, spec } = jobOf(at, backend, run)
  const before = sumOf(await at.ends('readings'))
  const startMs = performance.now()
  await jobs.submit(spec)
  const seen: { atMs: number; done: number }[] = []
  for (let done = 0; done < messages; seen.push({ atMs: performance.now(), done })) {
    await delay(POLL_MS)
    done = sumOf(await at.ends('readings')) - before
    if (performance.now() - startMs > DONE_MS_MAX) throw new Error(`${done} of ${messages}`)
  }
  const from = seen.find(({ done }) => done >= messages * FROM_PART)!
  const to = seen.find(({ done }) => done >= messages * TO_PART)!
  const rate = ((to.done - from.done) * METRICS_PER_MESSAGE) / ((to.atMs - from.atMs) / 1000)
  const name = `${backend}, run ${run + 1}`
  reporter.add(`${name}: Kafka to Kafka`, rate, 'readings/s')
  const { checkpoint, restarts } = await jobs.status(spec.name, '')
  const bytes = residentBytes(pidsOf('flink')[TASK_MANAGER]!)
  if (bytes !== undefined) reporter.add(`${name}: memory of the TaskManager`, bytes / 1e6, 'MB')
  if (checkpoint !== undefined) reporter.add(`${name}: checkpoint`, checkpoint.bytes / 1e6, 'MB')
  await jobs.cancel(spec.name)
  if (restarts !== 0) throw new Error(`the job began ${restarts} times again`)
  const found = sumOf(await at.ends('readings')) - before
  if (found !== messages) throw new Error(`${messages} messages were in Kafka, ${found} came out`)
  return rate
}

function jobOf(
  at: ClusterPlace,
  backend: StateBackend,
  run: number,
): { jobs: FlinkJobs; spec: JobSpec } {
  const settings = flinkSettings(`${at.name}_${backend}_${run}`)
  const own = Object.entries({ ...settings, parallelism, stateBackend: backend }).map(
    ([key, value]) => [`flink.${key}`, value] as const,
  )
  const flags = {
    'kafka.brokers': accessOf('kafka')!['brokers'],
    ...{ 'kafka.topicPrefix': at.name, 'kafka.partitions': PARTITIONS, 'kafka.replication': 1 },
    ...Object.fromEntries(own),
  }
  const config = loadConfig({ flags })
  const generation = { number: 1, partitions: PARTITIONS }
  return { jobs: new FlinkJobs(flinkAccess(config)), spec: flinkSpec(config, plan, generation) }
}

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((sum, one) => sum + one, 0)
}
