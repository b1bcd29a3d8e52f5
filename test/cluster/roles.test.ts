/** A cluster from the outside: stock clients, answers, roles in their own processes, mistakes. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { missingTool, run, until, type WeirProcess } from '../system/weir-process.ts'
import { Installation, skip } from './cluster-process.ts'

const PIPELINE = `
version: 1
types:
  pump:
    schemas:
      1: { temperature: { unit: "°C", min: -40, max: 150 } }
time: { disorder: 1s, idleTimeout: 1s, alertStaleness: 1d }
windows: [1m]
rules:
  - { id: hot, type: pump, when: "temperature > 80", severity: critical }
`
const TIMEOUT_MS = 120_000
/** What the requirement says; a job starts meanwhile. */
const VISIBLE_MS_MAX = 15_000
const toolsMissing =
  skip ?? ((await missingTool('curl')) || (await missingTool('mosquitto_pub')) || undefined)

/** Which process has which role. */
const SHAPES = {
  'one process': ['all'],
  'four processes': ['gateway', 'stream', 'writer', 'control'],
}

interface Doors {
  at: Installation
  gateway: WeirProcess
  control: WeirProcess
}

async function open(t: TestContext, roles: readonly string[]): Promise<Doors> {
  const at = await Installation.open(t, {
    pipeline: PIPELINE,
    more: 'gateway: { autoRegister: true }',
  })
  for (const role of roles) await at.start(role)
  const [first = '', last = ''] = [roles[0], roles.at(-1)]
  return { at, gateway: at.process(first), control: at.process(last) }
}

/** The values of a metric once there are so many, oldest first. */
async function visible(
  control: WeirProcess,
  [device, metric, count]: [string, string, number],
): Promise<(number | boolean | string)[]> {
  const points = await until(
    `${count} readings of ${device}.${metric}`,
    async () => {
      const points = await control.points(device, metric)
      return points.length >= count && points
    },
    VISIBLE_MS_MAX,
  )
  return points.map(([, value]) => value)
}

async function succeeds(command: string, parameters: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await run(command, parameters)
  assert.equal(code, 0, stderr)
  return stdout
}

for (const [shape, roles] of Object.entries(SHAPES)) {
  test(
    `${shape}: mosquitto_pub and curl in, curl out`,
    {
      skip: toolsMissing,
      timeout: TIMEOUT_MS,
    },
    async (t) => {
      const { gateway, control } = await open(t, roles)
      const token = await control.register({ id: 'pump-1', type: 'pump' })
      const publish = (version: string, message: object): Promise<string> =>
        succeeds('mosquitto_pub', [
          ...['-V', version, '-h', '127.0.0.1', '-p', String(gateway.mqtt), '-q', '1'],
          ...['-i', 'pump-1', '-u', 'pump-1', '-P', token],
          ...['-t', 'devices/pump-1/telemetry', '-m', JSON.stringify(message)],
        ])
      const post = (message: object): Promise<string> =>
        succeeds('curl', [
          ...['-sS', '--fail-with-body', '-H', `Authorization: Bearer ${token}`],
          ...['-H', 'Content-Type: application/json', '-d', JSON.stringify(message)],
          `${gateway.url}/v1/devices/pump-1/telemetry`,
        ])
      const beginMs = Math.floor(Date.now() / 60_000) * 60_000 - 600_000
      await publish('mqttv311', { ts: beginMs, metrics: { temperature: 20 } })
      await publish('mqttv5', { ts: beginMs + 1000, metrics: { temperature: 30 } })
      await post({ ts: beginMs + 2000, metrics: { temperature: 90 } })
      assert.deepEqual(await visible(control, ['pump-1', 'temperature', 3]), [20, 30, 90])

      // A repeat is taken out, and what no schema allows is kept apart.
      await publish('mqttv5', { ts: beginMs + 1000, metrics: { temperature: 31 } })
      await publish('mqttv311', { ts: beginMs + 3000, metrics: { temperature: 'hot' } })
      await post({ ts: beginMs + 4000, metrics: { temperature: 40 } })
      assert.deepEqual(await visible(control, ['pump-1', 'temperature', 4]), [20, 30, 90, 40])
      const letters = await until('a dead letter', async () => {
        const { items } = await control.get<{ items: { code: string }[] }>('/v1/dead-letters')
        return items.length > 0 && items
      })
      assert.deepEqual(
        letters.map(({ code }) => code),
        ['TELEMETRY_TYPE_MISMATCH'],
      )

      const { alerts } = await until('the end of the alert', async () => {
        const answer = await control.get<{ alerts: Record<string, unknown>[] }>('/v1/alerts')
        return answer.alerts[0]?.['resolved_at'] != null && answer
      })
      assert.equal(alerts.length, 1)
      assert.deepEqual(
        [alerts[0]?.['rule_id'], alerts[0]?.['severity'], alerts[0]?.['device_id']],
        ['hot', 'critical', 'pump-1'],
      )
      const windows = await until('the window is closed', async () => {
        const question = { device_id: 'pump-1', metric: 'temperature', window: '1m' }
        const answer = await control.get<{ windows: Record<string, unknown>[] }>(
          '/v1/aggregations',
          { ...question, start: beginMs, end: beginMs + 60_000 },
        )
        return answer.windows.length > 0 && answer.windows
      })
      const { count, min, max, first, last } = windows[0] ?? {}
      assert.deepEqual([windows.length, count, min, max, first, last], [1, 4, 20, 90, 20, 40])
    },
  )
}

