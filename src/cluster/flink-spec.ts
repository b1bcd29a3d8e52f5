/** From the configuration and a pipeline to the job of Flink, and to where that runs. */
import { readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import type { Config } from '../config/config.ts'
import { topicName } from '../entries/entries.ts'
import { WeirError } from '../errors/errors.ts'
import {
  kafkaProperties,
  openStateFolder,
  STATE_BACKENDS,
  type Alone,
  type FlinkAccess,
  type FlinkJobs,
  type JobSpec,
} from '../flink/flink.ts'
import type { KafkaAccess } from '../kafka/kafka.ts'
import { openKafka } from '../kafka/open-kafka.ts'
import { createS3Objects } from '../objects/s3-objects.ts'
import type { Plan } from '../pipeline/pipeline.ts'
import { nodeWorld } from '../world/node-world.ts'
import { kafkaAccess, s3Access } from './accesses.ts'
import { Topics, type Generation } from './topics.ts'

const NAME = /^\w[\w.-]{0,99}$/

const wrong = (detail: string): WeirError => new WeirError('CONFIG_VALUE_INVALID', detail)

/** For one generation of the topics. Errors: CONFIG_VALUE_INVALID. */
export function flinkSpec(config: Config, plan: Plan, of: Generation): JobSpec {
  const { number: generation, partitions } = of
  const { name, jar, parallelism, maxParallelism, checkpointIntervalUs } = config.flink
  if (!NAME.test(name)) throw wrong(`flink.name: ${name} is more than letters, digits, _, - and .`)
  if (parallelism > maxParallelism)
    throw wrong(`flink.parallelism: ${parallelism} is more than flink.maxParallelism`)
  const stateBackend = STATE_BACKENDS.find((one) => one === config.flink.stateBackend)
  if (stateBackend === undefined)
    throw wrong(`flink.stateBackend: it is none of ${STATE_BACKENDS.join(', ')}`)
  const { topicPrefix } = config.kafka
  const { version, time, windowsMs, detectors, rules } = plan
  return {
    ...{ name, jar, parallelism, maxParallelism, stateBackend },
    ...{ partitions, generation },
    ...flinkFolders(config),
    kafka: flinkKafka(config),
    topics: {
      telemetry: topicName(topicPrefix, 'telemetry', generation),
      readings: topicName(topicPrefix, 'readings', generation),
      windows: topicName(topicPrefix, 'windows', generation),
      events: topicName(topicPrefix, 'events'),
      deadLetters: topicName(topicPrefix, 'dead-letters'),
    },
    plan: { version, time, windowsMs, detectors, rules, stateTtlUs: config.stream.stateTtlUs },
    checkpointIntervalMs: checkpointIntervalUs / 1000,
  }
}

/** Of this job. Errors: CONFIG_VALUE_INVALID. */
export function flinkFolders({ flink }: Config): Pick<JobSpec, 'checkpoints' | 'savepoints'> {
  if (flink.checkpoints === '')
    throw wrong('flink.checkpoints: the stream is a job of Flink, which needs a folder for them')
  if (!/^(file|s3):\/\//.test(flink.checkpoints))
    throw wrong(`flink.checkpoints: ${flink.checkpoints} is no address as file:///… or s3://…`)
  const of = (folder: string): string => `${folder.replace(/\/+$/, '')}/${flink.name}`
  const checkpoints = of(flink.checkpoints)
  const savepoints = flink.savepoints === '' ? `${checkpoints}/savepoints` : of(flink.savepoints)
  return { checkpoints, savepoints }
}

function flinkKafka(config: Config): Record<string, string> {
  const access = kafkaAccess(config)
  return kafkaProperties(access, certificatesOf(access))
}

function certificatesOf({ tls }: KafkaAccess): { ca?: string; cert?: string; key?: string } {
  const { caFile, certFile, keyFile } = tls ?? {}
  return {
    ...(caFile !== undefined && { ca: textOf(caFile) }),
    ...(certFile !== undefined && { cert: textOf(certFile) }),
    ...(keyFile !== undefined && { key: textOf(keyFile) }),
  }
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw wrong(`${file} cannot be read: ${(cause as Error).message}`)
  }
}

/** `alone`: left out by who only looks. Errors: CONFIG_VALUE_INVALID. */
export function flinkAccess(config: Config, alone: Alone = (work) => work()): FlinkAccess {
  const { gatewayUrl, restUrl } = config.flink
  const { saslPassword } = config.kafka
  const keys = certificatesOf(kafkaAccess(config)).key
  return {
    gatewayUrl: addressOf('flink.gatewayUrl', gatewayUrl),
    restUrl: addressOf('flink.restUrl', restUrl),
    alone,
    pause: (ms) => pause(ms),
    nowMs: () => nodeWorld.clock.nowUs() / 1000,
    secrets: [saslPassword, ...(keys === undefined ? [] : [keys])].filter((one) => one !== ''),
    folders: openFolders(config),
  }
}

function addressOf(setting: string, url: string): string {
  if (/^https?:$/.test(URL.parse(url)?.protocol ?? '')) return url.replace(/\/+$/, '')
  throw wrong(`${setting}: ${url} is no address as http://host:8081`)
}

function openFolders(config: Config): FlinkAccess['folders'] {
  const { disk, random } = nodeWorld
  const open = (address: string): ReturnType<typeof openStateFolder> =>
    openStateFolder(address, {
      disk,
      bucketOf: (bucket) =>
        createS3Objects(s3Access({ ...config, lake: { ...config.lake, bucket } }, random)),
    })
  const { checkpoints, savepoints } = flinkFolders(config)
  return { checkpoints: open(checkpoints), savepoints: open(savepoints) }
}

/**
 * Makes the topics that are missing, and says which generation of them a job is to go on with.
 * Errors: LOG_UNAVAILABLE, LOG_REQUEST_REFUSED, and those of Flink.
 */
export async function readyTopics(config: Config, jobs: FlinkJobs): Promise<Generation> {
  const kafka = await openKafka(kafkaAccess(config), nodeWorld)
  try {
    return await generationOfJob(await Topics.open(kafka, config), jobs, config.flink.name)
  } finally {
    await kafka.close()
  }
}

/** The one of the job before it, else the first. */
export async function generationOfJob(
  topics: Topics,
  jobs: FlinkJobs,
  name: string,
): Promise<Generation> {
  const all = await topics.generations()
  const number = await jobs.generation(name)
  return all.find((one) => one.number === number) ?? all[0]!
}

/** The entry behind the last one of each partition of a topic. Errors: LOG_UNAVAILABLE. */
export async function endsOfTopic(config: Config, topic: string): Promise<Map<number, number>> {
  const kafka = await openKafka(kafkaAccess(config), nodeWorld)
  try {
    const partitions = (await kafka.describeTopics([topic])).get(topic)?.partitions ?? 0
    const ends = new Map<number, number>()
    for (let partition = 0; partition < partitions; partition++)
      ends.set(partition, (await kafka.bounds(topic, partition)).nextOffset)
    return ends
  } finally {
    await kafka.close()
  }
}
