import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { createClient } from '@redis/client'
import { testCache } from '../../src/cache/cache.conformance.ts'
import { CachedQuery } from '../../src/cache/cache.ts'
import { openRedisCache } from '../../src/cache/redis-cache.ts'
import type { Query, ReadingsAnswer, ReadingsQuestion } from '../../src/query/query.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { until } from '../system/weir-process.ts'
import { accessOf, killService, restartService } from './cluster.ts'
import { openProxy } from './proxy.ts'

const url = accessOf('redis')?.['url'] ?? ''
const skip = url === '' ? 'Redis does not run: npm run -s cluster:up -- redis' : undefined

/** The time-out of the cache, and what a busy machine may add to it. */
const WAIT_MS = 50
const SLACK_MS = 150
/** Where a miss for being late would fail a test. */
const PATIENT_MS = 10_000

let prefixes = 0
const newPrefix = (): string => `weir-test-${process.pid}-${++prefixes}`

type RedisCache = ReturnType<typeof openRedisCache>

/** What a test that fails leaves open would keep the run alive. */
const opened: { close(): unknown }[] = []
after(() => Promise.all(opened.map((one) => one.close())))

async function open({
  at = url,
  prefix = newPrefix(),
  timeoutMs = WAIT_MS,
} = {}): Promise<RedisCache> {
  const cache = openRedisCache({ access: { url: at, prefix }, world: nodeWorld, timeoutMs })
  opened.push(cache)
  await until('Redis is connected', () => cache.problem === undefined)
  return cache
}

const through = (port: number): string => Object.assign(new URL(url), { port: String(port) }).href

async function redis<T>(run: (client: ReturnType<typeof createClient>) => Promise<T>): Promise<T> {
  const client = createClient({ url })
  await client.connect()
  try {
    return await run(client as ReturnType<typeof createClient>)
  } finally {
    client.destroy()
  }
}

const value = Buffer.from('value')
const text = (bytes: Uint8Array | undefined): string | undefined =>
  bytes === undefined ? undefined : Buffer.from(bytes).toString()

testCache({
  name: 'Redis',
  skip,
  bench: { open: () => open({ timeoutMs: PATIENT_MS }), pass: (ms) => delay(ms) },
})

test('processes share what is kept; those of another prefix do not', { skip }, async () => {
  const prefix = newPrefix()
  const caches = [
    await open({ prefix, timeoutMs: PATIENT_MS }),
    await open({ prefix, timeoutMs: PATIENT_MS }),
    await open(),
  ] as const
  await caches[0].set('key', value, 60_000)
  assert.equal(text(await caches[1].get('key')), 'value')
  assert.equal(await caches[2].get('key'), undefined)
})

test('C3 a value that lies under another key is a miss and a fault', { skip }, async () => {
  const prefix = newPrefix()
  const cache = await open({ prefix })
  await cache.set('tenant-a', value, 60_000)
  await redis((client) => client.copy(`${prefix}:cache:tenant-a`, `${prefix}:cache:tenant-b`))
  assert.equal(await cache.get('tenant-b'), undefined)
  await redis((client) => client.set(`${prefix}:cache:tenant-c`, 'short'))
  assert.equal(await cache.get('tenant-c'), undefined)
  assert.equal(cache.counts().faults, 2)
})

test('C5 a server that is not there is a miss at once; its password is not told', async () => {
  const access = { url: 'redis://weir:s3cr3t@127.0.0.1:1', prefix: 'weir' }
  const cache = openRedisCache({ access, world: nodeWorld })
  opened.push(cache)
  await until('it was tried', () => cache.problem?.includes('127.0.0.1:1') === true)
  assert.doesNotMatch(cache.problem ?? '', /s3cr3t/)
  const startMs = performance.now()
  await cache.set('key', value, 60_000)
  assert.equal(await cache.get('key'), undefined)
  assert.ok(performance.now() - startMs < SLACK_MS)
  assert.deepEqual(cache.counts(), { hits: 0, misses: 1, refused: 0, faults: 2 })
})

test('a wrong password is named, and not told', { skip }, async () => {
  const wrong = Object.assign(new URL(url), { password: 's3cr3t' }).href
  const cache = openRedisCache({ access: { url: wrong, prefix: newPrefix() }, world: nodeWorld })
  opened.push(cache)
  await until('it was refused', () => cache.problem?.includes('WRONGPASS') === true)
  assert.doesNotMatch(cache.problem ?? '', /s3cr3t/)
  assert.equal(await cache.get('key'), undefined)
})

test('an address that is none is refused, and its password is not told', () => {
  for (const url of ['redis://weir:s3cr3t@host:port', 'http://weir:s3cr3t@127.0.0.1', 's3cr3t']) {
    const wrong = () => openRedisCache({ access: { url, prefix: 'weir' }, world: nodeWorld })
    assert.throws(wrong, (error: Error & { code?: string }) => {
      assert.equal(error.code, 'CONFIG_VALUE_INVALID')
      assert.doesNotMatch(JSON.stringify([error.message, error.cause, error.stack]), /s3cr3t/)
      return true
    })
  }
})

