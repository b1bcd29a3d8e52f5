/** A job of Flink on topics of its own, entries for it, and what it makes of them. */
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { flinkAccess, flinkSpec, readyTopics } from '../../src/cluster/flink-spec.ts'
import { PartitionStream } from '../conformance/engines/partition-stream.ts'
import { loadConfig, type Config } from '../../src/config/config.ts'
import {
  decodeWindow,
  encodeTick,
  MessageEncoder,
  topicName,
  type TopicKind,
} from '../../src/entries/entries.ts'
import { batchOf, type PlainMessage } from '../../src/entries/message-fixture.ts'
import { FlinkJobs, kafkaProperties, type JobSpec } from '../../src/flink/flink.ts'
import type { Appender, Kafka, NewEntry, ReadEntry } from '../../src/kafka/kafka.ts'
import { parsePipeline } from '../../src/pipeline/compile.ts'
import type { Given } from '../conformance/engines/outcome.ts'
import { accessOf } from './cluster.ts'
import { brokers, newTopic, open, readAll } from './kafka-fixture.ts'
import { execute, findProgram } from './process.ts'

const access = accessOf('flink')
/** Their places among its processes. */
export const [JOB_MANAGER, TASK_MANAGER] = [0, 1]
export const { rest = '', checkpoints = '' } = access ?? {}
export const skip = reasonToSkip()

/** Of those that build the jar. */
export function missingTool(): string | undefined {
  return ['javac', 'mvn'].find((name) => findProgram(name) === undefined)
}

function reasonToSkip(): string | undefined {
  if (process.env['WEIR_CLUSTER'] === 'off') return 'npm run test:cluster runs it'
  const program = missingTool()
  if (program !== undefined) return `${program} is not installed`
  if (access === undefined || brokers.length === 0)
    return 'it does not run: npm run -s cluster:up -- kafka flink'
  return undefined
}

const folder = fileURLToPath(new URL('../../engines/flink', import.meta.url))

/** As it is now, or as it was built for all tests of a run; its own tests are another test's. */
export function buildJar(): string {
  const built = process.env['WEIR_CLUSTER_JAR']
  if (built !== undefined) return built
  execute('mvn', ['-q', '-B', '-ntp', '-Dmaven.test.skip=true', 'package'], { cwd: folder })
  return join(folder, 'target', 'weir-flink.jar')
}

export interface Installation extends AsyncDisposable {
  kafka: Kafka
  config: Config
  jobs: FlinkJobs
  /** For files of the test. */
  folder: string
  partitions: number
  /** Of a pipeline in YAML. */
  spec: (pipeline: string, change?: Partial<JobSpec>) => JobSpec
  send: (messages: readonly PlainMessage[]) => Promise<void>
  /** Into each partition. */
  tick: (timeUs: number) => Promise<void>
  append: (entries: NewEntry[]) => Promise<unknown>
  /** By partition. */
  read: (kind: TopicKind) => Promise<ReadEntry[][]>
}

