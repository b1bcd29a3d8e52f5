/**
 * Every route × everyone who might ask: the table is written out by hand, not made from the code.
 */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { ACCESS } from './access.ts'
import { startBench } from './testing/api-bench.ts'

type Caller = 'nobody' | 'wrong' | 'device' | 'gateway' | 'admin' | 'session'
const CALLERS: Caller[] = ['nobody', 'wrong', 'device', 'gateway', 'admin', 'session']

/** Statuses in the order of CALLERS. The device is `d`, the gateway `g`; nobody owns `other`. */
const TABLE: [target: string, statuses: number[], body?: string][] = [
  ['POST /v1/devices', [401, 401, 403, 403, 400, 400], '{}'],
  ['GET /v1/devices', [401, 401, 403, 403, 200, 200]],
  ['GET /v1/devices/d', [401, 401, 403, 403, 200, 200]],
  ['GET /v1/devices/d/latest', [401, 401, 200, 403, 200, 200]],
  ['GET /v1/devices/g/latest', [401, 401, 403, 200, 200, 200]],
  ['GET /v1/devices/other/latest', [401, 401, 403, 403, 200, 200]],
  ['POST /v1/devices/d/telemetry', [401, 401, 200, 200, 200, 200], '{"t":1}'],
  ['POST /v1/devices/other/telemetry', [401, 401, 403, 422, 200, 200], '{"t":1}'],
  ['POST /v1/telemetry', [401, 401, 200, 200, 200, 200], '{"device":"d","t":1}'],
  ['POST /v1/telemetry?historical=true', [401, 401, 403, 200, 200, 200], '{"device":"d","t":1}'],
  ['POST /v1/telemetry?historical', [401, 401, 403, 400, 400, 400], '{"device":"d","t":1}'],
  ['POST /v1/telemetry?historical=false', [401, 401, 200, 200, 200, 200], '{"device":"d","t":1}'],
  ['POST /api/v2/write', [401, 401, 204, 204, 204, 204], 'm,host=d t=1'],
  ['POST /write', [401, 401, 204, 204, 204, 204], 'm,host=d t=1'],
  ['POST /write?historical=true', [401, 401, 403, 204, 204, 204], 'm,host=d t=1'],
  ['POST /query?q=CREATE%20DATABASE%20x', [401, 401, 200, 200, 200, 200]],
  ['GET /v1/query?device_id=d&metric=t&start=0&end=1', [401, 401, 403, 403, 200, 200]],
  [
    'GET /v1/aggregations?device_id=d&metric=t&window=1m&start=0&end=1',
    [401, 401, 403, 403, 200, 200],
  ],
  ['GET /v1/latest?metric=t', [401, 401, 403, 403, 200, 200]],
  ['GET /v1/dead-letters', [401, 401, 403, 403, 200, 200]],
  ['GET /v1/alerts', [401, 401, 403, 403, 200, 200]],
  ['POST /v1/alerts', [401, 401, 403, 403, 400, 400], '{}'],
  ['GET /v1/alerts/none', [401, 401, 403, 403, 404, 404]],
  ['POST /v1/alerts/none/acknowledge', [401, 401, 403, 403, 404, 404]],
  ['POST /v1/alerts/none/snooze', [401, 401, 403, 403, 404, 404], '{"for":"1h"}'],
  ['POST /v1/alerts/none/wake', [401, 401, 403, 403, 404, 404]],
  ['POST /v1/alerts/none/notes', [401, 401, 403, 403, 404, 404], '{"text":"x"}'],
  ['GET /v1/rules', [401, 401, 403, 403, 200, 200]],
  ['GET /v1/rules/none', [401, 401, 403, 403, 404, 404]],
  ['PUT /v1/rules/none', [401, 401, 403, 403, 422, 422], '{}'],
  ['DELETE /v1/rules/none', [401, 401, 403, 403, 404, 404]],
  ['POST /v1/rules/backtest', [401, 401, 403, 403, 400, 400], '{}'],
  ['GET /v1/recipients', [401, 401, 403, 403, 200, 200]],
  ['POST /v1/recipients', [401, 401, 403, 403, 400, 400], '{}'],
  ['GET /v1/recipients/none', [401, 401, 403, 403, 404, 404]],
  ['PUT /v1/recipients/none', [401, 401, 403, 403, 400, 400], '{}'],
  ['DELETE /v1/recipients/none', [401, 401, 403, 403, 404, 404]],
  ['POST /v1/recipients/none/test', [401, 401, 403, 403, 404, 404]],
  ['GET /v1/silences', [401, 401, 403, 403, 200, 200]],
  ['POST /v1/silences', [401, 401, 403, 403, 400, 400], '{}'],
  ['GET /v1/silences/none', [401, 401, 403, 403, 404, 404]],
  ['PUT /v1/silences/none', [401, 401, 403, 403, 400, 400], '{}'],
  ['DELETE /v1/silences/none', [401, 401, 403, 403, 404, 404]],
  ['GET /v1/deliveries', [401, 401, 403, 403, 200, 200]],
  ['POST /v1/deliveries/none/retry', [401, 401, 403, 403, 404, 404]],
  ['GET /v1/anomalies', [401, 401, 403, 403, 200, 200]],
  ['GET /v1/live?device_id=missing', [401, 401, 403, 403, 404, 404]],
  ['DELETE /v1/devices/none/data', [401, 401, 403, 403, 404, 404]],
  ['DELETE /v1/owners/none/data', [401, 401, 403, 403, 404, 404]],
  ['GET /v1/erasures/none', [401, 401, 403, 403, 404, 404]],
  ['POST /v1/sql', [401, 401, 403, 403, 400, 400], '{}'],
  ['GET /v1/storage', [401, 401, 403, 403, 200, 200]],
  ['POST /v1/storage/flush', [401, 401, 403, 403, 204, 204]],
  ['POST /v1/storage/exported', [401, 401, 403, 403, 400, 400], '{}'],
  ['POST /v1/storage/verifications', [401, 401, 403, 403, 202, 202]],
  ['GET /v1/storage/verifications/none', [401, 401, 403, 403, 404, 404]],
  ['GET /v1/storage/lifecycle', [401, 401, 403, 403, 200, 200]],
  ['PUT /v1/storage/lifecycle', [401, 401, 403, 403, 200, 200]],
  ['GET /v1/storage/restores', [401, 401, 403, 403, 400, 400]],
  ['POST /v1/storage/restores', [401, 401, 403, 403, 400, 400], '{}'],
  ['POST /v1/backups', [401, 401, 403, 403, 400, 400], '{}'],
  ['DELETE /v1/backups', [401, 401, 403, 403, 400, 400]],
  ['GET /v1/backups/none', [401, 401, 403, 403, 404, 404]],
  ['GET /metrics', [200, 401, 403, 403, 200, 200]],
  ['GET /health', [200, 200, 200, 200, 200, 200]],
  ['GET /ready', [200, 200, 200, 200, 200, 200]],
  ['GET /openapi.json', [200, 200, 200, 200, 200, 200]],
  ['GET /ping', [204, 204, 204, 204, 204, 204]],
  ['GET /api/v2/ping', [204, 204, 204, 204, 204, 204]],
  ['POST /v1/session', [401, 401, 401, 401, 401, 401], '{"code":"wrong"}'],
  ['POST /v1/session/code', [401, 401, 403, 403, 200, 200]],
  // Last: it ends the session.
  ['DELETE /v1/session', [204, 204, 204, 204, 204, 204]],
]

