/** Attack table, "Identity & authz", as far as it applies to MQTT today, against a real process. */
import assert from 'node:assert/strict'
import { after } from 'node:test'
import { topicOf } from '../system/mqtt-device.ts'
import { until } from '../system/weir-process.ts'
import { codeOf, Peer, type ConnectOptions, type Received } from './peer.ts'
import { disconnects, rowsAgainst, Target } from './target.ts'

const target = await Target.start({ after })
const { weir } = target
const port = weir.mqtt
const row = rowsAgainst(target)
const device = await target.device('mine')
const victim = await target.device('victim')
const versions = [4, 5] as const

/** The CONNACK's code, after which the server closes; undefined when it closes without one. */
async function refused(options: ConnectOptions, version: 4 | 5): Promise<number | undefined> {
  const peer = await Peer.open(port, { version })
  const code = codeOf(await peer.connect(options))
  await peer.refusal()
  return code
}

const own = (more: ConnectOptions = {}): ConnectOptions => ({
  username: device.id,
  password: device.token,
  ...more,
})

const rejected = (code: string, count: number) => ({
  [`weir_gateway_rejected_total{code="${code}"}`]: count,
})

row(
  22,
  'client ids with wildcards, slashes, control characters or no end are not valid',
  disconnects('MQTT_CLIENT_ID_INVALID', 14),
  async () => {
    const ids = ['#', '+', 'a/b', 'a\u0001b', 'a\u0085b', 'x'.repeat(257), 'x'.repeat(60_000)]
    for (const clientId of ids) {
      assert.equal(await refused(own({ clientId }), 5), 0x85)
      assert.equal(await refused(own({ clientId }), 4), 2)
    }
    // The longest that MQTT can write does not pass for a stranger's packet.
    assert.equal(await refused(own({ clientId: 'x'.repeat(65_535) }), 5), undefined)
    await (await Peer.open(port)).join(device, { clientId: 'ü'.repeat(128) }).then(destroy)
  },
)

const destroy = (peer: Peer): void => peer.destroy()

row(
  23,
  'a user name with wildcards stands for nobody else',
  disconnects('MQTT_CREDENTIALS_INVALID', 14),
  async () => {
    for (const username of ['+', '#', '*', '%', 'min_', 'm%', "' OR 1=1 --"]) {
      for (const version of versions) {
        const code = await refused({ username, password: device.token }, version)
        assert.equal(code, version === 5 ? 0x86 : 4, username)
      }
    }
    for (const id of ['+', '#', 'a/+/b']) {
      const { status } = await weir.api('/v1/devices', { body: { id, type: 'generic' } })
      assert.equal(status, 400)
    }
  },
)

row(
  24,
  'devices called __proto__ and constructor are devices like any other',
  { ...rejected('TELEMETRY_SHAPE_INVALID', 3), weir_gateway_messages_total: 6 },
  async () => {
    const ids = ['__proto__', 'constructor', 'toString']
    for (const [index, id] of ids.entries()) {
      const odd = await target.device(id)
      const peer = await (await Peer.open(port)).join(odd)
      const metrics = `{"value":${index},"constructor":7,"toString":8,"hasOwnProperty":9}`
      peer.send(peer.publishBytes(id, 1, metrics))
      peer.send(peer.publishBytes(id, 2, '{"value":1,"__proto__":{"polluted":1}}'))
      peer.send(peer.publishBytes(id, 3, `{"value":${index},"tags":{"__proto__":"x"}}`))
      const pubacks = await peer.received(3)
      assert.deepEqual(
        pubacks.map((puback) => codeOf(puback) ?? 0),
        [0, 0x83, 0],
      )
      peer.destroy()
    }
    for (const [index, id] of ids.entries()) {
      await until('its readings', async () => (await weir.points(id, 'value')).length === 2)
      const values = (await weir.points(id, 'value')).map(([, value]) => value)
      assert.deepEqual(values, [index, index])
      assert.equal((await weir.points(id, 'constructor'))[0]?.[1], 7)
      assert.equal((await weir.points(id, 'hasOwnProperty'))[0]?.[1], 9)
      assert.deepEqual(await weir.points(id, 'polluted'), [])
      const path = `/v1/devices/${encodeURIComponent(id)}/latest`
      const { metrics } = await weir.get<{ metrics: Record<string, unknown> }>(path)
      assert.deepEqual(Object.keys(metrics).toSorted(), [
        'constructor',
        'hasOwnProperty',
        'toString',
        'value',
      ])
    }
    const foreign = await weir.api('/v1/devices', { body: { id: 'x', type: 'constructor' } })
    assert.equal(foreign.status, 400)
  },
)

row(
  27,
  'an unknown user and a wrong password get the same bytes in the same time',
  disconnects('MQTT_CREDENTIALS_INVALID', 400),
  async () => {
    for (const version of versions) {
      const tookMs: Record<string, number[]> = { mine: [], nobody: [] }
      const answers = new Set<string>()
      for (let i = 0; i < 200; i++) {
        const username = i % 2 === 0 ? 'mine' : 'nobody'
        const peer = await Peer.open(port, { version })
        const bytes = peer.connectBytes({ username, password: `wdt_wrong-${i}` })
        const startMs = performance.now()
        peer.send(bytes)
        await peer.received(1)
        tookMs[username]!.push(performance.now() - startMs)
        answers.add(peer.bytes.toString('hex'))
        peer.destroy()
      }
      assert.equal(answers.size, 1)
      const [known, unknown] = [median(tookMs['mine']!), median(tookMs['nobody']!)]
      assert.ok(Math.abs(known - unknown) < 0.5, `${known} ms and ${unknown} ms`)
    }
  },
)

