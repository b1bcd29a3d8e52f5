import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { RuleEvent } from '../../stream/stream.ts'
import { startBench } from '../testing/api-bench.ts'

let bench: Awaited<ReturnType<typeof startBench>>
before(async () => {
  bench = await startBench()
  for (const id of ['a', 'b', 'idle']) await bench.createDevice(id)
})
after(() => bench.close())

const send = (target: string, body?: object, headers: Record<string, string> = {}) =>
  bench.call(target, { key: bench.admin, headers, ...(body === undefined ? {} : { body }) })
const get = (path: string) => send(`GET ${path}`)

/** An episode that begins now. */
function fire(deviceId: string, change: Partial<RuleEvent> = {}): Promise<void> {
  const nowUs = bench.clock.nowUs()
  const event: RuleEvent = {
    ...{ id: `${deviceId}-${nowUs}`, tenant: 'default', deviceId, ruleId: 'hot', ruleVersion: 3 },
    ...{ severity: 'critical', state: 'firing', triggeredAtUs: nowUs, resolvedAtUs: undefined },
    ...{ breachEventTimeUs: nowUs - 30e6, values: { temperature: 93 } },
    reason: {
      ...{ kind: 'condition', condition: 'temperature > 80', metric: 'temperature', unit: '°C' },
      ...{ value: 93, threshold: 80, valueBefore: 71 },
    },
    ...change,
  }
  return bench.feed.take([event])
}

const idsOf = (reply: { json: { alerts: { id: string }[] } }): string[] =>
  reply.json.alerts.map(({ id }) => id)

test('alerts are listed with what decided, by device, rule, state and severity', async () => {
  await fire('a', { id: 'one' })
  await fire('b', { id: 'two', severity: 'warning', ruleId: 'wet' })
  const nowMs = bench.clock.nowUs() / 1000
  const reply = await get('/v1/alerts?device_id=a')
  assert.deepEqual(reply.json, {
    alerts: [
      {
        ...{ id: 'one', device_id: 'a', rule_id: 'hot', rule_version: 3, severity: 'critical' },
        ...{ state: 'firing', triggered_at: nowMs, since: nowMs - 30_000, resolved_at: null },
        ...{ occurrences: 1, flapping: false, acknowledged: null, snoozed_until: null },
        suppressed_by: null,
        reason: {
          ...{ kind: 'condition', condition: 'temperature > 80', metric: 'temperature' },
          ...{ unit: '°C', value: 93, threshold: 80, value_before: 71 },
        },
        values: { temperature: 93 },
      },
    ],
    ...{ next: null, meta: { completeness: 1 } },
  })
  assert.deepEqual(idsOf(await get('/v1/alerts?rule_id=wet')), ['two'])
  assert.deepEqual(idsOf(await get('/v1/alerts?severity=critical')), ['one'])
  assert.deepEqual(idsOf(await get('/v1/alerts?device_id=idle')), [])
  assert.equal((await get('/v1/alerts?device_id=nobody')).status, 404)
  assert.equal((await get('/v1/alerts?state=pending')).status, 400)
  bench.clock.advance(1000)
  const endUs = bench.clock.nowUs()
  await fire('b', {
    ...{ id: 'two', severity: 'warning', ruleId: 'wet', triggeredAtUs: nowMs * 1000 },
    ...{ state: 'resolved', resolvedAtUs: endUs },
  })
  const [ended] = (await get('/v1/alerts?state=resolved')).json.alerts
  assert.deepEqual([ended.id, ended.resolved_at], ['two', endUs / 1000])
  assert.deepEqual(idsOf(await get('/v1/alerts?state=firing')), ['one'])
})

test('pages have every alert once, also of a storm within one microsecond', async () => {
  const devices = Array.from({ length: 25 }, (_, at) => `storm-${at}`)
  for (const [at, id] of devices.entries()) {
    // Groups of three of one time.
    if (at % 3 === 0) bench.clock.advance(10)
    await fire(id, { id: `s-${at}`, ruleId: 'storm' })
  }
  const seen: string[] = []
  for (let cursor = ''; ;) {
    const page = await get(`/v1/alerts?rule_id=storm&limit=2${cursor}`)
    seen.push(...idsOf(page))
    if (page.json.next === null) break
    cursor = `&cursor=${page.json.next}`
  }
  assert.equal(seen.length, devices.length)
  assert.equal(new Set(seen).size, devices.length)
})

