/** An installation on Kafka, PostgreSQL and MinIO whose devices are erased over the real API. */
import assert from 'node:assert/strict'
import type { ReadingBatch } from '../../src/batch/batch.ts'
import { MessageEncoder, topicName } from '../../src/entries/entries.ts'
import type { Kafka } from '../../src/kafka/kafka.ts'
import { askLake } from '../../src/lake/lake-fixture.ts'
import { eachObject, type Objects } from '../../src/objects/objects.ts'
import { until, WeirProcess } from '../system/weir-process.ts'
import { createBucket, minio, openBucket, REGION, skip as skipMinio } from './buckets.ts'
import { tablesWith } from './erasure-fixture.ts'
import { newTopic, open as openKafka, skip as skipKafka } from './kafka-fixture.ts'
import { PARTITIONS, spawnCluster } from './lake-role-fixture.ts'
import { askOf, skip as skipPostgres, url } from './postgres-fixture.ts'

export const skip = skipKafka ?? skipMinio ?? skipPostgres
export const SECRET = 'very secret'
export const HOUR_MS = 3_600_000
/** Long ago, so that it leaves PostgreSQL at the next start. */
export const OLD_MS = Date.UTC(2023, 0, 1)
const NEW_MS = Math.floor(Date.now() / 1000) * 1000 - HOUR_MS

interface Message {
  device: number
  ms: number
  temperature: number
}

/** A number and a text that says whose it is. */
function batchOf(devices: readonly string[], messages: readonly Message[]): ReadingBatch {
  const count = messages.length
  const texts = devices.map((id, at): [number, string] => [at, `${SECRET} of ${id}`])
  const kinds = [
    { metric: 'state', kind: 'text' },
    { metric: 'temperature', kind: 'number' },
  ] as const
  return {
    ...{ messageCount: count, readingCount: count * 2, baseIngestTimeUs: NEW_MS * 1000 },
    eventTimeUs: Float64Array.from(messages, ({ ms }) => ms * 1000),
    ingestDeltaUs: new Uint32Array(count),
    device: Uint32Array.from(messages, ({ device }) => device),
    ...{ identityHigh: undefined, identityLow: undefined, deadLetters: undefined },
    readingsInMessage: new Uint16Array(count).fill(2),
    flags: new Uint8Array(count),
    value: Float64Array.from(messages.flatMap((one) => [one.device, one.temperature])),
    series: Uint32Array.from(messages.flatMap(({ device }) => [device * 2, device * 2 + 1])),
    definitions: {
      texts,
      series: devices.flatMap((deviceId, device) =>
        kinds.map((kind, at) => ({
          ...{ series: device * 2 + at, device, deviceId, tenant: 'default', dimensions: [] },
          ...{ deviceType: 'generic', ...kind },
        })),
      ),
    },
  }
}

export interface InstallationParts {
  folder: string
  devices: readonly string[]
  /** As `postgres.stores`; without it one has all. */
  stores?: { range: string; url: string }[]
}

export class Installation {
  readonly prefix = newTopic()
  readonly schema = this.prefix.replaceAll('-', '_')
  readonly #parts: InstallationParts
  readonly #kafka: Kafka
  readonly #bucket: string
  readonly #objects: Objects

  private constructor(parts: InstallationParts, kafka: Kafka, bucket: string) {
    this.#parts = parts
    this.#kafka = kafka
    this.#bucket = bucket
    this.#objects = openBucket(bucket)
  }

  static async create(parts: InstallationParts): Promise<Installation> {
    return new Installation(parts, await openKafka(), await createBucket())
  }

  async close(): Promise<void> {
    this.#objects.close()
    await this.#kafka.close()
    for (const server of this.#servers) {
      await askOf(server, `DROP SCHEMA IF EXISTS ${this.schema} CASCADE`)
    }
  }

