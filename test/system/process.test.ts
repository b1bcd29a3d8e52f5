/** One process and its folder: who may use it, how it stops, what it refuses and how it says so. */
import assert from 'node:assert/strict'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { after, test, type TestContext } from 'node:test'
import type { MqttClient } from 'mqtt'
import { ACKNOWLEDGED, openMqttDevice, topicOf } from './mqtt-device.ts'
import {
  makeFolder,
  readPorts,
  spawnWeir,
  until,
  weir as runWeir,
  WeirProcess,
} from './weir-process.ts'

const PIPELINE = `
version: 1
types:
  pump:
    schemas:
      1: { temperature: { unit: "°C", min: -40, max: 150 } }
`

interface DeadLetter {
  device_id: string
  code: string
  detail: string
  payload: string
}

async function start(t: TestContext): Promise<{ weir: WeirProcess; folder: string }> {
  const folder = await makeFolder(t)
  return { weir: await WeirProcess.start({ folder, pipeline: PIPELINE }), folder }
}

/** For the tests that only send and ask, each with devices of its own. */
const shared = await WeirProcess.start({ folder: await makeFolder({ after }), pipeline: PIPELINE })

async function connected(
  t: TestContext,
  weir: WeirProcess,
  of: { id: string; token: string; version: 4 | 5 },
): Promise<MqttClient> {
  const client = openMqttDevice({ ...of, port: () => weir.mqtt })
  t.after(() => client.end(true))
  await until(`${of.id} is connected`, () => client.connected)
  return client
}

const deadLetters = async (weir: WeirProcess): Promise<DeadLetter[]> =>
  (await weir.get<{ items: DeadLetter[] }>('/v1/dead-letters')).items

test('a second process on the folder is refused with code, reason and hint', async (t) => {
  const { weir, folder } = await start(t)
  const second = await spawnWeir({ folder })
  const code = await second.end()
  assert.equal(code, 3, second.output)
  assert.match(second.stderr, /Another process uses this data folder \(DATA_FOLDER_LOCKED\)/)
  assert.match(second.stderr, /give another folder with --data/)
  assert.doesNotMatch(second.stderr, /at .*\.ts:\d+/, 'no stack trace for an operator’s mistake')
  assert.equal((await readPorts(weir.dataFolder))?.pid, weir.running.child.pid)
  assert.equal((await weir.api('/ready')).status, 200)
})

test('a port in use ends the process with a reason, and leaves the folder free', async (t) => {
  const folder = await makeFolder(t)
  for (const [flag, port] of [
    ['--http-port', shared.http],
    ['--mqtt-port', shared.mqtt],
  ] as const) {
    const ports = ['--http-port', '0', '--mqtt-port', '0', flag, String(port)]
    const second = runWeir(['start', '--data', join(folder, 'data'), ...ports])
    assert.equal(await second.end(), 3, second.output)
    assert.match(second.stderr, /PORT_IN_USE/)
  }
  const third = await WeirProcess.start({ folder })
  await third.stop()
})

test('SIGTERM under load drains within 5 s, exits 0, and a restart has everything', async (t) => {
  const { weir, folder } = await start(t)
  const mode = (await stat(join(folder, 'key.json'))).mode & 0o777
  assert.equal(mode.toString(8), '600')
  const token = await weir.register({ id: 'pump-1', type: 'pump' })
  const client = await connected(t, weir, { id: 'pump-1', token, version: 5 })
  const acknowledged: number[] = []
  let isOver = false
  const baseMs = Date.now() - 60_000
  for (let i = 0; i < 20_000; i++) {
    const payload = JSON.stringify({ ts: baseMs + i, temperature: i % 100 })
    client.publish(topicOf('pump-1'), payload, ACKNOWLEDGED, (error) => {
      if (!isOver && !error) acknowledged.push(baseMs + i)
    })
  }
  await until('the load runs', () => acknowledged.length > 500)
  const { code, tookMs } = await weir.stop()
  client.end(true)
  isOver = true
  assert.equal(code, 0, weir.running.output)
  assert.ok(tookMs < 5_000, `took ${tookMs} ms`)
  assert.equal(await readPorts(weir.dataFolder), undefined)
  const again = await WeirProcess.start({ folder, pipeline: PIPELINE })
  assert.equal(again.adminKey, weir.adminKey)
  const { status } = await again.api('/v1/devices/pump-1/telemetry', {
    ...{ token, body: { temperature: 5 } },
  })
  assert.equal(status, 200, 'the token of before')
  const counted = async (): Promise<number> => {
    const points = await again.points('pump-1', 'temperature', {
      agg: 'count',
      end: baseMs + 20_000,
    })
    return (points[0]?.[1] as number) ?? 0
  }
  const stored = await counted()
  assert.ok(stored >= acknowledged.length, `${acknowledged.length} acknowledged, ${stored} stored`)
  const times = new Set<number>()
  for (let from = baseMs; from < baseMs + 20_000; from += 5_000) {
    const span = { start: from, end: from + 5_000 }
    for (const [ms] of await again.points('pump-1', 'temperature', span)) times.add(ms)
  }
  assert.deepEqual(
    acknowledged.filter((ms) => !times.has(ms)),
    [],
  )
  assert.equal((await again.stop()).code, 0)
})

