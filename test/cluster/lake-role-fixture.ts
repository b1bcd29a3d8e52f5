/** Messages computed from their numbers, a process with roles, and what is in its lake. */
import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ReadingBatch, SeriesDefinition } from '../../src/batch/batch.ts'
import type { Generation } from '../../src/cluster/topics.ts'
import { MessageEncoder, topicName } from '../../src/entries/entries.ts'
import type { Kafka } from '../../src/kafka/kafka.ts'
import { askLake } from '../../src/lake/lake-fixture.ts'
import { listSets, newestManifest } from '../../src/lake/manifest.ts'
import type { Objects } from '../../src/objects/objects.ts'
import { createSeededRandom } from '../../src/world/memory-disk.ts'
import { until, weir, WeirProcess, type Running } from '../system/weir-process.ts'
import { minio, REGION } from './buckets.ts'
import { flinkSection } from './flink-section.ts'
import { brokers } from './kafka-fixture.ts'
import { url as postgresUrl } from './postgres-fixture.ts'

export const PARTITIONS = 2
/** Of a process that has them all. */
const SET = 'all'
const FIRST: Generation = { number: 1, partitions: PARTITIONS }
const DEVICES = 7
/** 2026-07-31T23:50:00Z, so that readings are of two months. */
const START_US = 1_785_541_800_000_000
const INTERVAL_US = 1_000_003
const METRICS = [
  { metric: 'running', kind: 'boolean' },
  { metric: 'state', kind: 'text' },
  { metric: 'temperature', kind: 'number' },
] as const
const TEXTS = ['ok', 'déjà vu', 'worn']

const SERIES: SeriesDefinition[] = Array.from({ length: DEVICES }, (_, device) =>
  METRICS.map((one, at) => ({
    ...{ series: device * METRICS.length + at, device, ...one, dimensions: [] },
    ...{ tenant: 'default', deviceId: `d${device}`, deviceType: 'generic' },
  })),
).flat()

/** Of message `number`, metric `at`: texts as their place in TEXTS. */
const valueAt = (number: number, at: number): number =>
  at === 0 ? number % 2 : at === 1 ? number % TEXTS.length : number / 8

const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from }, (_, at) => from + at)

function batchOf(numbers: readonly number[]): ReadingBatch {
  const messageCount = numbers.length
  const each = <T>(give: (number: number, at: number) => T): T[] =>
    numbers.flatMap((number) => METRICS.map((_, at) => give(number, at)))
  return {
    ...{ messageCount, readingCount: messageCount * METRICS.length, baseIngestTimeUs: START_US },
    eventTimeUs: Float64Array.from(numbers, (number) => START_US + number * INTERVAL_US),
    ingestDeltaUs: new Uint32Array(messageCount),
    device: Uint32Array.from(numbers, (number) => number % DEVICES),
    ...{ identityHigh: undefined, identityLow: undefined, deadLetters: undefined },
    readingsInMessage: new Uint16Array(messageCount).fill(METRICS.length),
    flags: new Uint8Array(messageCount),
    value: Float64Array.from(each(valueAt)),
    series: Uint32Array.from(each((number, at) => (number % DEVICES) * METRICS.length + at)),
    definitions: { series: SERIES, texts: TEXTS.map((text, id) => [id, text]) },
  }
}

/** Rows of messages [0, end), as the lake must have them. */
export function rowsUpTo(end: number): string[] {
  const rows: string[] = []
  for (let number = 0; number < end; number++) {
    const timeUs = START_US + number * INTERVAL_US
    for (const [at, { metric, kind }] of METRICS.entries()) {
      const value = valueAt(number, at)
      const isText = kind === 'text'
      const shown = isText ? [null, TEXTS[value]] : [value, null]
      rows.push(JSON.stringify([`d${number % DEVICES}`, metric, timeUs, ...shown]))
    }
  }
  return rows.toSorted()
}

/** Of all files that there are, counted by a manifest or not. */
export async function rowsOf(objects: Objects): Promise<string[]> {
  const question = `SELECT device_id, metric, epoch_us("time"), value, text_value FROM lake`
  const rows = await askLake(objects, question)
  return rows
    .map(([device, metric, timeUs, ...values]) =>
      JSON.stringify([device, metric, Number(timeUs), ...values]),
    )
    .toSorted()
}

/** One installation: topics and schema of its own, */
export interface Installed {
  prefix: string
}

/** and a bucket. */
export interface Installation extends Installed {
  bucket: string
  objects: Objects
}

const readingsTopic = ({ prefix }: Installed, generation = 1): string =>
  topicName(prefix, 'readings', generation)

/** Messages [from, to) into the topic, as the stream writes them. */
export async function appendMessages(
  kafka: Kafka,
  of: Installed,
  [from, to]: [number, number],
  { number, partitions }: Generation = FIRST,
): Promise<void> {
  const appender = kafka.createAppender(readingsTopic(of, number))
  await appender.append(new MessageEncoder({ partitions }).encode(batchOf(range(from, to))))
  await appender.close()
}

const WRITERS = 3
const writerOf = (number: number): number => (number % DEVICES) % WRITERS
const ENTRIES_AT_ONCE = 100

/** In the telemetry topic; others are ticks. */
export const sourceOf = (number: number): number => 3 * number + 5

/**
 * Messages [from, to) as several writers of a stream write them, each its devices' in their order,
 * with sources. `hangs` is what the last writer does not come to.
 */