  get #servers(): string[] {
    return [...new Set([url, ...(this.#parts.stores ?? []).map((store) => store.url)])]
  }

  async start(): Promise<WeirProcess> {
    const { endpoint, accessKey, secretKey } = minio
    const store = { bucket: this.#bucket, endpoint, region: REGION, accessKey, secretKey }
    const lake = { ...store, commitReadings: 1000, commitInterval: '1s' }
    const sink = { kind: 'influxdb2', url: 'http://127.0.0.1:1', database: 'b', organization: 'o' }
    const stores = this.#parts.stores?.map((one) => `${one.range}=${one.url}`)
    const postgres = { url, schema: this.schema, ...(stores === undefined ? {} : { stores }) }
    const settings = { lake, sink, postgres }
    const folder = `${this.#parts.folder}/${this.prefix}`
    const how = { prefix: this.prefix, roles: 'writer,control,lake', settings }
    return WeirProcess.ready(await spawnCluster(folder, how), folder)
  }

  /** Of each device one at each of the times. */
  messagesAt(times: readonly number[]): Message[] {
    return times.flatMap((ms, at) =>
      this.#parts.devices.map((_, device) => ({ device, ms, temperature: at })),
    )
  }

  /** 40 of each device, of two months. */
  oldMessages(): Message[] {
    return this.messagesAt(Array.from({ length: 40 }, (_, at) => OLD_MS + at * 30 * HOUR_MS))
  }

  /** 40 of each device, of now. */
  newMessages(): Message[] {
    return this.messagesAt(Array.from({ length: 40 }, (_, at) => NEW_MS + at * 1000))
  }

  /** As the stream writes them, or writes them again. */
  async append(messages: readonly Message[]): Promise<void> {
    const appender = this.#kafka.createAppender(topicName(this.prefix, 'readings'))
    const encoder = new MessageEncoder({ partitions: PARTITIONS })
    await appender.append(encoder.encode(batchOf(this.#parts.devices, messages)))
    await appender.close()
  }

  /** Until what is old has left every PostgreSQL. */
  async untilMonthsLeft(): Promise<void> {
    const old = `SELECT count(*)::integer AS rows FROM ${this.schema}.reading WHERE time_us < 1.7e15`
    for (const server of this.#servers) {
      const isGone = async (): Promise<boolean> => (await askOf(server, old))[0]!['rows'] === 0
      await until('the months have left', isGone)
    }
  }

  /** By device, in files that tools find. */
  async lakeRows(): Promise<Record<string, number>> {
    const rows = await askLake(
      this.#objects,
      'SELECT device_id, count(DISTINCT (metric, "time"))::integer FROM lake GROUP BY 1',
    )
    return Object.fromEntries(rows as [string, number][])
  }

  /** A file that is written anew while it looks is looked for again. */
  async untilInLake(device: string, rows: number): Promise<void> {
    const isThere = async (): Promise<boolean> => {
      try {
        return (await this.lakeRows())[device] === rows
      } catch (error) {
        if ((error as { code?: string }).code === 'OBJECT_MISSING') return false
        throw error
      }
    }
    await until('it is in the lake', isThere, 60_000)
  }

  /** Tables and objects with these words, as rows and as bytes. */
  async placesOf(words: string): Promise<string[]> {
    const places: string[] = []
    for (const server of this.#servers) {
      places.push(...(await tablesWith(this.schema, words, server)))
    }
    for await (const { key } of eachObject(this.#objects, '')) {
      if (Buffer.from(await this.#objects.get(key)).includes(words)) places.push(key)
    }
    const rows = await askLake(
      this.#objects,
      `SELECT DISTINCT filename FROM lake WHERE text_value LIKE '%${words}%'`,
    )
    return [...places, ...rows.map(String)]
  }
}

export const pointsOf = async (process: WeirProcess, device: string) => {
  const asked = { device_id: device, metric: 'temperature', start: 0, end: 4e12 }
  const { points } = await process.get<{ points: [number, unknown][] }>('/v1/query', asked)
  return points
}

export async function untilPoints(
  process: WeirProcess,
  device: string,
  count: number,
): Promise<void> {
  const isThere = async (): Promise<boolean> => (await pointsOf(process, device)).length === count
  await until(`${count} readings of ${device} are there`, isThere, 60_000)
}

export interface Receipt {
  erasure: {
    files: { file: string; place: string; rows: number; crc32_after: number | null }[]
    rows: Record<string, number>
    log: { kept_until: Record<string, string | null> }
    not_erased: string[]
  }
  key: string
  signature: string
}

export interface Status {
  state: string
  problem: string | null
  receipt: Receipt | null
}

export async function erase(process: WeirProcess, path: string): Promise<string> {
  const answer = await process.api<{ id: string }>(path, { method: 'DELETE' })
  assert.equal(answer.status, 202, answer.text)
  return answer.body.id
}

export const statusOf = (process: WeirProcess, id: string): Promise<Status> =>
  process.get<Status>(`/v1/erasures/${id}`)

export const receiptOf = (process: WeirProcess, id: string): Promise<Receipt> =>
  until(
    'the receipt is there',
    async () => (await statusOf(process, id)).receipt ?? undefined,
    60_000,
  )