test('MQTT 5 hears of a refusal in the PUBACK; 3.1.1 is acknowledged; both are dead letters', async (t) => {
  const weir = shared
  for (const version of [4, 5] as const) {
    const id = `pump-v${version}`
    const token = await weir.register({ id, type: 'pump' })
    const client = await connected(t, weir, { id, token, version })
    const payload = `{"temperature":${900 + version}}`
    const answer = client.publishAsync(topicOf(id), payload, ACKNOWLEDGED)
    if (version === 4) await answer
    else {
      const refusal: unknown = await answer.then(
        () => assert.fail('was accepted'),
        (error: unknown) => error,
      )
      assert.equal((refusal as { code: number }).code, 0x83)
    }
    // 3.1.1 is acknowledged only when the dead letter is durable.
    const letter = await until('the dead letter', async () =>
      (await deadLetters(weir)).find(({ device_id }) => device_id === id),
    )
    assert.equal(letter.code, 'TELEMETRY_VALUE_OUT_OF_RANGE')
    assert.equal(letter.payload, payload)
    assert.match(letter.detail, /temperature.*150/)
  }
})

test('the PUBACK of MQTT 5 carries reason code 0x83 and a reason string', async (t) => {
  const weir = shared
  const token = await weir.register({ id: 'wordy', type: 'pump' })
  const client = await connected(t, weir, { id: 'wordy', token, version: 5 })
  const pubacks: { reasonCode?: number; properties?: { reasonString?: string } }[] = []
  client.on('packetreceive', (packet) => {
    if (packet.cmd === 'puback') pubacks.push(packet)
  })
  client.publish(topicOf('wordy'), '{"speed":1}', ACKNOWLEDGED, () => {})
  await until('the PUBACK', () => pubacks.length > 0)
  assert.equal(pubacks[0]!.reasonCode, 0x83)
  assert.match(pubacks[0]!.properties?.reasonString ?? '', /TELEMETRY_METRIC_UNKNOWN.*speed/)
})

test('HTTP: all bad is 422 with the reason, some bad 207 with their places', async () => {
  const weir = shared
  const token = await weir.register({ id: 'poster', type: 'pump' })
  const send = (body: unknown) => weir.api('/v1/devices/poster/telemetry', { token, body })
  const bad = await send({ temperature: 'hot' })
  assert.equal(bad.status, 422)
  assert.match(bad.headers.get('content-type') ?? '', /application\/problem\+json/)
  assert.equal(bad.body['code'], 'TELEMETRY_TYPE_MISMATCH')
  assert.equal(bad.body['status'], 422)
  const some = await send([{ temperature: 1 }, { temperature: 1e4 }, { temperature: 2 }, {}])
  assert.equal(some.status, 207)
  assert.equal(some.body['accepted'], 2)
  const rejected = some.body['rejected'] as { index: number; code: string }[]
  assert.deepEqual(
    rejected.map(({ index, code }) => [index, code]),
    [
      [1, 'TELEMETRY_VALUE_OUT_OF_RANGE'],
      [3, 'TELEMETRY_METRICS_EMPTY'],
    ],
  )
  const letters = await until('three dead letters', async () => {
    const found = (await deadLetters(weir)).filter(({ device_id }) => device_id === 'poster')
    return found.length === 3 && found
  })
  assert.deepEqual(letters.map(({ payload }) => payload).toSorted(), [
    '{"temperature":"hot"}',
    '{"temperature":10000}',
    '{}',
  ])
})