export async function openInstallation(
  jar: string,
  { partitions = 4 }: { partitions?: number } = {},
): Promise<Installation> {
  const work = mkdtempSync(join(tmpdir(), 'weir-flink-'))
  // Flink keeps a jar open, and the next build writes over it.
  const ownJar = join(work, 'weir-flink.jar')
  copyFileSync(jar, ownJar)
  const name = newTopic()
  const flags = {
    'kafka.brokers': brokers.join(','),
    'kafka.topicPrefix': name,
    'kafka.partitions': partitions,
    'kafka.replication': brokers.length,
    'flink.gatewayUrl': access!['gateway'],
    'flink.restUrl': rest,
    'flink.jar': `file://${ownJar}`,
    'flink.name': name,
    'flink.checkpoints': `file://${checkpoints}`,
    'flink.checkpointInterval': '500ms',
  }
  const config = loadConfig({ flags })
  const kafka = await open()
  const jobs = new FlinkJobs(flinkAccess(config))
  const generation = await readyTopics(config, jobs)
  const telemetry: Appender = kafka.createAppender(topicName(name, 'telemetry'))
  const encoder = new MessageEncoder({ partitions })
  return {
    ...{ kafka, config, jobs, partitions, folder: work },
    spec: (pipeline, change) => ({
      ...flinkSpec(config, parsePipeline(pipeline, 'test'), generation),
      ...change,
    }),
    async send(messages) {
      // Definitions come first, as changes of nobody; they are no entries here.
      await telemetry.append(encoder.encode(batchOf(messages)))
    },
    async tick(timeUs) {
      const all = Array.from({ length: partitions }, (_, partition) => partition)
      const value = encodeTick(timeUs)
      await telemetry.append(all.map((partition) => ({ partition, value })))
    },
    append: (entries) => telemetry.append(entries),
    read: (kind) =>
      Promise.all(
        Array.from({ length: partitions }, (_, partition) =>
          readAll(kafka, topicName(name, kind), partition),
        ),
      ),
    async [Symbol.asyncDispose]() {
      await jobs.cancel(name).catch(() => undefined)
      await kafka.close()
      rmSync(work, { recursive: true })
    },
  }
}

/** The four topics behind telemetry, by partition. */
export async function readTopics(
  at: Pick<Installation, 'read'>,
): Promise<Record<Behind, ReadEntry[][]>> {
  const [readings, windows] = [await at.read('readings'), await at.read('windows')]
  const [events, deadLetters] = [await at.read('events'), await at.read('dead-letters')]
  return { readings, windows, events, deadLetters }
}

type Behind = 'readings' | 'windows' | 'events' | 'deadLetters'

/** Up to where the windows of all partitions are told. */
export async function coveredThroughMs(at: Installation): Promise<number> {
  const ends = (await at.read('windows')).map((entries) =>
    entries.reduce((highest, { value }) => {
      const entry = decodeWindow(value)
      return 'watermarkMs' in entry ? Math.max(highest, entry.watermarkMs + 1) : highest
    }, 0),
  )
  return Math.min(...ends)
}

/** What the stream of TypeScript makes of telemetry; readings by partition. */
export async function expectedOf(
  at: Pick<Installation, 'read' | 'config'>,
  pipeline: string,
): Promise<{
  readings: Given[][]
  windows: Given[]
  events: Given[]
  deadLetters: Given[]
}> {
  const plan = parsePipeline(pipeline, 'test')
  const { seriesMax, textsMax } = at.config.gateway
  const limits = { ...at.config.stream, seriesMax, textsMax, deviceMax: 1000 }
  const streams = (await at.read('telemetry')).map((entries, partition) =>
    new PartitionStream({ partition, plan, limits }).process(entries),
  )
  const all = (kind: 'windows' | 'events' | 'deadLetters'): Given[] =>
    streams.flatMap((one) => one[kind].map(({ key, value }) => ({ key, value })))
  return {
    readings: streams.map(({ readings }) => readings.map((one) => ({ key: undefined, ...one }))),
    windows: all('windows'),
    events: all('events'),
    deadLetters: all('deadLetters'),
  }
}

/** The same brokers by the listeners that are not open to everybody. */
export function guardedKafka(door: 'a password' | 'TLS'): Record<string, string> {
  const { saslBrokers = '', saslUsername: username = '', ...rest } = accessOf('kafka')!
  const { saslPassword: password = '', tlsBrokers = '', tlsCaFile = '' } = rest
  const clientId = 'weir-test'
  return door === 'TLS'
    ? kafkaProperties(
        { clientId, brokers: tlsBrokers.split(','), tls: {} },
        { ca: readFileSync(tlsCaFile, 'utf8') },
      )
    : kafkaProperties({
        ...{ clientId, brokers: saslBrokers.split(',') },
        sasl: { mechanism: 'SCRAM-SHA-256', username, password },
      })
}
