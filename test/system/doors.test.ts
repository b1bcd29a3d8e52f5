/**
 * What people already have must work as it is: `mosquitto_pub`, `curl`, Telegraf's way of writing,
 * and the most used MQTT client. Each reading is in `GET /v1/query` within 2 s of its
 * acknowledgement.
 */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { ACKNOWLEDGED, openMqttDevice, topicOf } from './mqtt-device.ts'
import { makeFolder, missingTool, run, until, WeirProcess } from './weir-process.ts'

/** From the acknowledgement to the answer of a query. */
const VISIBLE_MS = 2_000

const curlMissing = await missingTool('curl')
const mosquittoMissing = await missingTool('mosquitto_pub')

// Out here: what a hook hands to `after` ends with the hook.
const weir = await WeirProcess.start({ folder: await makeFolder({ after }) })

/** Waits until exactly this one value of the metric is there. */
async function visible(device: string, metric: string, value: unknown): Promise<void> {
  const points = await until(
    `${metric} of ${device} in GET /v1/query\n${weir.running.output}`,
    async () => {
      const found = await weir.points(device, metric)
      return found.length > 0 && found
    },
    VISIBLE_MS,
  )
  assert.deepEqual(
    points.map(([, one]) => one),
    [value],
  )
}

for (const version of ['3.1.1', '5'] as const) {
  test(
    `a stock mosquitto_pub speaking MQTT ${version} is stored within 2 s`,
    { skip: mosquittoMissing },
    async () => {
      const id = `mosquitto-${version}`
      const token = await weir.register({ id })
      const protocol = version === '5' ? ['-V', '5'] : []
      const parameters = ['-h', '127.0.0.1', '-p', String(weir.mqtt), '-q', '1', '-u', id, '-P']
      const message = ['-t', topicOf(id), '-m', '{"temperature":21.5,"running":true,"mode":"auto"}']
      const { code, stderr } = await run('mosquitto_pub', [
        ...parameters.concat(token),
        ...message,
        ...protocol,
      ])
      assert.equal(code, 0, stderr)
      await visible(id, 'temperature', 21.5)
      await visible(id, 'running', true)
      await visible(id, 'mode', 'auto')
    },
  )
}

test('a stock curl is answered 200 and stored within 2 s', { skip: curlMissing }, async () => {
  const token = await weir.register({ id: 'curl' })
  const { code, stdout, stderr } = await run('curl', [
    ...['-sS', '--fail-with-body', '-w', ' %{http_code}'],
    ...['-H', `Authorization: Bearer ${token}`, '-H', 'Content-Type: application/json'],
    ...['-d', '{"metrics":{"temperature":-3.25}}', `${weir.url}/v1/devices/curl/telemetry`],
  ])
  assert.equal(code, 0, stderr)
  assert.equal(stdout, '{"accepted":1} 200')
  await visible('curl', 'temperature', -3.25)
})

test('a write as Telegraf’s influxdb_v2 output sends it is stored within 2 s', async () => {
  for (const id of ['edge-1', 'edge-2']) await weir.register({ id })
  const nowNs = BigInt(Date.now()) * 1_000_000n
  const lines = ['edge-1', 'edge-2'].map(
    (host, i) => `cpu,cpu=cpu-total,host=${host} usage_idle=9${i}.5,usage_user=1.25 ${nowNs}
mem,host=${host} used=4096i,total=8192u,used_percent=50 ${nowNs}
system,host=${host} load1=0.5,uptime_format="1 day, 2:03" ${nowNs}
disk,device=vda1,fstype=ext4,host=${host},mode=rw,path=/ free=123i,read_only=false ${nowNs}
`,
  )
  const answer = await weir.api('/api/v2/write?bucket=telegraf&org=acme', {
    body: gzipSync(lines.join('')),
    headers: {
      authorization: `Token ${weir.adminKey}`,
      'user-agent': 'Telegraf/1.32.0 Go/1.23.0',
      'content-type': 'text/plain; charset=utf-8',
      'content-encoding': 'gzip',
    },
  })
  assert.equal(answer.status, 204, answer.text)
  assert.equal(answer.headers.get('x-weir-rejected'), '0')
  for (const [i, host] of ['edge-1', 'edge-2'].entries()) {
    await visible(host, 'usage_idle', 90.5 + i)
    await visible(host, 'used', 4096)
    await visible(host, 'total', 8192)
    await visible(host, 'uptime_format', '1 day, 2:03')
    await visible(host, 'read_only', false)
  }
  // The tag `host` comes before `device`, which here names a disk.
  const { devices } = await weir.get<{ devices: { id: string }[] }>('/v1/devices')
  assert.ok(!devices.some(({ id }) => id === 'vda1'))
})

test('auto-registration: a name that cannot be an id costs its own line and no other', async (t) => {
  const config = 'gateway: { autoRegister: true }'
  const open = await WeirProcess.start({ folder: await makeFolder(t), config })
  const answer = await open.api('/api/v2/write', {
    body: 'm,host=new-1 a=1\nm,host=not/an/id a=2\nm,host=.. a=3\nm,host=new-2 a=4\n',
  })
  assert.equal(answer.status, 204, answer.text)
  assert.equal(answer.headers.get('x-weir-rejected'), '2')
  type Letters = { items: { code: string; payload: string }[] }
  const letters = await until('two dead letters', async () => {
    const { items } = await open.get<Letters>('/v1/dead-letters')
    return items.length === 2 && items
  })
  assert.deepEqual(letters.map(({ payload }) => payload).toSorted(), [
    'm,host=.. a=3',
    'm,host=not/an/id a=2',
  ])
  for (const { code } of letters) assert.equal(code, 'GATEWAY_DEVICE_UNKNOWN')
  for (const [id, value] of [
    ['new-1', 1],
    ['new-2', 4],
  ] as const) {
    const points = await until(`the reading of ${id}`, async () => {
      const found = await open.points(id, 'a')
      return found.length > 0 && found
    })
    assert.deepEqual(
      points.map(([, one]) => one),
      [value],
    )
  }
  await open.stop()
})

for (const version of [4, 5] as const) {
  test(`npm's mqtt speaking MQTT ${version === 4 ? '3.1.1' : '5'} is stored within 2 s`, async () => {
    const id = `npm-${version}`
    const token = await weir.register({ id })
    const client = openMqttDevice({ id, token, version, port: () => weir.mqtt })
    try {
      await client.publishAsync(topicOf(id), '{"temperature":7}', ACKNOWLEDGED)
      await visible(id, 'temperature', 7)
      await client.publishAsync(topicOf(id), '[{"a":1},{"b":2}]', ACKNOWLEDGED)
      await visible(id, 'a', 1)
      await visible(id, 'b', 2)
    } finally {
      await client.endAsync()
    }
  })
}
