import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startBench, type CallOptions } from '../testing/api-bench.ts'

let bench: Awaited<ReturnType<typeof startBench>>
before(async () => {
  bench = await startBench()
  for (const id of ['pump-1', 'pump-2', 'pump-3']) await bench.createDevice(id, { type: 'pump' })
})
after(() => bench.close())

const WARM = { type: 'pump', when: 'temperature > 60', for: '30s', severity: 'warning' }

const send = (target: string, body?: object, headers: Record<string, string> = {}) => {
  const how: CallOptions = body === undefined ? { headers } : { headers, body }
  return bench.call(target, { ...how, key: bench.admin })
}
const get = (path: string) => send(`GET ${path}`)
const running = (): string[] => bench.ruleLog.running

test('a rule is made, changed and removed, and runs once that was answered', async () => {
  const made = await send('PUT /v1/rules/warm', WARM)
  assert.deepEqual([made.status, made.headers['etag']], [201, '"1"'])
  const { updated_at, ...json } = made.json
  assert.deepEqual(json, { id: 'warm', source: 'api', revision: 1, ...WARM })
  assert.equal(updated_at, bench.clock.nowUs() / 1000)
  assert.deepEqual(running(), ['warm@1'])
  const found = await get('/v1/rules/warm')
  assert.deepEqual([found.json, found.headers['etag']], [made.json, '"1"'])
  // What was answered goes back as it is.
  const changed = await send('PUT /v1/rules/warm', { ...found.json, when: 'temperature > 65' })
  assert.deepEqual([changed.status, changed.headers['etag']], [200, '"2"'])
  assert.deepEqual(running(), ['warm@2'])
  assert.equal((await send('DELETE /v1/rules/warm')).status, 204)
  assert.deepEqual(running(), [])
  for (const target of ['GET', 'DELETE'])
    assert.equal((await send(`${target} /v1/rules/warm`)).status, 404)
  assert.equal((await send('PUT /v1/rules/warm', WARM)).headers['etag'], '"4"')
  await send('DELETE /v1/rules/warm')
})

test('two people edit the same rule: one wins, the other gets 412 with the current state', async () => {
  const seen = await send('PUT /v1/rules/shared', WARM)
  const ifMatch = { 'if-match': String(seen.headers['etag']) }
  const edits = ['temperature > 61', 'temperature > 62'].map((when) =>
    send('PUT /v1/rules/shared', { ...WARM, when }, ifMatch),
  )
  const answers = await Promise.all(edits)
  const won = answers.find(({ status }) => status === 200)!
  const lost = answers.find(({ status }) => status === 412)!
  assert.equal(lost.json.code, 'CONTROL_REVISION_STALE')
  assert.deepEqual(lost.json.current, won.json)
  assert.equal(lost.headers['etag'], won.headers['etag'])
  assert.deepEqual((await get('/v1/rules/shared')).json, won.json)
  const late = await send('DELETE /v1/rules/shared', undefined, ifMatch)
  assert.deepEqual([late.status, late.json.current], [412, won.json])
  const now = { 'if-match': String(lost.headers['etag']) }
  assert.equal((await send('DELETE /v1/rules/shared', undefined, now)).status, 204)
  const gone = await send('PUT /v1/rules/shared', WARM, now)
  assert.deepEqual([gone.status, gone.json.current, gone.headers['etag']], [412, null, undefined])
})

test('If-Match and If-None-Match mean what RFC 9110 says', async () => {
  const put = async (headers: Record<string, string>): Promise<number> =>
    (await send('PUT /v1/rules/cond', WARM, headers)).status
  for (const tag of ['*', '"0"', '"1"']) assert.equal(await put({ 'if-match': tag }), 412)
  assert.equal(await put({ 'if-none-match': '*' }), 201)
  assert.equal(await put({ 'if-none-match': '*' }), 412)
  assert.equal(await put({ 'if-match': '*' }), 200)
  assert.equal(await put({ 'if-match': '"7", "2"' }), 200)
  assert.equal(await put({ 'if-match': '"7", "8"' }), 412)
  for (const tag of ['W/"3"', '"x"', '"03x"', '"0"'])
    assert.equal(await put({ 'if-match': tag }), 412)
  for (const headers of [
    { 'if-match': '3' },
    { 'if-none-match': '"3"' },
    { 'if-match': '"3"', 'if-none-match': '*' },
  ])
    assert.equal(await put(headers), 400)
  assert.equal(await put({ 'if-match': '"3"' }), 200)
  await send('DELETE /v1/rules/cond')
})

test('a rule that cannot run is refused with the place, and changes nothing', async () => {
  const wrong: [object, number, string, RegExp][] = [
    [{ ...WARM, when: 'temprature > 1' }, 422, 'PIPELINE_RULE_INVALID', /temperature/],
    [{ ...WARM, type: 'fan' }, 422, 'PIPELINE_DEFINITION_INVALID', /fan/],
    [{ ...WARM, window: '7m' }, 422, 'PIPELINE_DEFINITION_INVALID', /window/],
    [{ type: 'pump' }, 422, 'PIPELINE_DEFINITION_INVALID', /when/],
    [{ ...WARM, wehn: 'x' }, 400, 'API_BODY_INVALID', /wehn is not a key here; .*"when"/],
    [{ ...WARM, version: 3 }, 400, 'API_BODY_INVALID', /version/],
    [{ ...WARM, id: 'other' }, 400, 'API_BODY_INVALID', /other/],
    [{ ...WARM, for: 'soon' }, 400, 'API_BODY_INVALID', /for/],
  ]
  for (const [body, status, code, detail] of wrong) {
    const reply = await send('PUT /v1/rules/wrong', body)
    assert.deepEqual([reply.status, reply.json.code], [status, code], reply.text)
    assert.match(reply.json.detail, detail)
  }
  assert.equal((await send('PUT /v1/rules/a%20b', WARM)).status, 422)
  assert.equal((await get('/v1/rules/wrong')).status, 404)
  assert.deepEqual(running(), [])
})