test('a token writes for its own device only, over every door', async (t) => {
  const weir = shared
  const token = await weir.register({ id: 'mine' })
  await weir.register({ id: 'other' })
  const body = { device: 'other', metrics: { a: 1 } }
  const answers = [
    await weir.api('/v1/devices/other/telemetry', { token, body: { a: 1 } }),
    await weir.api('/v1/telemetry', { token: 'not-a-token', body }),
  ]
  assert.deepEqual(
    answers.map(({ status }) => status),
    [403, 401],
  )
  const lines = await weir.api('/api/v2/write', { token, body: 'm,device_id=other a=1' })
  assert.equal(lines.status, 204)
  assert.equal(lines.headers.get('x-weir-rejected'), '1')
  const client = await connected(t, weir, { id: 'mine', token, version: 5 })
  await assert.rejects(client.publishAsync(topicOf('other'), '{"a":1}', ACKNOWLEDGED), {
    code: 0x87,
  })
  const impostor = openMqttDevice({ id: 'other', token, version: 5, port: () => weir.mqtt })
  t.after(() => impostor.end(true))
  const refused = await new Promise<Error & { code?: number }>((resolve) =>
    impostor.once('error', resolve),
  )
  assert.equal(refused.code, 0x86)
  assert.deepEqual(await weir.points('other', 'a'), [])
})

test('a gateway publishes for its children, for nobody else', async (t) => {
  const weir = shared
  const token = await weir.register({ id: 'gate', gateway: true })
  await weir.register({ id: 'child', parent: 'gate' })
  await weir.register({ id: 'stranger' })
  const client = await connected(t, weir, { id: 'gate', token, version: 5 })
  await client.publishAsync(topicOf('child'), '{"a":1}', ACKNOWLEDGED)
  await client.publishAsync(topicOf('gate'), '{"a":2}', ACKNOWLEDGED)
  await assert.rejects(client.publishAsync(topicOf('stranger'), '{"a":3}', ACKNOWLEDGED), {
    code: 0x87,
  })
  const body = ['child', 'stranger'].map((device) => ({ device, metrics: { b: 4 } }))
  const answer = await weir.api('/v1/telemetry', { token, body })
  assert.equal(answer.status, 207)
  const [rejection] = answer.body['rejected'] as { index: number; code: string }[]
  assert.equal(rejection?.index, 1)
  assert.equal(rejection?.code, 'GATEWAY_DEVICE_FORBIDDEN')
  await until('the child’s readings', async () => {
    const metrics = await Promise.all([weir.points('child', 'a'), weir.points('child', 'b')])
    return metrics.every(([point]) => point !== undefined)
  })
  assert.deepEqual(await weir.points('stranger', 'a'), [])
  assert.deepEqual(await weir.points('stranger', 'b'), [])
})

test('health, readiness and metrics tell what happened', async (t) => {
  const { weir } = await start(t)
  const token = await weir.register({ id: 'pump-1', type: 'pump' })
  const ts = Date.now()
  const body = [{ ts, temperature: 1 }, { ts, temperature: 1 }, { temperature: 999 }]
  assert.equal((await weir.api('/v1/devices/pump-1/telemetry', { token, body })).status, 207)
  assert.equal(
    (await weir.api('/health', { token: '', headers: { authorization: '' } })).status,
    200,
  )
  const metric = async (pattern: RegExp): Promise<number> => {
    const { text, headers } = await weir.api('/metrics')
    assert.match(headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/)
    return Number(pattern.exec(text)?.[1] ?? NaN)
  }
  await until('the duplicate is counted', async () => {
    return (await metric(/^weir_stream_duplicates_total (\d+)$/m)) === 1
  })
  assert.equal(await metric(/^weir_gateway_messages_total (\d+)$/m), 2)
  assert.equal(await metric(/^weir_gateway_dead_letters_total (\d+)$/m), 1)
})