const ID_IN_PATH =
  /\/(devices|alerts|rules|recipients|silences|deliveries|backups|owners|erasures|verifications)\/(?!backtest$)\w+/

let bench: Awaited<ReturnType<typeof startBench>>
const headersOf: Record<Caller, Record<string, string>> = {
  nobody: {},
  wrong: { authorization: `Bearer wak_${'x'.repeat(43)}` },
  device: {},
  gateway: {},
  admin: {},
  session: {},
}

before(async () => {
  bench = await startBench()
  headersOf.gateway = {
    authorization: `Bearer ${await bench.createDevice('g', { isGateway: true })}`,
  }
  headersOf.device = { authorization: `Bearer ${await bench.createDevice('d', { parent: 'g' })}` }
  await bench.createDevice('other')
  headersOf.admin = { authorization: `Bearer ${bench.admin}` }
  const code = await bench.api.createSignInCode()
  const { headers } = await bench.call('POST /v1/session', { body: { code } })
  const cookie = String(headers['set-cookie']).split(';')[0] ?? ''
  headersOf.session = { cookie, origin: `http://127.0.0.1:${bench.port}` }
})
after(() => bench.close())

for (const [target, statuses, body] of TABLE) {
  test(`A2 who may ${target}`, async () => {
    const got: number[] = []
    for (const caller of CALLERS) {
      const isLine = target.includes('write') || target.includes('/query?q=')
      const type = isLine ? 'application/x-www-form-urlencoded' : 'application/json'
      const headers = {
        ...headersOf[caller],
        ...(body === undefined ? {} : { 'content-type': type }),
      }
      const reply = await bench.call(target, { headers, ...(body === undefined ? {} : { body }) })
      got.push(reply.status)
    }
    assert.deepEqual(got, statuses, CALLERS.join(' '))
  })
}

test('A2 the table above has every route', () => {
  const tested = TABLE.map(([target]) => target.split('?')[0]?.replace(ID_IN_PATH, '/$1/{id}'))
  assert.deepEqual(new Set(tested), new Set(Object.keys(ACCESS)))
})

test('/metrics wants a key behind a proxy, whose peer always looks local', async () => {
  for (const name of ['x-forwarded-for', 'forwarded']) {
    const headers = { [name]: '203.0.113.9' }
    assert.equal((await bench.call('GET /metrics', { headers })).status, 401)
    assert.equal((await bench.call('GET /metrics', { headers, key: bench.admin })).status, 200)
  }
})

test('the line doors take what InfluxDB’s clients send; the others take Bearer only', async () => {
  const token = await bench.createDevice('influx')
  const basic = Buffer.from(`influx:${token}`).toString('base64')
  const schemes = [`Token ${token}`, `Token influx:${token}`, `Basic ${basic}`, `bearer ${token}`]
  for (const authorization of schemes) {
    const headers = { authorization, 'content-type': 'text/plain' }
    const line = await bench.call('POST /api/v2/write', { headers, body: 'm,host=influx t=1' })
    assert.equal(line.status, 204, authorization)
    const json = await bench.call('POST /v1/telemetry', { headers, body: '{"t":1}' })
    assert.equal(json.status, authorization.startsWith('bearer') ? 200 : 401, authorization)
    assert.ok(json.status === 200 || json.headers['www-authenticate'])
  }
  const inQuery = `POST /write?db=x&u=influx&p=${token}`
  assert.equal((await bench.call(inQuery, { body: 'm,host=influx t=1' })).status, 204)
  const elsewhere = `POST /v1/telemetry?u=influx&p=${token}`
  assert.equal((await bench.call(elsewhere, { body: '{"t":1}' })).status, 401)
  for (const authorization of ['Bearer', 'Digest x', 'Basic !', token]) {
    const headers = { authorization }
    assert.equal((await bench.call('POST /write', { headers, body: 'm t=1' })).status, 401)
  }
})