test('rules of the definition are listed, and edited there', async () => {
  const { json, headers } = await get('/v1/rules/hot')
  assert.deepEqual(
    [json.source, json.when, headers['etag']],
    ['definition', 'temperature > 80', undefined],
  )
  for (const method of ['PUT', 'DELETE']) {
    const reply = await send(`${method} /v1/rules/hot`, method === 'PUT' ? WARM : undefined)
    assert.deepEqual([reply.status, reply.json.code], [409, 'RULE_OF_DEFINITION'])
  }
  for (const id of ['a', 'b', 'z']) await send(`PUT /v1/rules/${id}`, WARM)
  const ids: string[] = []
  for (let after = ''; ;) {
    const page = (await get(`/v1/rules?limit=2${after === '' ? '' : `&after=${after}`}`)).json
    ids.push(...page.rules.map(({ id }: { id: string }) => id))
    if (page.next === null) break
    after = page.next
  }
  assert.deepEqual(ids, ['a', 'b', 'hot', 'z'])
  for (const id of ['a', 'b', 'z']) await send(`DELETE /v1/rules/${id}`)
})

test('a full log is heard of', async () => {
  bench.ruleLog.isFull = true
  const reply = await send('PUT /v1/rules/late', WARM)
  assert.deepEqual([reply.status, reply.json.code], [503, 'LOG_DISK_FULL'])
  bench.ruleLog.isFull = false
  assert.equal((await send('PUT /v1/rules/late', WARM)).status, 200)
  assert.deepEqual(running(), ['late@2'])
  await send('DELETE /v1/rules/late')
})

test('POST /v1/alerts makes a rule for a device', async () => {
  const rule = { when: 'temperature > 80', for: '30s', severity: 'critical' }
  const made = await send('POST /v1/alerts', { device_id: 'pump-1', rule })
  assert.equal(made.status, 201)
  const { id, when, device, severity } = made.json
  assert.deepEqual([when, device, severity], [rule.when, 'pump-1', 'critical'])
  assert.equal(made.headers['location'], `/v1/rules/${id}`)
  assert.deepEqual((await get(`/v1/rules/${id}`)).json, made.json)
  assert.deepEqual(running(), [`${id}@1`])
  const again = await send('POST /v1/alerts', { device_id: 'pump-1', rule })
  assert.deepEqual([again.status, again.json], [201, made.json])
  const other = await send('POST /v1/alerts', { device_id: 'pump-2', rule })
  assert.notEqual(other.json.id, id)
  for (const one of [made, other]) await send(`DELETE /v1/rules/${one.json.id}`)
})

test('POST /v1/alerts adds devices to a rule, from many scripts at once', async () => {
  const rule = { id: 'mine', when: 'temperature > 80' }
  const devices = Array.from({ length: 12 }, (_, at) => `d${at}`)
  for (const id of devices) await bench.createDevice(id)
  const add = (device_id: string, what: unknown = 'mine') =>
    send('POST /v1/alerts', { device_id, rule: what })
  assert.deepEqual((await add('pump-1')).status, 404, 'there is none yet')
  assert.equal((await add('pump-1', rule)).json.device, 'pump-1')
  const answers = await Promise.all(devices.map((id) => add(id)))
  for (const { status } of answers) assert.equal(status, 201)
  const { json } = await add('pump-2', rule)
  assert.deepEqual(json.devices.toSorted(), ['pump-1', 'pump-2', ...devices].toSorted())
  assert.equal(json.device, undefined)
  assert.deepEqual((await add('pump-2')).json, json)
  const another = await add('pump-2', { ...rule, when: 'temperature > 81' })
  assert.deepEqual([another.status, another.json.code], [409, 'RULE_EXISTS'])
  await send('DELETE /v1/rules/mine')
})

test('POST /v1/alerts leaves a rule for all devices as it is', async () => {
  const all = await send('PUT /v1/rules/all', WARM)
  const reply = await send('POST /v1/alerts', { device_id: 'pump-1', rule: 'all' })
  assert.deepEqual([reply.status, reply.json], [201, all.json])
  await send('DELETE /v1/rules/all')
})

test('POST /v1/alerts refuses what it cannot do', async () => {
  const wrong: [object, number, string][] = [
    [{ device_id: 'nobody', rule: { when: 'temperature > 1' } }, 404, 'API_NOT_FOUND'],
    [{ device_id: 'pump-1', rule: 'nothing' }, 404, 'API_NOT_FOUND'],
    [{ device_id: 'pump-1', rule: 'hot' }, 409, 'RULE_OF_DEFINITION'],
    [{ device_id: 'pump-1', rule: { when: 'temprature >' } }, 422, 'PIPELINE_RULE_INVALID'],
    [
      { device_id: 'pump-1', rule: { when: 'temperature > 1', device: 'x' } },
      400,
      'API_BODY_INVALID',
    ],
    [{ device_id: 'pump-1' }, 400, 'API_BODY_INVALID'],
    [{ rule: 'hot' }, 400, 'API_BODY_INVALID'],
  ]
  for (const [body, status, code] of wrong) {
    const reply = await send('POST /v1/alerts', body)
    assert.deepEqual([reply.status, reply.json.code], [status, code], reply.text)
  }
})