const median = (values: number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN

row(
  38,
  'a message to another device’s topic is refused, and nothing of it is stored there',
  { ...rejected('MQTT_TOPIC_FORBIDDEN', 1), ...disconnects('MQTT_TOPIC_FORBIDDEN', 3) },
  async () => {
    const five = await (await Peer.open(port)).join(device)
    five.send(five.publishBytes(victim.id, 1, '{"stolen":1}'))
    const [puback] = await five.received(1)
    assert.deepEqual([puback?.cmd, codeOf(puback)], ['puback', 0x87])
    five.send(five.publishBytes(victim.id, 0, '{"stolen":2}', { qos: 0 }))
    assert.equal(await five.refusal(), 0x87)
    for (const qos of [0, 1]) {
      const four = await (await Peer.open(port, { version: 4 })).join(device)
      four.send(four.publishBytes(victim.id, 1, '{"stolen":3}', { qos }))
      await four.refusal()
      assert.deepEqual(four.packets, [])
    }
    assert.deepEqual(await weir.points(victim.id, 'stolen'), [])
  },
)

const suback = async (filters: string[], version: 4 | 5): Promise<Received> => {
  const peer = await (await Peer.open(port, { version })).join(device)
  const subscriptions = filters.map((topic) => ({ topic, qos: 1 }))
  peer.send(peer.packet({ cmd: 'subscribe', messageId: 1, subscriptions }))
  const [answer] = await peer.received(1)
  peer.destroy()
  return answer!
}

row(
  39,
  'filters beyond the own topics, and malformed shared ones, get no subscription',
  {
    'weir_gateway_filters_refused_total{reason="forbidden"}': 13,
    'weir_gateway_filters_refused_total{reason="shared"}': 1,
    'weir_gateway_filters_refused_total{reason="invalid"}': 3,
    ...disconnects('MQTT_PACKET_MALFORMED', 1),
  },
  async () => {
    const foreign = ['#', '+/+', '$SYS/#', 'devices/+/telemetry', 'devices/victim/#']
    const shared = ['$share/g/#', '$share//x', '$share/+/x', '$share/ab']
    const granted = 'devices/mine/#'
    const five = await suback([...foreign, ...shared, granted], 5)
    const codes = [0x87, 0x87, 0x87, 0x87, 0x87, 0x9e, 0x8f, 0x8f, 0x8f, 1]
    assert.deepEqual(five.granted, codes)
    // A wildcard in the middle of a level is malformed, wherever it stands: [MQTT-4.7.1-3].
    assert.equal(codeOf(await suback(['$share/a+b/x'], 5)), 0x81)
    // 3.1.1 knows no shared subscriptions: "$share" is a level like any other, and not its own.
    const four = await suback([...foreign, ...shared, granted], 4)
    assert.deepEqual(four.granted, [...Array.from({ length: 9 }, () => 0x80), 1])
  },
)

row(
  40,
  'a shared subscription is no way around the permission of its inner filter',
  { 'weir_gateway_filters_refused_total{reason="shared"}': 2 },
  async () => {
    const filters = ['$share/g/devices/victim/#', '$share/g/devices/mine/#']
    assert.deepEqual((await suback(filters, 5)).granted, [0x9e, 0x9e])
    assert.deepEqual((await suback(filters, 4)).granted, [0x80, 0x80])
  },
)

row(
  41,
  'a will for another topic refuses the CONNECT',
  disconnects('MQTT_TOPIC_FORBIDDEN', 6),
  async () => {
    for (const topic of [topicOf(victim.id), '$SYS/x', 'devices/mine/commands']) {
      const will = { topic, payload: '{"stolen":1}', qos: 1, retain: false }
      assert.equal(await refused(own({ will }), 5), 0x87)
      assert.equal(await refused(own({ will }), 4), 5)
    }
    assert.deepEqual(await weir.points(victim.id, 'stolen'), [])
  },
)

row(
  46,
  'topics of the server are closed to publishers',
  { ...rejected('MQTT_TOPIC_FORBIDDEN', 5), ...disconnects('MQTT_TOPIC_FORBIDDEN', 5) },
  async () => {
    const topics = ['$SYS/broker/load', '$CONTROL/dynamic-security/v1', 'weir/internal']
    for (const topic of [...topics, 'devices', 'devices/mine/telemetry/x']) {
      const five = await (await Peer.open(port)).join(device)
      five.send(five.publishBytes(device.id, 1, '{"x":1}', { topic }))
      assert.equal(codeOf((await five.received(1))[0]), 0x87, topic)
      five.destroy()
      const four = await (await Peer.open(port, { version: 4 })).join(device)
      four.send(four.publishBytes(device.id, 1, '{"x":1}', { topic }))
      assert.equal(await four.refusal(), undefined)
    }
  },
)