test(
  'C5 a connection on which nothing moves costs the time-out, and then nothing',
  { skip },
  async () => {
    const proxy = await openProxy(Number(new URL(url).port))
    opened.push(proxy)
    const cache = await open({ at: through(proxy.port) })
    await cache.set('key', value, 60_000)
    assert.equal(text(await cache.get('key')), 'value')
    proxy.freeze()
    const startMs = performance.now()
    assert.equal(await cache.get('key'), undefined)
    const firstMs = performance.now() - startMs
    assert.ok(firstMs >= WAIT_MS - 5 && firstMs < WAIT_MS + SLACK_MS, `${firstMs} ms`)
    const others = await Promise.all(Array.from({ length: 1000 }, () => cache.get('key')))
    assert.ok(performance.now() - startMs - firstMs < SLACK_MS)
    assert.deepEqual([...new Set(others)], [undefined])
    assert.match(cache.problem ?? '', /does not answer/)
    assert.deepEqual(cache.counts(), { hits: 1, misses: 1001, refused: 0, faults: 1001 })
    proxy.thaw()
    await until('it goes on', async () => (await cache.get('key')) !== undefined)
    // One that never thaws is given up, and made anew.
    proxy.freeze()
    await until('it was given up', () => /socket/i.test(cache.problem ?? ''), 10_000)
    proxy.thaw()
    await until('it is back', async () => text(await cache.get('key')) === 'value', 10_000)
  },
)

test('C2 what lay in a connection that hung is not younger for that', { skip }, async () => {
  const proxy = await openProxy(Number(new URL(url).port))
  opened.push(proxy)
  const prefix = newPrefix()
  const [writer, reader] = [
    await open({ at: through(proxy.port), prefix }),
    await open({ prefix, timeoutMs: PATIENT_MS }),
  ]
  proxy.freeze()
  await writer.set('key', value, 2000)
  await delay(2100)
  proxy.thaw()
  const key = `${prefix}:cache:key`
  await until('it has arrived', () => redis(async (client) => (await client.exists(key)) === 1))
  assert.equal(await reader.get('key'), undefined)
  assert.equal(reader.counts().faults, 0)
})

test('connections that are cut again and again mix nothing up', { skip }, async () => {
  const proxy = await openProxy(Number(new URL(url).port))
  opened.push(proxy)
  const cache = await open({ at: through(proxy.port) })
  let isOver = false
  const asking = Array.from({ length: 20 }, async (_, lane) => {
    for (let number = 0; !isOver; number++) {
      const key = `${lane}-${number % 10}`
      const got = text(await cache.get(key))
      assert.ok(got === undefined || got === `of ${key}`, `${key}: ${got}`)
      await cache.set(key, Buffer.from(`of ${key}`), 60_000)
      if (got === undefined) await delay(1)
    }
  })
  for (let time = 0; time < 10; time++) {
    const { hits } = cache.counts()
    proxy.cut()
    await until('it goes on', () => cache.counts().hits > hits + 10, 10_000)
  }
  isOver = true
  await Promise.all(asking)
  assert.ok(cache.counts().faults > 0)
})

/** Its answers tell how often it was asked, and for whom. */
function countingQuery() {
  const store = { asked: 0 }
  const readings = async ({ tenant, metric }: ReadingsQuestion): Promise<ReadingsAnswer> => {
    store.asked++
    const counts = { segments_read: 0, segments_skipped: 0, segments_damaged: 0, cached: false }
    return {
      points: [[1, tenant]],
      meta: {
        series: [{ metric, dimensions: {} }],
        ...{ tiers: ['segments'], resolution_ms: 0, completeness: 1, ...counts },
      },
    }
  }
  return Object.assign(store, { query: { readings } as unknown as Query })
}

test(
  'Redis killed and back: questions are slower, and still answered right',
  { skip },
  async () => {
    const cache = await open()
    const { clock } = nodeWorld
    const store = countingQuery()
    const version = async (): Promise<string> => '0'
    const parts = { query: store.query, cache, clock, allowedLatenessUs: 0, version }
    const cached = new CachedQuery(parts)
    const ask = async (tenant: string): Promise<boolean> => {
      const span = { startUs: 0, endUs: 1, dimensions: {}, aggregate: undefined, stepUs: undefined }
      const question = { tenant, deviceId: 'pump-1', metric: 'flow', pointsMax: 10, ...span }
      const startMs = performance.now()
      const answer = await cached.readings(question)
      assert.equal(answer.points[0]?.[1], tenant)
      assert.ok(performance.now() - startMs < WAIT_MS + SLACK_MS)
      return answer.meta.cached
    }
    await ask('a')
    await until('it is cached', () => ask('a'))
    await killService('redis')
    try {
      for (let time = 0; time < 20; time++) {
        assert.equal(await ask('a'), false)
        assert.equal(await ask('b'), false)
        await delay(10)
      }
      assert.ok(store.asked >= 41)
    } finally {
      await restartService('redis')
    }
    await until('it is cached again', () => ask('a'), 10_000)
    assert.ok(cache.counts().faults >= 40)
  },
)
