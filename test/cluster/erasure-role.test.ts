/**
 * Erasing over the real API, on Kafka, PostgreSQL and MinIO, through `kill -9`: hidden from the
 * answer on, gone from every row and object in the end, and it stays gone when everything comes
 * again.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { ReadingBatch } from '../../src/batch/batch.ts'
import { MessageEncoder, topicName } from '../../src/entries/entries.ts'
import type { Kafka } from '../../src/kafka/kafka.ts'
import { askLake } from '../../src/lake/lake-fixture.ts'
import { eachObject } from '../../src/objects/objects.ts'
import { makeFolder, until, weir as command, WeirProcess } from '../system/weir-process.ts'
import { createBucket, minio, openBucket, REGION, skip as skipMinio } from './buckets.ts'
import { killService, restartService } from './cluster.ts'
import { newTopic, open, skip as skipKafka } from './kafka-fixture.ts'
import { tablesWith } from './erasure-fixture.ts'
import { PARTITIONS, spawnCluster } from './lake-role-fixture.ts'
import { ask, skip as skipPostgres } from './postgres-fixture.ts'

const skip = skipKafka ?? skipMinio ?? skipPostgres
const folder = await makeFolder({ after })
const kafka: Kafka | undefined = skip === undefined ? await open() : undefined
const closing: (() => Promise<unknown>)[] = []
after(async () => {
  await kafka?.close()
  for (const close of closing) await close()
})

const DEVICES = ['pump-1', 'pump-2']
const SECRET = 'very secret'
/** Long ago, so that it leaves PostgreSQL at the next start. */
const OLD_MS = Date.UTC(2023, 0, 1)
const NEW_MS = Math.floor(Date.now() / 1000) * 1000 - 3_600_000
const HOUR_MS = 3_600_000

interface Message {
  device: number
  ms: number
  temperature: number
}

const messagesAt = (times: readonly number[]): Message[] =>
  times.flatMap((ms, at) => DEVICES.map((_, device) => ({ device, ms, temperature: at })))

/** Of two months. */
const OLD = messagesAt(Array.from({ length: 40 }, (_, at) => OLD_MS + at * 30 * HOUR_MS))
const NEW = messagesAt(Array.from({ length: 40 }, (_, at) => NEW_MS + at * 1000))

/** A number and a text that says whose it is. */
function batchOf(messages: readonly Message[]): ReadingBatch {
  const count = messages.length
  const texts = DEVICES.map((id, at): [number, string] => [at, `${SECRET} of ${id}`])
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
      series: DEVICES.flatMap((deviceId, device) =>
        kinds.map((kind, at) => ({
          ...{ series: device * 2 + at, device, deviceId, tenant: 'default', dimensions: [] },
          ...{ deviceType: 'generic', ...kind },
        })),
      ),
    },
  }
}

class Installation {
  readonly prefix = newTopic()
  readonly schema = this.prefix.replaceAll('-', '_')
  readonly bucket: string
  readonly objects
  readonly folder: string

  private constructor(bucket: string) {
    this.bucket = bucket
    this.objects = openBucket(bucket)
    this.folder = `${folder}/${this.prefix}`
    closing.push(async () => {
      this.objects.close()
      await ask(`DROP SCHEMA IF EXISTS ${this.schema} CASCADE`)
    })
  }

  static async create(): Promise<Installation> {
    return new Installation(await createBucket())
  }

  async start(): Promise<WeirProcess> {
    const { endpoint, accessKey, secretKey } = minio
    const store = { bucket: this.bucket, endpoint, region: REGION, accessKey, secretKey }
    const lake = { ...store, commitReadings: 1000, commitInterval: '1s' }
    const sink = { kind: 'influxdb2', url: 'http://127.0.0.1:1', database: 'b', organization: 'o' }
    const how = { prefix: this.prefix, roles: 'writer,control,lake', settings: { lake, sink } }
    return WeirProcess.ready(await spawnCluster(this.folder, how), this.folder)
  }

