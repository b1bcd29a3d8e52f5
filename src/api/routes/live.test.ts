import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import { test, type TestContext } from 'node:test'
import type { ApiOptions } from '../server.ts'
import { open, startBench } from '../testing/api-bench.ts'

const DEADLINE_MS = 5000

async function until(isDone: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + DEADLINE_MS
  while (!isDone()) {
    assert.ok(Date.now() < deadline, `not within ${DEADLINE_MS} ms: ${what}`)
    await new Promise(setImmediate)
  }
}

/** Closes with the test, also when it fails. */
async function start(t: TestContext, options: ApiOptions = {}) {
  const bench = await startBench(options)
  t.after(() => bench.close())
  return bench
}

const RATE = {
  event: 'rate',
  data: { readings_per_second: 1, messages_per_second: 1, devices: 1 },
} as const

/** What a client has received so far. */
function follow(incoming: IncomingMessage) {
  const stream = { text: '', isClosed: false }
  incoming.on('data', (bytes) => (stream.text += bytes.toString()))
  incoming.on('error', () => {})
  incoming.on('close', () => (stream.isClosed = true))
  return stream
}

test('L1 events arrive with rising ids; readings only of the devices asked for', async (t) => {
  const bench = await start(t)
  const [a, b] = [await bench.createDevice('a'), await bench.createDevice('b')]
  const incoming = await open(bench.port, 'GET /v1/live?device_id=a', { key: bench.admin })
  const stream = follow(incoming)
  assert.equal(incoming.headers['content-type'], 'text/event-stream; charset=utf-8')
  await until(() => bench.pipeline.listenerCount === 1, 'subscribed')
  bench.pipeline.publish(RATE)
  await bench.call('POST /v1/telemetry', { key: b, body: { ts: 1, temperature: 1 } })
  await bench.call('POST /v1/telemetry', { key: a, body: { ts: 2, temperature: 2000 } })
  await until(() => stream.text.includes('event: anomaly'), 'the last event')
  const frames = stream.text.split('\n\n').slice(0, -1)
  const reading = { device_id: 'a', metric: 'temperature', ts: 2, value: 2000 }
  assert.deepEqual(frames.slice(0, 3), [
    'retry: 2000',
    `id: 1\nevent: rate\ndata: ${JSON.stringify(RATE.data)}`,
    `id: 2\nevent: reading\ndata: ${JSON.stringify(reading)}`,
  ])
  assert.match(frames[3] ?? '', /^id: 3\nevent: alert\n/)
  assert.match(frames[4] ?? '', /^id: 4\nevent: anomaly\n/)
})

test('L2 a heartbeat goes out, and a client that went is forgotten', async (t) => {
  const bench = await start(t)
  const incoming = await open(bench.port, 'GET /v1/live', { key: bench.admin })
  const stream = follow(incoming)
  await until(() => bench.pipeline.listenerCount === 1, 'subscribed')
  bench.clock.advance(15_000)
  await until(() => stream.text.includes(': heartbeat\n\n'), 'the heartbeat')
  incoming.destroy()
  await until(() => bench.pipeline.listenerCount === 0, 'unsubscribed')
})

test('L3 a client that does not read is closed, and the others never notice', async (t) => {
  const lines: object[] = []
  const events = { liveClientClosed: (fields: object) => void lines.push(fields) }
  const bench = await start(t, {
    events: events as never,
    limits: { liveBufferBytesMax: 50_000 },
  })
  const slow = await open(bench.port, 'GET /v1/live', { key: bench.admin })
  slow.pause()
  slow.on('error', () => {})
  const good = follow(await open(bench.port, 'GET /v1/live', { key: bench.admin }))
  await until(() => bench.pipeline.listenerCount === 2, 'both subscribed')
  // Large events: the kernel alone buffers megabytes for a client that does not read.
  const anomaly = { id: 'x'.repeat(10_000), device_id: 'a', metric: 'm', detector_id: 'd' }
  const event = { event: 'anomaly', data: { ...anomaly, ts: 1, value: 1, score: 1 } } as const
  let publishedBytes = 0
  await until(() => {
    // The good client must have read what was sent, so that only the slow one falls behind.
    if (good.text.length < publishedBytes) return false
    bench.pipeline.publish(event)
    publishedBytes += anomaly.id.length
    return bench.pipeline.listenerCount === 1
  }, 'the slow client is closed')
  await until(() => good.text.length > publishedBytes, 'the other has all')
  assert.equal(lines.length, 1)
  assert.equal(good.isClosed, false)
  const { text } = await bench.call('GET /metrics')
  assert.match(text, /^weir_api_live_streams_closed_total 1$/m)
  assert.match(text, /^weir_api_live_streams 1$/m)
  slow.destroy()
})

test('L3 streams beyond the limit are refused with Retry-After', async (t) => {
  const bench = await start(t, { limits: { liveStreamsMax: 1 } })
  const first = await open(bench.port, 'GET /v1/live', { key: bench.admin })
  const second = await bench.call('GET /v1/live', { key: bench.admin })
  assert.deepEqual([second.status, second.json.code], [503, 'GATEWAY_OVERLOADED'])
  assert.equal(second.headers['retry-after'], '1')
  first.destroy()
})

test('L4 a stream ends at the first heartbeat after its session did', async (t) => {
  const bench = await start(t)
  const code = await bench.api.createSignInCode()
  const { headers } = await bench.call('POST /v1/session', { body: { code } })
  const cookie = String(headers['set-cookie']).split(';')[0] ?? ''
  const stream = follow(await open(bench.port, 'GET /v1/live', { headers: { cookie } }))
  bench.clock.advance(15_000)
  await until(() => stream.text.includes('heartbeat'), 'a heartbeat while the session lives')
  bench.clock.advance(12 * 3_600_000)
  await until(() => stream.isClosed, 'closed')
})

test('HEAD does not open a stream', async (t) => {
  const bench = await start(t)
  const reply = await open(bench.port, 'HEAD /v1/live', { key: bench.admin })
  assert.equal(reply.statusCode, 405)
  reply.resume()
})
