import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startBench } from '../testing/api-bench.ts'

let bench: Awaited<ReturnType<typeof startBench>>
before(async () => void (bench = await startBench()))
after(() => bench.close())

const post = (body: object) => bench.call('POST /v1/devices', { key: bench.admin, body })
const get = (path: string, key = bench.admin) => bench.call(`GET ${path}`, { key })

test('a device is registered once, with a token that works at once', async () => {
  const body = { id: 'pump:1 ü', type: 'pump', location: 'Hall 3', tags: { line: 'A' } }
  const created = await post(body)
  const { token, ...device } = created.json
  assert.equal(created.status, 201)
  assert.equal(created.headers['location'], '/v1/devices/pump%3A1%20%C3%BC')
  assert.deepEqual(device, {
    ...body,
    parent: null,
    gateway: false,
    created_at: Date.UTC(2026, 0, 2),
  })
  assert.deepEqual((await get(created.headers['location'])).json, device)
  assert.equal((await get(`${created.headers['location']}/latest`, token)).status, 200)
  const again = await post(body)
  assert.deepEqual([again.status, again.json.code], [409, 'CONTROL_DEVICE_EXISTS'])
})

test('the token is handed out only once the device is durable', async () => {
  const { createDevice } = bench.control
  let release = () => {}
  const held = new Promise<void>((reached) => {
    bench.control.createDevice = async (...device) => {
      const created = await createDevice.call(bench.control, ...device)
      reached()
      await new Promise<void>((resolve) => (release = resolve))
      return created
    }
  })
  const answer = post({ id: 'held', type: 'generic' })
  let isAnswered = false
  void answer.then(() => (isAnswered = true))
  await Promise.race([held, answer])
  bench.control.createDevice = createDevice
  assert.ok(!isAnswered, 'nobody has the token before')
  release()
  assert.equal((await answer).status, 201)
})

test('a type that is not defined and a parent that is no gateway are refused by name', async () => {
  const type = await post({ id: 'a', type: 'pmup' })
  assert.deepEqual([type.status, type.json.code], [400, 'API_BODY_INVALID'])
  assert.match(type.json.detail, /^type "pmup".*did you mean "pump"/)
  await bench.createDevice('plain')
  for (const parent of ['plain', 'missing']) {
    assert.match((await post({ id: 'a', type: 'pump', parent })).json.detail, /^parent/)
  }
  assert.equal((await post({ id: 'g', type: 'generic', gateway: true })).json.gateway, true)
  assert.equal((await post({ id: 'a', type: 'pump', parent: 'g' })).json.parent, 'g')
})

test('ids that would break topics or paths are refused', async () => {
  for (const id of ['', '..', 'a/b', 'a+', '#', 'a\nb', 'x'.repeat(129)]) {
    const reply = await post({ id, type: 'generic' })
    assert.deepEqual([reply.status, reply.json.code], [400, 'API_BODY_INVALID'], id)
    assert.match(reply.json.detail, /^id/)
  }
  const longest = '泵'.repeat(128)
  assert.equal((await post({ id: longest, type: 'generic' })).status, 201)
  assert.equal((await get(`/v1/devices/${encodeURIComponent(longest)}`)).json.id, longest)
})

test('the list is paged', async () => {
  for (let index = 0; index < 5; index++) await bench.createDevice(`page-${index}`)
  const seen: string[] = []
  let next: string | null = ''
  while (next !== null) {
    const page = await get(`/v1/devices?limit=2&after=${encodeURIComponent(next)}`)
    assert.ok(page.json.devices.length <= 2)
    seen.push(...page.json.devices.map(({ id }: { id: string }) => id))
    assert.equal(page.json.total, await bench.control.countDevices('default'))
    next = page.json.next
  }
  assert.equal(seen.length, await bench.control.countDevices('default'))
  assert.deepEqual(seen.filter((id) => id.startsWith('page-')).length, 5)
})

test('the latest values are those last stored', async () => {
  const key = await bench.createDevice('latest')
  assert.deepEqual((await get('/v1/devices/latest/latest', key)).json, {
    ...{ metrics: {}, meta: { completeness: 1 } },
  })
  const messages = [
    { ts: 2000, a: 1.5, on: true },
    { ts: 1000, a: 9, note: 'ok' },
  ]
  await bench.call('POST /v1/telemetry', { key, body: messages })
  const { metrics } = (await get('/v1/devices/latest/latest', key)).json
  assert.deepEqual(metrics, {
    a: { ts: 2000, value: 1.5 },
    on: { ts: 2000, value: true },
    note: { ts: 1000, value: 'ok' },
  })
})

test('an unknown device is a 404', async () => {
  for (const path of ['/v1/devices/nobody', '/v1/devices/nobody/latest']) {
    const reply = await get(path)
    assert.deepEqual([reply.status, reply.json.code], [404, 'API_NOT_FOUND'])
    assert.match(reply.json.detail, /"nobody"/)
  }
})
