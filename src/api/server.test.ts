import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { after, before, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { createMemorySignIns } from '../control/memory-sign-ins.ts'
import { WeirError } from '../errors/errors.ts'
import { nodeWorld } from '../world/node-world.ts'
import type { ApiPorts } from './api.ts'
import { call, startBench } from './testing/api-bench.ts'

let bench: Awaited<ReturnType<typeof startBench>>
let token: string
before(async () => {
  const limits = { bodyBytesMax: 10_000, inflatedBytesMax: 50_000, headersTimeoutMs: 300 }
  bench = await startBench({ hosts: ['weir.example'], limits })
  token = await bench.createDevice('d')
})
after(() => bench.close())

/** Writes raw text to the server and returns all it answers until it closes. */
function raw(text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(bench.port, '127.0.0.1', () => socket.write(text))
    let answer = ''
    socket.on('data', (bytes) => (answer += bytes.toString()))
    socket.on('close', () => resolve(answer))
    socket.on('error', reject)
  })
}

test('A1 an unknown path is a 404 and a wrong method a 405 that names the right ones', async () => {
  const nowhere = await bench.call('GET /v1/nothing')
  assert.deepEqual([nowhere.status, nowhere.json.code], [404, 'API_NOT_FOUND'])
  const wrong = await bench
    .call('DELETE /v1/devices/d', { key: bench.admin })
    .catch(() => undefined)
  assert.ok(wrong)
  assert.deepEqual([wrong.status, wrong.json.code], [405, 'API_METHOD_NOT_ALLOWED'])
  assert.equal(wrong.headers['allow'], 'GET')
})

test('A1 paths that cannot be read are problems too', async () => {
  for (const path of ['/v1/devices/%zz', `/v1/devices/${'x'.repeat(3000)}`]) {
    const reply = await call(bench.port, `GET ${path}`, { key: bench.admin })
    assert.equal(reply.headers['content-type'], 'application/problem+json')
    assert.equal(reply.status, 404)
  }
})

test('A1 bytes that are no HTTP are answered with a problem', async () => {
  const answer = await raw('NONSENSE\r\n\r\n')
  assert.match(answer, /^HTTP\/1\.1 400 .*application\/problem\+json.*API_REQUEST_MALFORMED/s)
})

test('A1 a request whose head drips in is cut off', { timeout: 10_000 }, async () => {
  const answer = await raw('GET /health HTTP/1.1\r\nHost: localhost\r\nX-Drip: ')
  assert.match(answer, /^HTTP\/1\.1 408 .*API_REQUEST_TIMEOUT/s)
})

test('A1 a body beyond the limit is refused, plain or inflated', async () => {
  const headers = { 'content-encoding': 'gzip' }
  const large = await bench.call('POST /v1/telemetry', { key: token, body: 'x'.repeat(10_001) })
  assert.deepEqual([large.status, large.json.code], [413, 'GATEWAY_BODY_TOO_LARGE'])
  const bomb = gzipSync(Buffer.alloc(5_000_000))
  assert.ok(bomb.length < 10_000)
  const burst = await bench.call('POST /v1/telemetry', { key: token, headers, body: bomb })
  assert.deepEqual([burst.status, burst.json.code], [413, 'GATEWAY_BODY_TOO_LARGE'])
  const broken = await bench.call('POST /v1/telemetry', { key: token, headers, body: 'no gzip' })
  assert.deepEqual([broken.status, broken.json.code], [400, 'API_BODY_INVALID'])
  const other = await bench.call('POST /v1/telemetry', {
    key: token,
    headers: { 'content-encoding': 'br' },
    body: '{}',
  })
  assert.deepEqual([other.status, other.json.code], [415, 'API_MEDIA_TYPE_UNSUPPORTED'])
})

test('A1 JSON bodies: syntax, UTF-8, depth, emptiness and type are named', async () => {
  const post = (body: string | Uint8Array, headers = {}) =>
    bench.call('POST /v1/devices', { key: bench.admin, body, headers })
  const deep = '['.repeat(40) + ']'.repeat(40)
  const cases: [string | Uint8Array, RegExp][] = [
    ['{"id":', /not valid JSON/],
    [new Uint8Array([0x22, 0xff, 0x22]), /not UTF-8/],
    [deep, /nests deeper than 32/],
    ['', /empty/],
    ['[]', /body must be object/],
    ['{"id":"x"}', /type is required/],
    ['{"id":"x","typ":"generic"}', /typ is not a key here; did you mean "type"/],
    ['{"id":5,"type":"generic"}', /^id must be string/],
    ['{"id":"x","type":"generic","tags":{"a":1}}', /^tags\.a must be string/],
    ['{"id":"x","type":"generic","__proto__":{}}', /__proto__ is not a key/],
  ]
  for (const [body, expected] of cases) {
    const reply = await post(body)
    assert.deepEqual([reply.status, reply.json.code], [400, 'API_BODY_INVALID'], String(body))
    assert.match(reply.json.detail, expected)
  }
  const brackets = `{"id":"brackets","type":"generic","location":"${'['.repeat(40)}\\"{"}`
  assert.equal((await post(brackets)).status, 201, 'brackets in texts are no depth')
  const type = await post('{}', { 'content-type': 'text/html' })
  assert.deepEqual([type.status, type.json.code], [415, 'API_MEDIA_TYPE_UNSUPPORTED'])
})

test('A1 what breaks inside says nothing of the inside', async () => {
  const { failure } = bench.pipeline
  bench.pipeline.failure = new Error('secret inside') as WeirError
  const reply = await bench.call('POST /v1/telemetry', { key: token, body: '{"t":1}' })
  bench.pipeline.failure = failure
  assert.deepEqual([reply.status, reply.json.code], [500, 'INTERNAL_FAULT'])
  assert.ok(!reply.text.includes('secret inside'))
})

