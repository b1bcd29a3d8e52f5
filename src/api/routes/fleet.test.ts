import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startBench } from '../testing/api-bench.ts'

let bench: Awaited<ReturnType<typeof startBench>>
const START = Date.UTC(2026, 0, 1)
/** In no order. */
const IDS = ['pump-2', 'pump-3', 'pump-1', 'pümp', '😀']

before(async () => {
  bench = await startBench()
  for (const [at, id] of IDS.entries()) {
    const key = await bench.createDevice(id, { type: id === 'pump-3' ? 'generic' : 'pump' })
    const body = [
      { ts: START, temperature: 20 },
      { ts: START + at, temperature: at, state: `s${at}`, ok: at > 0 },
    ]
    await bench.call('POST /v1/telemetry', { key, body })
  }
  await bench.createDevice('idle', { type: 'pump' })
})
after(() => bench.close())

const get = (parameters: string) => bench.call(`GET /v1/latest?${parameters}`, { key: bench.admin })
const idsOf = ({ items }: { items: { device_id: string }[] }): string[] =>
  items.map(({ device_id }) => device_id)

test('the last value of each device that has one, by id', async () => {
  const { status, json } = await get('metric=temperature')
  assert.equal(status, 200)
  assert.deepEqual(json, {
    items: [
      { device_id: 'pump-1', ts: START + 2, value: 2 },
      { device_id: 'pump-2', ts: START, value: 0 },
      { device_id: 'pump-3', ts: START + 1, value: 1 },
      { device_id: 'pümp', ts: START + 3, value: 3 },
      { device_id: '😀', ts: START + 4, value: 4 },
    ],
    next: null,
    meta: { completeness: 1 },
  })
  const values = async (metric: string) =>
    (await get(`metric=${metric}&limit=2`)).json.items.map(({ value }: any) => value)
  assert.deepEqual(await values('state'), ['s2', 's0'])
  assert.deepEqual(await values('ok'), [true, false])
})

test('type leaves out the devices of others', async () => {
  const of = async (type: string) => idsOf((await get(`metric=temperature&type=${type}`)).json)
  assert.deepEqual(await of('pump'), ['pump-1', 'pump-2', 'pümp', '😀'])
  assert.deepEqual(await of('generic'), ['pump-3'])
})

test('pages follow each other by `next`, whatever the ids are written in', async () => {
  for (const limit of [1, 2, 3, 4]) {
    const ids: string[] = []
    let after = ''
    for (;;) {
      const { json } = await get(`metric=temperature&limit=${limit}${after}`)
      assert.ok(json.items.length <= limit)
      ids.push(...idsOf(json))
      if (json.next === null) break
      assert.equal(json.next, ids.at(-1))
      after = `&after=${encodeURIComponent(json.next)}`
    }
    assert.deepEqual(ids, ['pump-1', 'pump-2', 'pump-3', 'pümp', '😀'])
  }
  assert.equal((await get('metric=temperature&limit=5')).json.next, null)
  assert.deepEqual(idsOf((await get('metric=temperature&after=zzz&limit=1')).json), ['😀'])
})

test('a metric that nobody sent is an empty list', async () => {
  const none = { items: [], next: null, meta: { completeness: 1 } }
  assert.deepEqual((await get('metric=nothing')).json, none)
  assert.deepEqual((await get('metric=nothing&type=pump')).json, none)
})

test('a wrong parameter gets a 400 that names it and says what to do', async () => {
  const cases: [string, RegExp][] = [
    ['', /^metric: is required/],
    ['metric=', /^metric: /],
    ['metric=temperature&limit=0', /^limit: must be >= 1/],
    ['metric=temperature&limit=10001', /^limit: must be <= 10000/],
    ['metric=temperature&limit=x', /^limit: must be integer/],
    ['metric=temperature&type=pmup', /^type: "pmup" is not defined; did you mean "pump"/],
    ['metric=temperature&type=zeppelin', /^type: .* known are generic, pump/],
    ['metrik=temperature', /^metrik: is not a parameter here; did you mean "metric"/],
    ['metric=a&metric=b', /^metric: is given more than once/],
  ]
  for (const [parameters, expected] of cases) {
    const { status, json } = await get(parameters)
    assert.deepEqual([status, json.code], [400, 'API_PARAMETER_INVALID'], parameters)
    assert.match(json.detail, expected)
  }
})

test('a device’s key does not read the fleet, nor does nobody', async () => {
  const target = 'GET /v1/latest?metric=temperature'
  const key = await bench.createDevice('curious', { type: 'pump' })
  assert.equal((await bench.call(target, { key })).status, 403)
  assert.equal((await bench.call(target)).status, 401)
})