test(
  'line protocol brings numbers, booleans, texts and dimensions',
  {
    skip,
    timeout: TIMEOUT_MS,
  },
  async (t) => {
    const { gateway, control } = await open(t, ['all'])
    const nowMs = Date.now()
    const nowNs = `${nowMs}000000`
    const lines = [
      `machine,device=line-1 load=1.5,running=true,mode="fast" ${nowNs}`,
      `drive,device=line-1 load=2.5 ${nowNs}`,
    ]
    const answer = await gateway.api('/write', {
      body: lines.join('\n'),
      headers: { 'content-type': 'text/plain' },
    })
    assert.ok([200, 204].includes(answer.status), answer.text)
    assert.deepEqual(new Set(await visible(control, ['line-1', 'load', 2])), new Set([1.5, 2.5]))
    const drive = { dimension: 'measurement=drive' }
    assert.deepEqual(await control.points('line-1', 'load', drive), [[nowMs, 2.5]])
    assert.deepEqual(await visible(control, ['line-1', 'running', 1]), [true])
    assert.deepEqual(await visible(control, ['line-1', 'mode', 1]), ['fast'])
  },
)

test('/ready and /metrics tell of each role', { skip, timeout: TIMEOUT_MS }, async (t) => {
  const { at } = await open(t, ['gateway', 'stream', 'writer', 'control'])
  const of = {
    gateway: 'weir_gateway_partition_entries_total',
    stream: 'weir_stream_is_active',
    writer: 'weir_writer_entries_total',
    control: 'weir_cache_hits_total',
  }
  for (const [role, metric] of Object.entries(of)) {
    const weir = at.process(role)
    assert.equal((await weir.api('/ready')).status, 200, role)
    assert.match((await weir.api('/metrics')).text, new RegExp(`^${metric}[ {]`, 'm'), role)
  }
  await until('the stream is active', async () => {
    return (await at.process('stream').metric('weir_stream_is_active')) === 1
  })
})

test(
  'each process ends by SIGTERM with code 0, and the next one goes on',
  {
    skip,
    timeout: TIMEOUT_MS,
  },
  async (t) => {
    const { at, control } = await open(t, ['all'])
    const token = await control.register({ id: 'one', type: 'generic' })
    const send = (weir: WeirProcess, ts: number) =>
      weir.api('/v1/devices/one/telemetry', { token, body: { ts, metrics: { a: ts } } })
    const nowMs = Date.now()
    assert.equal((await send(control, nowMs)).status, 200)
    const { code } = await control.stop()
    assert.equal(code, 0, control.running.output)
    const next = await at.start('all')
    assert.equal((await send(next, nowMs + 1)).status, 200)
    assert.deepEqual(await visible(next, ['one', 'a', 2]), [nowMs, nowMs + 1])
  },
)

test('a mistake is named, with what to do', { skip, timeout: TIMEOUT_MS }, async (t) => {
  const at = await Installation.open(t)
  const right = at.config()
  const away = 'postgresql://weir:hidden-word@127.0.0.1:1/weir'
  const mistakes: [role: string, config: string, says: RegExp][] = [
    ['all', right.replace(/brokers: .*/, 'brokers: []'), /kafka\.brokers: a cluster needs/],
    ['all', right.replace(/url: "postgres[^"]*"/, 'url: ""'), /WEIR_POSTGRES_URL/],
    ['all', right.replace(/brokers: .*/, 'brokers: ["127.0.0.1:1"]'), /LOG_UNAVAILABLE/],
    ['all', right.replace(/"postgres[^"]*"/, JSON.stringify(away)), /CONTROL_UNAVAILABLE/],
    ['reader', right, /no role "reader"; there are gateway, .*control and all/],
  ]
  for (const [place, [role, config, says]] of mistakes.entries()) {
    const startMs = performance.now()
    const running = await at.spawn(role, `mistake-${place}`, config)
    const code = await running.end()
    assert.ok(code !== 0 && code !== null, running.output)
    assert.match(running.stderr, says)
    assert.doesNotMatch(running.stderr, /hidden-word|at .*\.ts:\d+/)
    assert.ok(performance.now() - startMs < 30_000)
  }
})
