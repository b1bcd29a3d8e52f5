import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { startBench } from '../testing/api-bench.ts'

let bench: Awaited<ReturnType<typeof startBench>>
let key: string
before(async () => {
  bench = await startBench()
  key = await bench.createDevice('d')
})
after(() => bench.close())

const last = () => bench.pipeline.requests.at(-1)!
const binary = { 'content-type': 'text/plain' }

test('A3 the gateway gets the body byte for byte, plain or gzip', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 20_000 }), fc.boolean(), async (bytes, isGzip) => {
      const headers = { ...binary, ...(isGzip ? { 'content-encoding': 'gzip' } : {}) }
      const body = isGzip ? gzipSync(bytes) : bytes
      await bench.call('POST /api/v2/write', { key, headers, body })
      assert.deepEqual(new Uint8Array(last().body), bytes)
      assert.equal(last().body.buffer.byteLength, bytes.length, 'its buffer is its own')
    }),
    { numRuns: 20 },
  )
})

test('all good is 200, some bad is 207 with their places, all bad is 422', async () => {
  const post = (body: object) => bench.call('POST /v1/telemetry', { key, body })
  assert.deepEqual((await post([{ t: 1 }, { t: 2 }])).json, { accepted: 2 })
  assert.deepEqual((await post([])).json, { accepted: 0 })
  const some = await post([{ t: 1 }, { t: null }, { metrics: {} }])
  assert.equal(some.status, 207)
  assert.deepEqual(some.json, {
    accepted: 1,
    rejected: [
      { index: 1, code: 'TELEMETRY_TYPE_MISMATCH', detail: 't: null' },
      { index: 2, code: 'TELEMETRY_METRICS_EMPTY', detail: 'The message has no metrics' },
    ],
  })
  const all = await post([{ t: null }, {}])
  assert.deepEqual([all.status, all.json.code], [422, 'TELEMETRY_TYPE_MISMATCH'])
  assert.match(all.json.detail, /none of 2 messages is valid; the first: t: null/)
  assert.deepEqual([all.json.accepted, all.json.rejected.length], [0, 2])
  assert.equal((await post({ t: null })).json.detail, 't: null')
  const many = await post(Array.from({ length: 1200 }, () => ({ t: null })))
  assert.deepEqual([many.json.rejected.length, many.json.rejected_count], [1000, 1200])
  assert.ok((await post([{ t: 1 }])).status === 200)
})

test('a bad message is a 422 even when its code alone would be another status', async () => {
  const reply = await bench.call('POST /v1/telemetry', { key, body: { device: 'other', t: 1 } })
  assert.deepEqual([reply.status, reply.json.status], [422, 422])
  await bench.createDevice('other')
  const foreign = await bench.call('POST /v1/telemetry', { key, body: { device: 'other', t: 1 } })
  assert.deepEqual([foreign.status, foreign.json.code], [422, 'GATEWAY_DEVICE_FORBIDDEN'])
})

test('the path’s device, the principal and historical reach the gateway', async () => {
  await bench.call('POST /v1/devices/d/telemetry?historical=true', {
    key: bench.admin,
    body: { t: 1 },
  })
  const { deviceId, isHistorical, principal, format } = last()
  assert.deepEqual([deviceId, isHistorical, principal.kind, format], ['d', true, 'admin', 'json'])
  await bench.call('POST /v1/telemetry', { key, body: { t: 1 } })
  assert.deepEqual([last().deviceId, last().isHistorical], [undefined, false])
  assert.deepEqual(last().principal, { kind: 'device', tenant: 'default', deviceId: 'd' })
})

test('a path that names no device is a 404, and a body that is no JSON a 422', async () => {
  const nobody = await bench.call('POST /v1/devices/nobody/telemetry', {
    key: bench.admin,
    body: {},
  })
  assert.deepEqual([nobody.status, nobody.json.code], [404, 'API_NOT_FOUND'])
  const broken = await bench.call('POST /v1/telemetry', { key, body: '{"t":' })
  assert.deepEqual([broken.status, broken.json.code], [422, 'TELEMETRY_JSON_INVALID'])
})

test('JSON may come as application/json or text/plain, with parameters, or unnamed', async () => {
  for (const type of ['application/json; charset=utf-8', 'text/plain', 'APPLICATION/JSON']) {
    const headers = { 'content-type': type }
    const reply = await bench.call('POST /v1/telemetry', { key, headers, body: '{"t":1}' })
    assert.equal(reply.status, 200, type)
  }
  const headers = { 'content-type': 'application/xml' }
  const reply = await bench.call('POST /v1/telemetry', { key, headers, body: '<t/>' })
  assert.deepEqual([reply.status, reply.json.code], [415, 'API_MEDIA_TYPE_UNSUPPORTED'])
})

test('line protocol: 204 with the count of bad lines', async () => {
  const body = 'm,host=d t=1\nm,host=nobody t=1\nm t=1\n'
  const reply = await bench.call('POST /write', { key: bench.admin, headers: binary, body })
  assert.deepEqual([reply.status, reply.text, reply.headers['x-weir-rejected']], [204, '', '2'])
})

test('line protocol: precision in every spelling; InfluxDB’s other parameters are ignored', async () => {
  const spellings = {
    ns: 'ns',
    us: 'us',
    ms: 'ms',
    s: 's',
    m: 'm',
    h: 'h',
    n: 'ns',
    u: 'us',
    nanosecond: 'ns',
    microsecond: 'us',
    millisecond: 'ms',
    second: 's',
  }
  for (const [precision, expected] of Object.entries(spellings)) {
    const path = `/api/v2/write?org=o&bucket=b&db=d&rp=r&orgID=1&consistency=all&precision=${precision}`
    const reply = await bench.call(`POST ${path}`, { key, headers: binary, body: 'm,host=d t=1 1' })
    assert.equal(reply.status, 204)
    assert.equal(last().precision, expected)
  }
  await bench.call('POST /write', { key, headers: binary, body: 'm,host=d t=1' })
  assert.equal(last().precision, 'ns')
})

test('line protocol: a wrong parameter is named', async () => {
  const precision = await bench.call('POST /write?precision=year', { key, body: 'm t=1' })
  assert.equal(precision.status, 400)
  assert.match(precision.json.detail, /^precision: must be one of ns, us/)
  const unknown = await bench.call('POST /write?buket=x', { key, body: 'm t=1' })
  assert.match(unknown.json.detail, /^buket: .*did you mean "bucket"/)
})

test('Telegraf’s CREATE DATABASE is answered, and nothing else', async () => {
  const headers = { 'content-type': 'application/x-www-form-urlencoded' }
  const create = { key, headers, body: 'q=CREATE+DATABASE+%22telegraf%22' }
  const created = await bench.call('POST /query', create)
  assert.deepEqual(created.json, { results: [{ statement_id: 0 }] })
  const select = await bench.call('POST /query?db=x&q=SELECT%201', { key })
  assert.deepEqual([select.status, select.json.code], [400, 'API_PARAMETER_INVALID'])
})
