/** A cluster with hot storage on two PostgreSQL; its process and one of them are killed. */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import pg from 'pg'
import { deviceKey, hashKey } from '../../src/entries/entries.ts'
import { makeFolder, until, weir, WeirProcess } from '../system/weir-process.ts'
import { accessOf } from './cluster.ts'
import { skip as skipFlink } from './flink-fixture.ts'
import { cancelJob, flinkSection } from './flink-section.ts'
import { brokers, skip as skipKafka } from './kafka-fixture.ts'
import { openSecondPostgres, type SecondPostgres } from './postgres-stores.ts'

const url = accessOf('postgres')?.['url'] ?? ''
const skip =
  skipKafka ??
  skipFlink ??
  (url === '' ? 'PostgreSQL does not run: npm run -s cluster:up -- postgres' : undefined)
const folder = await makeFolder({ after })
const own = `weir_stores_role_${process.pid}`
const DEVICES = Array.from({ length: 12 }, (_, at) => `pump-${at}`)
const BATCHES = 20
const MESSAGES = 25
/** Past, so that nothing of it is ahead of the clock. */
const BASE_MS = Date.now() - 600_000

let second: SecondPostgres | undefined
before(async () => {
  if (skip === undefined) second = await openSecondPostgres()
})
after(async () => {
  if (skip === undefined) await cancelJob(own)
  if (skip === undefined) await ask(url, `DROP SCHEMA IF EXISTS ${own} CASCADE`)
  await second?.close()
})

async function ask(server: string, text: string): Promise<unknown[][]> {
  const client = new pg.Client({ connectionString: server, options: `-c search_path=${own}` })
  client.on('error', () => undefined)
  await client.connect()
  try {
    return (await client.query<unknown[]>({ text, rowMode: 'array' })).rows
  } finally {
    await client.end()
  }
}

const isInSecond = (device: string): boolean =>
  hashKey(deviceKey('default', device)) >>> 0 >= 0x8000_0000

async function start(): Promise<WeirProcess> {
  const stores = [`0-0x7fffffff=${url}`, `0x80000000-0xffffffff=${second!.url}`]
  const kafka = { brokers, topicPrefix: own, partitions: 3, replication: brokers.length }
  const config = join(folder, 'config.yaml')
  const postgres = { url, schema: own, stores }
  const flink = flinkSection(own)
  await writeFile(config, JSON.stringify({ kafka, postgres, flink }), { mode: 0o600 })
  const running = weir([
    ...['start', '--role', 'all', '--config', config, '--data', join(folder, 'data')],
    ...['--http-port', '0', '--mqtt-port', '0'],
    ...['--write-credentials', join(folder, 'key.json')],
  ])
  return WeirProcess.ready(running, folder)
}

type Tokens = ReadonlyMap<string, string>

/** Each batch is acknowledged; its readings have times and values of their own. */
async function send(process: WeirProcess, tokens: Tokens, [from, to]: [number, number]) {
  for (let batch = from; batch < to; batch++) {
    const body = Array.from({ length: MESSAGES }, (_, at) => {
      const value = batch * MESSAGES + at
      return { ts: BASE_MS + value, metrics: { temperature: value } }
    })
    await Promise.all(
      [...tokens.values()].map(async (token) => {
        const answer = await process.api('/v1/telemetry', { body, token })
        assert.equal(answer.status, 200, answer.text)
      }),
    )
  }
}

const COUNTS = `SELECT device_id, count(*)::integer, sum(value) FROM reading
  JOIN series ON id = series GROUP BY device_id ORDER BY device_id`

/** What a store holds once all batches before `batches` are in it. */
function countsOf(devices: readonly string[], batches: number): unknown[][] {
  const count = batches * MESSAGES
  return devices.toSorted().map((device) => [device, count, (count * (count - 1)) / 2])
}

const untilCounts = (server: string, expected: unknown[][]): Promise<true> =>
  until(
    'the store has all of its own',
    async () => JSON.stringify(await ask(server, COUNTS)) === JSON.stringify(expected),
    60_000,
  )

test('killed with -9, and a store away: each store has its own once', { skip }, async () => {
  const far = DEVICES.filter(isInSecond)
  const near = DEVICES.filter((device) => !isInSecond(device))
  assert.ok(far.length > 0 && near.length > 0)
  let cluster = await start()
  const tokens = new Map<string, string>()
  for (const id of DEVICES) tokens.set(id, await cluster.register({ id }))
  // The writer is somewhere in the middle of it.
  await send(cluster, tokens, [0, BATCHES])
  await cluster.kill()
  cluster = await start()
  await send(cluster, tokens, [BATCHES, BATCHES + 1])
  await untilCounts(second!.url, countsOf(far, BATCHES + 1))
  await second!.kill()
  await send(cluster, tokens, [BATCHES + 1, 2 * BATCHES])
  // The other store goes on.
  await untilCounts(url, countsOf(near, 2 * BATCHES))
  assert.equal((await cluster.points(near[0]!, 'temperature')).length, 2 * BATCHES * MESSAGES)
  const question = `device_id=${far[0]}&metric=temperature&start=0&end=2100-01-01T00:00:00Z`
  for (const path of [`/v1/query?${question}`, '/v1/anomalies']) {
    const answer = await cluster.api<{ code: string }>(path)
    assert.deepEqual([answer.status, answer.body.code], [503, 'STORAGE_UNAVAILABLE'])
  }
  await second!.restart()
  await untilCounts(second!.url, countsOf(far, 2 * BATCHES))
  await untilCounts(url, countsOf(near, 2 * BATCHES))
  assert.equal((await cluster.points(far[0]!, 'temperature')).length, 2 * BATCHES * MESSAGES)
  // Each goes on by itself; coverage is of partitions, and all stores have it.
  const offsets = `SELECT partition FROM writer_offset WHERE topic LIKE '%.readings.%'`
  for (const server of [url, second!.url]) {
    assert.equal((await ask(server, offsets)).length, 3)
    const covered = async () => (await ask(server, 'SELECT partition FROM coverage')).length === 3
    await until('watermarks are in the store', covered, 60_000)
  }
  assert.equal((await cluster.stop()).code, 0)
})