  /** As the stream writes them, or writes them again. */
  async append(messages: readonly Message[]): Promise<void> {
    const appender = kafka!.createAppender(topicName(this.prefix, 'readings'))
    await appender.append(new MessageEncoder({ partitions: PARTITIONS }).encode(batchOf(messages)))
    await appender.close()
  }

  /** By device, in files that tools find. */
  async lakeRows(): Promise<Record<string, number>> {
    const rows = await askLake(
      this.objects,
      'SELECT device_id, count(DISTINCT (metric, "time"))::integer FROM lake GROUP BY 1',
    )
    return Object.fromEntries(rows as [string, number][])
  }

  /** Tables and objects with these words, as rows and as bytes. */
  async placesOf(words: string): Promise<string[]> {
    const places = await tablesWith(this.schema, words)
    for await (const { key } of eachObject(this.objects, '')) {
      if (Buffer.from(await this.objects.get(key)).includes(words)) places.push(key)
    }
    const rows = await askLake(
      this.objects,
      `SELECT DISTINCT filename FROM lake WHERE text_value LIKE '%${words}%'`,
    )
    return [...places, ...rows.map(String)]
  }
}

const pointsOf = async (process: WeirProcess, device: string, metric = 'temperature') => {
  const asked = { device_id: device, metric, start: 0, end: 4e12 }
  const { points } = await process.get<{ points: [number, unknown][] }>('/v1/query', asked)
  return points
}

interface Receipt {
  erasure: {
    files: { file: string; place: string; rows: number; crc32_after: number | null }[]
    rows: Record<string, number>
    log: { kept_until: Record<string, string | null> }
    not_erased: string[]
  }
  key: string
  signature: string
}

interface Status {
  state: string
  problem: string | null
  receipt: Receipt | null
}

async function erase(process: WeirProcess, path: string): Promise<string> {
  const answer = await process.api<{ id: string }>(path, { method: 'DELETE' })
  assert.equal(answer.status, 202, answer.text)
  return answer.body.id
}

const statusOf = (process: WeirProcess, id: string): Promise<Status> =>
  process.get<Status>(`/v1/erasures/${id}`)

const receiptOf = (process: WeirProcess, id: string): Promise<Receipt> =>
  until(
    'the receipt is there',
    async () => (await statusOf(process, id)).receipt ?? undefined,
    60_000,
  )

async function verify(
  receipt: unknown,
  key: string,
): Promise<{ code: number | null; output: string }> {
  const file = join(folder, 'receipt.json')
  await writeFile(file, JSON.stringify(receipt))
  const running = command(['erasure', 'verify', file, '--key', key])
  return { code: await running.end(), output: running.output }
}