export async function appendDisordered(
  kafka: Kafka,
  of: Installed,
  { from, to, hangs = Infinity }: { from: number; to: number; hangs?: number },
): Promise<void> {
  const random = createSeededRandom(from)
  const isWritten = (number: number): boolean => writerOf(number) < WRITERS - 1 || number < hangs
  const waiting = range(0, WRITERS).map((writer) =>
    range(from, to).filter((number) => writerOf(number) === writer && isWritten(number)),
  )
  const numbers: number[] = []
  for (let left = waiting; left.length > 0; left = left.filter(({ length }) => length > 0)) {
    const writer = left[Math.floor(random.unit() * left.length)]!
    numbers.push(...writer.splice(0, 1 + Math.floor(random.unit() * ENTRIES_AT_ONCE)))
  }
  const entries = new MessageEncoder({ partitions: PARTITIONS }).encode(batchOf(numbers))
  assert.equal(entries.length, numbers.length)
  const appender = kafka.createAppender(readingsTopic(of))
  for (let at = 0; at < numbers.length; at += ENTRIES_AT_ONCE) {
    const some = entries.slice(at, at + ENTRIES_AT_ONCE)
    await appender.append(
      some.map((entry, one) => ({ ...entry, source: sourceOf(numbers[at + one]!) })),
    )
  }
  await appender.close()
}

/** As the version before wrote them: how far the telemetry came, and not which were taken. */
export async function makeManifestOld({ objects, prefix }: Installation, nextSource: number) {
  const { version, offsets, ...manifest } = await newestManifest(objects, SET)
  const telemetry = topicName(prefix, 'telemetry')
  const old = {
    ...{ ...manifest, version, format: 2 },
    offsets: offsets.flatMap(({ topic, partition, nextOffset }) => [
      { topic, partition, nextOffset },
      { topic: telemetry, partition, nextOffset: nextSource },
    ]),
  }
  const key = `manifest/${SET}/${String(version).padStart(12, '0')}`
  await objects.put(key, Buffer.from(JSON.stringify(old)))
}

export async function createReadingsTopic(
  kafka: Kafka,
  of: Installed,
  { number, partitions }: Generation = FIRST,
): Promise<void> {
  const spec = { partitions, replication: brokers.length, retentionMs: 3_600_000 }
  const telemetry = topicName(of.prefix, 'telemetry', number)
  for (const topic of [readingsTopic(of, number), telemetry]) {
    await kafka.ensureTopics([{ topic, ...spec }])
  }
}

/** Until all that is in the topic is in the lake. */
export async function untilCommitted(kafka: Kafka, of: Installation): Promise<void> {
  const ends: number[] = []
  for (let partition = 0; partition < PARTITIONS; partition++) {
    ends.push((await kafka.bounds(readingsTopic(of), partition)).nextOffset)
  }
  await until('all is in the lake', async () => isCommitted(of, ends), 60_000)
}

async function isCommitted({ objects }: Installation, ends: readonly number[]): Promise<boolean> {
  if ((await listSets(objects)).length === 0) return false
  const { offsets } = await newestManifest(objects, SET)
  return ends.every(
    (end, at) =>
      end === 0 ||
      offsets.some(({ partition, nextOffset }) => partition === at && nextOffset === end),
  )
}

/** `weir start --role ROLES`; does not wait for it. */
export function spawnRoles(folder: string, roles: string, of: Installation): Promise<Running> {
  const { endpoint, accessKey, secretKey } = minio
  const store = { bucket: of.bucket, endpoint, region: REGION, accessKey, secretKey }
  const lake = { ...store, commitReadings: 3000, commitInterval: '1s', readingsHeldMax: 6000 }
  return spawnCluster(folder, { ...of, roles, settings: { lake } })
}

/** The same, with settings for what stands behind. */
export async function spawnCluster(
  folder: string,
  { prefix, roles, settings }: Installed & { roles: string; settings: Record<string, unknown> },
): Promise<Running> {
  await mkdir(folder, { recursive: true })
  const config = join(folder, 'config.yaml')
  const text = JSON.stringify({
    kafka: { brokers, topicPrefix: prefix, partitions: PARTITIONS, replication: brokers.length },
    postgres: { url: postgresUrl, schema: prefix.replaceAll('-', '_') },
    http: { port: 0 },
    mqtt: { port: 0 },
    flink: flinkSection(prefix),
    ...settings,
  })
  await writeFile(config, text, { mode: 0o600 })
  const places = ['--data', join(folder, 'data'), '--write-credentials', join(folder, 'key.json')]
  return weir(['start', '--role', roles, '--config', config, ...places])
}

export async function startRoles(
  folder: string,
  roles: string,
  of: Installation,
): Promise<WeirProcess> {
  return WeirProcess.ready(await spawnRoles(folder, roles, of), folder)
}

/** Each message has as many rows as there are metrics. */
export async function untilRows(of: Installation, messages: number): Promise<void> {
  const isThere = async (): Promise<boolean> =>
    (await listSets(of.objects)).length > 0 &&
    (await rowsOf(of.objects)).length === messages * METRICS.length
  await until(`${messages} messages are in the lake`, isThere, 60_000)
}

export async function assertRows(of: Installation, messages: number): Promise<void> {
  assert.deepEqual(await rowsOf(of.objects), rowsUpTo(messages))
}