test('an alert is acknowledged, snoozed, woken and noted, and its history says so', async () => {
  bench.clock.advance(1000)
  await fire('a', { id: 'acted', ruleId: 'acted' })
  const act = (verb: string, body?: object) => send(`POST /v1/alerts/acted/${verb}`, body)
  const nowMs = bench.clock.nowUs() / 1000
  const first = await act('acknowledge', { by: 'anna', note: 'on my way' })
  assert.deepEqual(first.json.acknowledged, { by: 'anna', at: nowMs })
  assert.equal((await act('snooze', { for: '1h' })).json.snoozed_until, nowMs + 3_600_000)
  const until = new Date(nowMs + 60_000).toISOString()
  assert.equal((await act('snooze', { until })).json.snoozed_until, nowMs + 60_000)
  assert.equal((await act('wake')).json.snoozed_until, null)
  await act('notes', { text: 'the valve' })
  const { json } = await get('/v1/alerts/acted')
  assert.deepEqual(
    json.history.map((entry: any) => [entry.what, entry.by, entry.text].filter(Boolean).join(' ')),
    [
      'fired critical: temperature > 80',
      'acknowledge anna on my way',
      ...json.history.slice(2, 4).map((entry: any) => `snooze admin ${entry.text ?? ''}`.trim()),
      'wake admin',
      'note admin the valve',
    ],
  )
  assert.equal(json.history[0].episode_id, 'acted')
  assert.deepEqual(json.deliveries, [])
  for (const [verb, body] of [
    ['snooze', {}],
    ['snooze', { for: '1h', until: nowMs + 1 }],
    ['snooze', { until: nowMs - 1 }],
    ['snooze', { for: '0s' }],
    ['notes', {}],
    ['notes', { text: '' }],
    ['acknowledge', { by: '' }],
  ] as const)
    assert.ok([400].includes((await act(verb, body)).status), `${verb} ${JSON.stringify(body)}`)
  assert.equal((await send('POST /v1/alerts/acted/acknowledge')).status, 200, 'without a body')
  const unknown = await get('/v1/alerts/nothing')
  assert.deepEqual([unknown.status, unknown.json.code], [404, 'ALERT_UNKNOWN'])
})

test('a silence holds what it matches, and is edited as rules are', async () => {
  const nowMs = bench.clock.nowUs() / 1000
  const made = await send('POST /v1/silences', { device_id: 'b', comment: 'works', for: '2h' })
  assert.deepEqual([made.status, made.headers['etag']], [201, '"1"'])
  assert.deepEqual([made.json.from, made.json.until], [nowMs, nowMs + 7_200_000])
  const path = String(made.headers['location'])
  const window = {
    ...{ from: '2026-01-01T00:00:00Z', until: '2027-01-01T00:00:00Z', days: [6, 7] },
    hours: { from: '22:00', to: '06:00', time_zone: 'Europe/Berlin' },
  }
  const changed = await send(`PUT ${path}`, window, { 'if-match': '"1"' })
  assert.deepEqual(changed.json.hours, window.hours)
  assert.equal((await send(`PUT ${path}`, changed.json)).status, 200, 'as it was answered')
  const stale = await send(`PUT ${path}`, window, { 'if-match': '"1"' })
  assert.deepEqual([stale.status, stale.json.current.revision], [412, 3])
  assert.equal((await get('/v1/silences')).json.silences.length, 1)
  for (const body of [{}, { for: '1h', until: nowMs + 1 }, { from: nowMs, until: nowMs }])
    assert.equal((await send('POST /v1/silences', body)).status, 400)
  const days = await send('POST /v1/silences', { for: '1h', days: [9] })
  assert.deepEqual([days.status, days.json.code], [422, 'ALERT_SILENCE_INVALID'])
  assert.equal((await send(`DELETE ${path}`)).status, 204)
  for (const method of ['GET', 'DELETE'])
    assert.equal((await send(`${method} ${path}`)).status, 404)
})

test('deliveries are listed, and what nobody takes is tried again when somebody says so', async () => {
  // Nobody listens there.
  const channels = [{ type: 'webhook', url: 'http://127.0.0.1:1/x', secret: 's' }]
  await send('PUT /v1/recipients/deaf', { name: 'deaf', channels, rules: ['told'] })
  bench.clock.advance(1000)
  await fire('b', { id: 'told', ruleId: 'told' })
  const list = async (query: string) =>
    (await get(`/v1/deliveries?recipient_id=deaf${query}`)).json.deliveries
  const until = async (isTrue: () => Promise<boolean>): Promise<void> => {
    while (!(await isTrue())) {
      bench.clock.advance(60_000)
      await new Promise(setImmediate)
    }
  }
  await until(async () => (await list('')).length === 1)
  await until(async () => (await list('&state=dead')).length === 1)
  const [dead] = await list('&state=dead')
  assert.deepEqual(
    [dead.recipient_id, dead.channel, dead.change, dead.alert_ids],
    ['deaf', 'webhook', 'opened', ['told']],
  )
  assert.ok(dead.attempts > 1)
  assert.match(dead.problem, /./)
  assert.deepEqual((await get('/v1/alerts/told')).json.deliveries, [dead])
  const again = await send(`POST /v1/deliveries/${dead.id}/retry`)
  assert.deepEqual([again.status, again.json.state], [200, 'waiting'])
  assert.equal(again.json.id, dead.id)
  const unknown = await send('POST /v1/deliveries/none/retry')
  assert.deepEqual([unknown.status, unknown.json.code], [404, 'ALERT_DELIVERY_UNKNOWN'])
})
