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
  type FlinkAccess,
  type JobSpec,
} from '../flink/flink.ts'
import type { KafkaAccess } from '../kafka/kafka.ts'
import { openKafka } from '../kafka/open-kafka.ts'
import { createS3Objects } from '../objects/s3-objects.ts'
import type { Plan } from '../pipeline/pipeline.ts'
import { nodeWorld } from '../world/node-world.ts'
import { kafkaAccess, s3Access } from './accesses.ts'
import { Topics } from './topics.ts'

const NAME = /^\w[\w.-]{0,99}$/

const wrong = (detail: string): WeirError => new WeirError('CONFIG_VALUE_INVALID', detail)

/** Errors: CONFIG_VALUE_INVALID. */
export function flinkSpec(config: Config, plan: Plan, partitions: number): JobSpec {
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
    ...{ name, jar, parallelism, maxParallelism, stateBackend, partitions },
    ...flinkFolders(config),
    kafka: flinkKafka(config),
    topics: {
      telemetry: topicName(topicPrefix, 'telemetry'),
      readings: topicName(topicPrefix, 'readings'),
      windows: topicName(topicPrefix, 'windows'),
      events: topicName(topicPrefix, 'events'),
      deadLetters: topicName(topicPrefix, 'dead-letters'),
    },
    plan: { version, time, windowsMs, detectors, rules, stateTtlUs: config.stream.stateTtlUs },
    checkpointIntervalMs: checkpointIntervalUs / 1000,
  }
}

/** Of this job. Errors: CONFIG_VALUE_INVALID. */
export function flinkFolders({ flink }: Config): Pick<JobSpec, 'checkpoints' | 'savepoints'> {
  if (flink.checkpoints === '') throw wrong('flink.checkpoints: a job needs it')
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

/** Errors: CONFIG_VALUE_INVALID. */
export function flinkAccess(config: Config): FlinkAccess {
  const { gatewayUrl, restUrl, checkpoints } = config.flink
  const { saslPassword } = config.kafka
  const keys = certificatesOf(kafkaAccess(config)).key
  return {
    gatewayUrl: addressOf('flink.gatewayUrl', gatewayUrl),
    restUrl: addressOf('flink.restUrl', restUrl),
    pause: (ms) => pause(ms),
    nowMs: () => nodeWorld.clock.nowUs() / 1000,
    secrets: [saslPassword, ...(keys === undefined ? [] : [keys])].filter((one) => one !== ''),
    folders: /^(file|s3):/.test(checkpoints) ? openFolders(config) : undefined,
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
 * Makes the topics that are missing, and says how many partitions there are. A job goes through one
 * generation of the topics. Errors: CONFIG_VALUE_INVALID, LOG_UNAVAILABLE, LOG_REQUEST_REFUSED.
 */
export async function readyTopics(config: Config): Promise<number> {
  const kafka = await openKafka(kafkaAccess(config), nodeWorld)
  try {
    const topics = await Topics.open(kafka, config)
    const { length } = await topics.generations()
    if (length > 1)
      throw wrong('kafka.topicPrefix: its topics were given more partitions; a job has one of each')
    return topics.partitions
  } finally {
    await kafka.close()
  }
}

/** The entry behind the last one of each partition of telemetry. Errors: LOG_UNAVAILABLE. */
export async function telemetryEnds(config: Config): Promise<Map<number, number>> {
  const kafka = await openKafka(kafkaAccess(config), nodeWorld)
  try {
    const topic = topicName(config.kafka.topicPrefix, 'telemetry')
    const partitions = (await kafka.describeTopics([topic])).get(topic)?.partitions ?? 0
    const ends = new Map<number, number>()
    for (let partition = 0; partition < partitions; partition++)
      ends.set(partition, (await kafka.bounds(topic, partition)).nextOffset)
    return ends
  } finally {
    await kafka.close()
  }
}
