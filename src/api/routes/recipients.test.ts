import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { openHttpReceiver } from '../../notify/http-receiver-fixture.ts'
import { startBench } from '../testing/api-bench.ts'

let bench: Awaited<ReturnType<typeof startBench>>
before(async () => void (bench = await startBench()))
after(() => bench.close())

const send = (target: string, body?: object, headers: Record<string, string> = {}) =>
  bench.call(target, { key: bench.admin, headers, ...(body === undefined ? {} : { body }) })

const SECRET = 'not-to-be-seen'
const HOOK = { type: 'webhook', url: 'https://hooks.example.org/a', secret: SECRET }
const ME = { name: 'me', channels: [HOOK] }

/** As the sender has it. */
const secretOf = async (id: string): Promise<string> => {
  const rows = await bench.control.database.select('definition', 'WHERE id = $1', [id])
  return JSON.stringify(rows.map(({ value }) => JSON.parse(String(value))))
}

test('a recipient is made with an id, and its secret is never given out', async () => {
  const body = {
    ...ME,
    ...{ severities: ['critical'], rate_limit: { messages: 5, per: '1m' } },
  }
  const made = await send('POST /v1/recipients', body)
  assert.deepEqual([made.status, made.headers['etag']], [201, '"1"'])
  const { id, channels } = made.json
  assert.deepEqual(channels, [{ type: 'webhook', url: HOOK.url, has_secret: true }])
  assert.deepEqual([made.json.severities, made.json.rate_limit], [body.severities, body.rate_limit])
  assert.ok((await secretOf(id)).includes(SECRET))
  const second = await send('POST /v1/recipients', body)
  assert.notEqual(second.json.id, id, 'two may be alike')
  const answers = [
    made,
    await send(`GET /v1/recipients/${id}`),
    await send('GET /v1/recipients'),
    await send(`PUT /v1/recipients/${id}`, body),
    await send(`PUT /v1/recipients/${id}`, body, { 'if-match': '"1"' }),
  ]
  assert.equal(answers[4]!.status, 412)
  assert.equal(answers[4]!.json.current.name, 'me')
  for (const { text } of answers) assert.ok(!text.includes(SECRET))
  for (const one of [id, second.json.id])
    assert.equal((await send(`DELETE /v1/recipients/${one}`)).status, 204)
  assert.equal((await send(`DELETE /v1/recipients/${id}`)).status, 404)
  assert.deepEqual((await send('GET /v1/recipients')).json, { recipients: [], next: null })
})

test('what was answered goes back as it is, and the secrets stay', async () => {
  const slack = { type: 'slack', url: 'https://hooks.slack.com/services/T0/B0/very-secret' }
  const full = {
    ...{ name: 'all of it', channels: [HOOK, slack, { type: 'email', to: 'me@example.org' }] },
    ...{ severities: ['critical'], rules: ['hot'], devices: ['pump-1'], disturbing: ['info'] },
    quiet_hours: { from: '22:00', to: '07:00', time_zone: 'Europe/Berlin' },
    ...{ rate_limit: { messages: 5, per: '90s' }, told_of_ends: true },
    escalation: [{ after: '10m', recipients: ['boss'] }],
  }
  const made = await send('PUT /v1/recipients/full', full)
  assert.equal(made.status, 201)
  assert.ok(!made.text.includes('very-secret'))
  assert.equal(made.json.channels[1].url, 'https://hooks.slack.com/***')
  const before = await secretOf('full')
  assert.ok(before.includes('very-secret') && before.includes(SECRET))
  const again = await send('PUT /v1/recipients/full', made.json, { 'if-match': '"1"' })
  assert.deepEqual([again.status, again.headers['etag']], [200, '"2"'])
  assert.equal(await secretOf('full'), before)
  const { revision: _, updated_at: __, ...said } = again.json
  const { revision: ___, updated_at: ____, ...saidBefore } = made.json
  assert.deepEqual(said, saidBefore)
})