test(
  'erased is hidden at once, gone in the end, and stays gone, through kill -9',
  { skip },
  async () => {
    const at = await Installation.create()
    let process = await at.start()
    await Promise.all(DEVICES.map((id) => process.register({ id })))
    await at.append([...OLD, ...NEW])
    const isThere = async (): Promise<boolean> => (await pointsOf(process, 'pump-2')).length === 80
    await until('all is in PostgreSQL', isThere, 60_000)
    const isCommitted = async (): Promise<boolean> => (await at.lakeRows())['pump-2'] === 160
    await until('all is in the lake', isCommitted, 60_000)
    // What is old leaves PostgreSQL at a start.
    await process.kill()
    process = await at.start()
    await until('the months have left', async () => {
      const [row] = await ask(
        `SELECT count(*)::integer AS rows FROM ${at.schema}.reading WHERE time_us < 1.7e15`,
      )
      return row!['rows'] === 0
    })
    // It comes again behind the month.
    const late = OLD.slice(0, 20).map((one) => ({ ...one, ms: one.ms + 1 }))
    await at.append(late)
    await until(
      'what is late is there',
      async () => (await pointsOf(process, 'pump-1')).length === 90,
    )
    const others = await pointsOf(process, 'pump-2')
    assert.ok((await at.placesOf(`${SECRET} of pump-1`)).length > 0)

    // A part of a month first, which is killed at once.
    const [from, to] = [OLD_MS + 10 * HOUR_MS, OLD_MS + 400 * HOUR_MS]
    const part = await erase(process, `/v1/devices/pump-1/data?from=${from}&to=${to}`)
    const isPart = ([ms]: [number, unknown]): boolean => ms < from || ms >= to
    const left = (await pointsOf(process, 'pump-1')).filter(isPart)
    assert.deepEqual(await pointsOf(process, 'pump-1'), left)
    await process.kill()
    process = await at.start()
    assert.deepEqual(await pointsOf(process, 'pump-1'), left)
    const first = await receiptOf(process, part)
    assert.deepEqual(await pointsOf(process, 'pump-1'), left)
    assert.ok(first.erasure.files.some(({ place, crc32_after }) => place === 'cold' && crc32_after))

    const all = await erase(process, '/v1/devices/pump-1/data')
    assert.deepEqual(await pointsOf(process, 'pump-1'), [])
    const second = await receiptOf(process, all)
    assert.equal(second.key, first.key, 'one for the installation')
    assert.ok(second.erasure.rows['reading']! > 0)
    assert.ok(second.erasure.files.some(({ place }) => place === 'commit'))
    const { kept_until } = second.erasure.log
    assert.equal(Object.keys(kept_until).length, 5)
    assert.ok(Object.values(kept_until).every((date) => Date.parse(date!) > Date.now()))
    assert.ok(second.erasure.not_erased.some((one) => one.includes('influxdb2')))
    assert.deepEqual(await at.placesOf(`${SECRET} of pump-1`), [])

    // All of it comes again, and something new.
    const now = messagesAt([Date.now()])
    await at.append([...OLD, ...late, ...NEW, ...now])
    const isNew = async (): Promise<boolean> => (await pointsOf(process, 'pump-1')).length > 0
    await until('what is new is there', isNew, 60_000)
    const shown = await pointsOf(process, 'pump-1')
    assert.deepEqual(shown, [[now[0]!.ms, 0]])
    assert.deepEqual((await pointsOf(process, 'pump-2')).slice(0, -1), others)
    await until('it is in the lake', async () => (await at.lakeRows())['pump-1'] === 2, 60_000)
    assert.equal((await process.stop()).code, 0)

    const fingerprint = createHash('sha256').update(Buffer.from(first.key, 'base64')).digest('hex')
    assert.equal((await verify(second, fingerprint)).code, 0)
    second.erasure.files.pop()
    const forged = await verify(second, fingerprint)
    assert.equal(forged.code, 1)
    assert.match(forged.output, /RECEIPT_INVALID/)
  },
)

test(
  'MinIO is away: it fails by name, hides all the same, and is done when it is back',
  { skip },
  async () => {
    const at = await Installation.create()
    const process = await at.start()
    await Promise.all(DEVICES.map((id) => process.register({ id })))
    await at.append(NEW)
    await until('it is in the lake', async () => (await at.lakeRows())['pump-1'] === 80, 60_000)
    await killService('minio')
    let id: string
    try {
      id = await erase(process, '/v1/devices/pump-1/data')
      assert.deepEqual(await pointsOf(process, 'pump-1'), [])
      const failed = await until(
        'it has failed',
        async () => {
          const status = await statusOf(process, id)
          return status.state === 'failed' ? status : undefined
        },
        60_000,
      )
      assert.match(failed.problem!, /OBJECTS_UNAVAILABLE/)
    } finally {
      await restartService('minio')
    }
    await receiptOf(process, id)
    assert.equal((await at.lakeRows())['pump-1'], undefined)
    assert.equal((await process.stop()).code, 0)
  },
)