test('errors that a retry can help carry Retry-After', async () => {
  for (const code of ['GATEWAY_OVERLOADED', 'LOG_DISK_FULL'] as const) {
    bench.pipeline.failure = new WeirError(code, undefined, { details: { retryAfterSeconds: 2.5 } })
    const reply = await bench.call('POST /v1/telemetry', { key: token, body: '{"t":1}' })
    assert.deepEqual([reply.status, reply.json.code], [503, code])
    assert.equal(reply.headers['retry-after'], '3')
  }
  bench.pipeline.failure = new WeirError('LOG_FLUSH_FAILED')
  const final = await bench.call('POST /v1/telemetry', { key: token, body: '{"t":1}' })
  assert.deepEqual([final.status, final.headers['retry-after']], [503, undefined])
  bench.pipeline.failure = undefined
})

test('Host and Origin: own names pass, a rebound name does not', async () => {
  const status = async (headers: Record<string, string>) =>
    (await bench.call('GET /health', { headers })).status
  for (const host of [
    'localhost',
    'LOCALHOST:1',
    '127.0.0.1:80',
    '127.1.2.3',
    '[::1]:9',
    'weir.example:8080',
  ]) {
    assert.equal(await status({ host }), 200, host)
  }
  for (const host of [
    'evil.example',
    '10.0.0.7',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    'a b',
  ]) {
    const reply = await call(bench.port, 'GET /health', { headers: { host } })
    assert.equal(reply.status, 403, host)
    assert.equal(reply.json.code, 'API_HOST_FORBIDDEN')
  }
  assert.match(await raw('GET /health HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n'), / 403 /)
  assert.match(await raw('GET /health HTTP/1.0\r\n\r\n'), / 200 /, 'no browser leaves Host out')
  assert.equal(await status({ origin: 'http://localhost:5173' }), 200)
  for (const origin of ['https://evil.example', 'null', 'http://10.0.0.7']) {
    assert.equal(await status({ origin }), 403, origin)
  }
})

test('connections beyond the limit are closed at once', async () => {
  const small = await startBench({ limits: { connectionsMax: 2 } })
  const sockets = [1, 2].map(() => connect(small.port, '127.0.0.1'))
  await Promise.all(sockets.map((socket) => new Promise((done) => socket.on('connect', done))))
  await assert.rejects(call(small.port, 'GET /health'))
  for (const socket of sockets) socket.destroy()
  await small.close()
})

test('A4 close() answers what is under way and ends live streams', async () => {
  const own = await startBench()
  const key = await own.createDevice('d')
  const streamed = call(own.port, 'GET /v1/live', { key: own.admin })
  const deadline = Date.now() + 5000
  while (own.pipeline.listenerCount === 0 && Date.now() < deadline) await new Promise(setImmediate)
  let release = () => {}
  const ingest = own.pipeline.ingest.bind(own.pipeline)
  const held = new Promise<void>((reached) => {
    own.pipeline.ingest = async (request) => {
      reached()
      await new Promise<void>((resolve) => (release = resolve))
      return ingest(request)
    }
  })
  const answer = call(own.port, 'POST /v1/telemetry', { key, body: '{"t":1}' })
  await held
  const closed = own.close()
  assert.equal((await streamed).status, 200)
  release()
  assert.deepEqual((await answer).json, { accepted: 1 })
  await closed
  await assert.rejects(call(own.port, 'GET /health'))
})

test('a port in use is said so', async () => {
  const { createApi } = await import('./server.ts')
  const { control, pipeline, clock } = bench
  const other = await createApi({
    control,
    clock,
    telemetry: pipeline,
    query: pipeline,
    live: pipeline,
    plan: (await import('./testing/api-bench.ts')).TEST_PLAN,
    signIns: createMemorySignIns({ ...nodeWorld, clock }),
    metrics: async () => [],
    unready: () => [],
  })
  await assert.rejects(other.listen('127.0.0.1', bench.port), { code: 'PORT_IN_USE' })
  await other.close()
})

test('a process has routes for what it does, and no others', async () => {
  const { createApi } = await import('./server.ts')
  const { control, pipeline, clock } = bench
  const ports = {
    ...{ control, clock, plan: (await import('./testing/api-bench.ts')).TEST_PLAN },
    signIns: createMemorySignIns({ ...nodeWorld, clock }),
    ...{ metrics: async () => [], unready: () => [] },
  }
  const statuses = async (more: Partial<ApiPorts>): Promise<number[]> => {
    const api = await createApi({ ...ports, ...more })
    const port = await api.listen('127.0.0.1', 0)
    const paths = ['GET /v1/devices', 'GET /v1/live', 'POST /v1/telemetry', 'GET /ready']
    const answers = await Promise.all(paths.map((path) => call(port, path)))
    await api.close()
    return answers.map(({ status }) => status)
  }
  assert.deepEqual(await statuses({}), [404, 404, 404, 200])
  assert.deepEqual(await statuses({ telemetry: pipeline }), [404, 404, 401, 200])
  assert.deepEqual(await statuses({ query: pipeline, live: pipeline }), [401, 401, 404, 200])
})

test('requests are counted by route and status, never by device', async () => {
  const { text } = await bench.call('GET /metrics')
  assert.match(text, /weir_api_requests_total\{route="POST \/v1\/telemetry",status="413"\} 2/)
  assert.match(
    text,
    /weir_api_request_duration_seconds_bucket\{route="GET \/health",le="\+Inf"\} \d/,
  )
  assert.match(text, /^weir_log_entries_total 7$/m)
})