test('a secret is kept for its own url only', async () => {
  await send('PUT /v1/recipients/keep', ME)
  const { secret: _, ...hook } = HOOK
  const other = { ...hook, url: 'https://evil.example.org/' }
  const moved = await send('PUT /v1/recipients/keep', { ...ME, channels: [other] })
  assert.deepEqual([moved.status, moved.json.code], [400, 'API_BODY_INVALID'])
  assert.match(moved.json.detail, /channels\.0\.secret/)
  const fresh = await send('PUT /v1/recipients/fresh', { ...ME, channels: [hook] })
  assert.equal(fresh.status, 400)
  const kept = await send('PUT /v1/recipients/keep', { name: 'renamed', channels: [hook] })
  assert.deepEqual([kept.status, kept.json.name], [200, 'renamed'])
  assert.ok((await secretOf('keep')).includes(SECRET))
  await send('PUT /v1/recipients/keep', { ...ME, channels: [{ ...hook, secret: 'another' }] })
  assert.ok(!(await secretOf('keep')).includes(SECRET))
})

test('who asks for no revision gets through, however many do', async () => {
  const { secret: _, ...hook } = HOOK
  await send('PUT /v1/recipients/busy', ME)
  const names = Array.from({ length: 10 }, (_, at) => `n${at}`)
  const edits = names.map((name) =>
    send('PUT /v1/recipients/busy', { name, channels: [hook], severities: ['info'] }),
  )
  for (const { status } of await Promise.all(edits)) assert.equal(status, 200)
  assert.equal((await send('GET /v1/recipients/busy')).json.revision, 11)
})

test('a recipient that cannot be told is refused', async () => {
  const wrong: [object, number, string, RegExp][] = [
    [{ name: 'x', channels: [] }, 422, 'ALERT_RECIPIENT_INVALID', /channels/],
    [{ ...ME, rate_limit: { messages: 0, per: '1m' } }, 422, 'ALERT_RECIPIENT_INVALID', /messages/],
    [{ ...ME, rate_limit: { messages: 1, per: '0s' } }, 400, 'API_BODY_INVALID', /rate_limit\.per/],
    [{ ...ME, channels: [{ type: 'email' }] }, 400, 'API_BODY_INVALID', /channels\.0\.to/],
    [{ ...ME, channels: [{ ...HOOK, to: 'x' }] }, 400, 'API_BODY_INVALID', /channels\.0\.to/],
    [{ ...ME, channels: [{ type: 'pigeon' }] }, 400, 'API_BODY_INVALID', /one of webhook/],
    [{ ...ME, channel: HOOK }, 400, 'API_BODY_INVALID', /channel is not a key/],
    [
      { ...ME, channels: [{ ...HOOK, url: 'ftp://example.org' }] },
      422,
      'NOTIFY_ENDPOINT_INVALID',
      /ftp/,
    ],
  ]
  for (const [body, status, code, detail] of wrong) {
    const reply = await send('POST /v1/recipients', body)
    assert.deepEqual([reply.status, reply.json.code], [status, code], reply.text)
    assert.match(reply.json.detail, detail)
  }
})

test('a test message arrives, or the answer says why not', async () => {
  const receiver = await openHttpReceiver()
  const channels = [{ ...HOOK, url: `http://127.0.0.1:${receiver.port}/private-hook` }]
  await send('PUT /v1/recipients/tried', { ...ME, channels })
  assert.equal((await send('POST /v1/recipients/tried/test')).status, 204)
  assert.equal(receiver.requests.length, 1)
  assert.match(receiver.requests[0]!.body, /nothing is wrong/)
  await receiver.close()
  const lost = await send('POST /v1/recipients/tried/test')
  assert.deepEqual([lost.status, lost.json.code], [503, 'NOTIFY_UNAVAILABLE'])
  assert.ok(!lost.text.includes('private-hook'), 'no part of the path')
})
