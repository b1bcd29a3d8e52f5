/** Attack table, "Flow / state", as far as it applies today, and row 19, against real processes. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { bytesOf, field, packetOf } from '../protocol/receive.ts'
import { until } from '../system/weir-process.ts'
import { codeOf, Peer } from './peer.ts'
import { disconnects, openFiles, rowsAgainst, Target } from './target.ts'

const CONNECTIONS_PER_DEVICE = 20
const config = `
mqtt:
  heldTimeout: 1s
  idleTimeout: 2s
  keepAliveMax: 10s
  connectionsPerDeviceMax: ${CONNECTIONS_PER_DEVICE}
`

const target = await Target.start({ after }, { config })
const { weir } = target
const port = weir.mqtt
const row = rowsAgainst(target)
const device = await target.device('flowing')
const versions = [4, 5] as const

const session = async (version: 4 | 5, clientId: string = device.id): Promise<Peer> =>
  (await Peer.open(port, { version })).join(device, { clientId })

/** What the server says to these bytes in a session before it closes. */
async function verdict(bytes: Uint8Array, version: 4 | 5 = 5): Promise<number | undefined> {
  const peer = await session(version)
  peer.send(bytes)
  return peer.refusal()
}

const connections = async (): Promise<number> =>
  (await target.metrics()).get('weir_gateway_connections') ?? NaN

row(
  47,
  'more messages in flight than the Receive Maximum end the session',
  disconnects('MQTT_RECEIVE_MAXIMUM_EXCEEDED', 1),
  async () => {
    const peer = await Peer.open(port)
    const connack = await peer.connect({ username: device.id, password: device.token })
    assert.equal(connack?.properties?.['receiveMaximum'], 1000)
    const publishes = Array.from({ length: 5000 }, (_, i) => peer.publishBytes(device.id, i + 1))
    peer.send(Buffer.concat(publishes))
    assert.equal(await peer.refusal(), 0x93)
  },
)

row(
  48,
  'QoS 2 is not offered, so there is no state of it to fill',
  { ...disconnects('MQTT_QOS_UNSUPPORTED', 2), ...disconnects('MQTT_PROTOCOL_ERROR', 2) },
  async () => {
    for (const version of versions) {
      const peer = await session(version)
      peer.send(peer.publishBytes(device.id, 1, '{"x":1}', { qos: 2 }))
      assert.equal(await peer.refusal(), version === 5 ? 0x9b : undefined)
      const code = version === 5 ? 0x82 : undefined
      assert.equal(await verdict(bytesOf('62 02 00 01'), version), code)
    }
  },
)

row(
  50,
  'a client that does not read is not read from either, and closed at the held time-out',
  disconnects('MQTT_CLIENT_NOT_READING', 1),
  async () => {
    const peer = await session(4)
    peer.socket.pause()
    const pings = Buffer.from('c000'.repeat(32_768), 'hex')
    const startMs = performance.now()
    // The kernels take some megabytes of questions and answers; then nothing moves any more.
    while (!peer.isClosed) {
      assert.ok(performance.now() - startMs < 8000, 'it is still connected')
      if (peer.socket.writableLength === 0) peer.send(pings)
      await delay(1)
    }
    assert.ok(peer.socket.bytesWritten < 32 * 2 ** 20, `${peer.socket.bytesWritten} bytes taken`)
  },
)

row(
  51,
  'packet id 0 is refused; reused ids and 65,536 messages in a row lose and skip nothing',
  { ...disconnects('MQTT_PROTOCOL_ERROR', 2), weir_gateway_messages_total: 66_002 },
  async () => {
    for (const version of versions) {
      const block = version === 5 ? '00' : ''
      const body = bytesOf(`00 19 'devices/flowing/telemetry' 00 00 ${block} '{"x":1}'`)
      assert.equal(await verdict(packetOf(0x32, body), version), version === 5 ? 0x82 : undefined)
    }
    const again = await session(5)
    const twice = [1, 2].map((x) => again.publishBytes(device.id, 7, `{"reused":${x}}`))
    again.send(Buffer.concat(twice))
    const pubacks = await again.received(2)
    assert.deepEqual(
      pubacks.map(({ messageId }) => messageId),
      [7, 7],
    )
    const wrapped = await target.device('wrapping')
    const peer = await (await Peer.open(port, { version: 4 })).join(wrapped)
    const idOf = (index: number): number => (index % 65_535) + 1
    const startMs = Date.now() - 100_000
    for (let first = 0; first < 66_000; first += 1000) {
      const block = Array.from({ length: 1000 }, (_, i) =>
        peer.publishBytes(wrapped.id, idOf(first + i), `{"ts":${startMs + first + i},"n":1}`),
      )
      peer.send(Buffer.concat(block))
      await peer.received(first + 1000)
    }
    assert.ok(peer.packets.every(({ messageId }, index) => messageId === idOf(index)))
    peer.destroy()
    await until('all are stored', async () => {
      const points = await weir.points(wrapped.id, 'n', { agg: 'count' })
      return points[0]?.[1] === 66_000
    })
    await until('both of one id', async () => (await weir.points(device.id, 'reused')).length === 2)
  },
)

row(
  52,
  'topics that are empty, too deep or too long are refused',
  {
    ...disconnects('MQTT_TOPIC_INVALID', 6),
    ...disconnects('MQTT_PROTOCOL_ERROR', 1),
    ...disconnects('MQTT_PACKET_MALFORMED', 1),
  },
  async () => {
    const publish = (topic: string, version: 4 | 5): Uint8Array =>
      packetOf(
        0x30,
        Buffer.concat([field(topic), bytesOf(version === 5 ? '00' : ''), bytesOf('01')]),
      )
    for (const topic of ['/'.repeat(65_400), 'a/'.repeat(128) + 'b', 't'.repeat(65_535)]) {
      assert.equal(await verdict(publish(topic, 5), 5), 0x90)
      assert.equal(await verdict(publish(topic, 4), 4), undefined)
    }
    assert.equal(await verdict(publish('', 5), 5), 0x82)
    assert.equal(await verdict(publish('', 4), 4), undefined)
  },
)

row(
  53,
  'filters are capped in a packet and in a session',
  {
    ...disconnects('MQTT_SUBSCRIPTIONS_EXCEEDED', 2),
    'weir_gateway_filters_refused_total{reason="limit"}': 99_950,
  },
  async () => {
    const subscribe = (peer: Peer, from: number, count: number): Buffer => {
      const name = (i: number): string => `devices/flowing/${from + i}`
      const subscriptions = Array.from({ length: count }, (_, i) => ({ topic: name(i), qos: 1 }))
      return peer.packet({ cmd: 'subscribe', messageId: 1, subscriptions })
    }
    for (const version of versions) {
      const peer = await session(version)
      peer.send(subscribe(peer, 0, 10_000))
      assert.equal(await peer.refusal(), version === 5 ? 0x97 : undefined)
    }
    const peer = await session(5)
    for (let packet = 0; packet < 100; packet++) {
      peer.send(subscribe(peer, packet * 1000, 1000))
      const granted = (await peer.received(packet + 1))[packet]?.granted ?? []
      const room = packet === 0 ? 50 : 0
      assert.ok(granted.every((code, at) => code === (at < room ? 1 : 0x97)))
    }
    // What it has already, it may ask for again.
    peer.send(subscribe(peer, 0, 50))
    const last = (await peer.received(101))[100]
    assert.ok(last?.granted?.every((code) => code === 1))
    peer.destroy()
  },
)

row(
  55,
  'topic aliases are not offered, so none is valid, and a reconnect keeps none',
  { ...disconnects('MQTT_TOPIC_ALIAS_INVALID', 4), ...disconnects('MQTT_PROTOCOL_ERROR', 1) },
  async () => {
    const publish = (topic: string, alias: string): Uint8Array =>
      packetOf(0x30, Buffer.concat([field(topic), bytesOf(alias), bytesOf(`'{}'`)]))
    const topic = 'devices/flowing/telemetry'
    for (const alias of ['03 23 00 00', '03 23 00 01', '03 23 ff ff']) {
      assert.equal(await verdict(publish(topic, alias)), 0x94, alias)
    }
    assert.equal(await verdict(publish('', '03 23 00 01')), 0x94)
    assert.equal(await verdict(publish('', '00')), 0x82)
  },
)

row(
  56,
  'no session outlives its connection, and a device has only so many',
  { ...disconnects('MQTT_CONNECTIONS_EXCEEDED', 2), weir_gateway_connections_total: 1000 },
  async () => {
    const before = await connections()
    const join = (clientId: string, version: 4 | 5 = 5) =>
      Peer.open(port, { version }).then(async (peer) => {
        const credentials = { username: device.id, password: device.token }
        const properties = { sessionExpiryInterval: 0xffffffff }
        return { peer, connack: await peer.connect({ clientId, ...credentials, properties }) }
      })
    // Client ids one after the other leave nothing.
    for (let i = 0; i < 1000; i++) {
      const { peer, connack } = await join(`brief-${i}`)
      if (i === 0) assert.equal(connack?.properties?.['sessionExpiryInterval'], 0)
      assert.equal(codeOf(connack), 0)
      peer.destroy()
    }
    await until('they are gone', async () => (await connections()) === before)
    const held: Peer[] = []
    for (let i = 0; i < CONNECTIONS_PER_DEVICE; i++) held.push((await join(`held-${i}`)).peer)
    assert.equal(codeOf((await join('one-more')).connack), 0x97)
    assert.equal(codeOf((await join('one-more', 4)).connack), 3)
    // Its own connection it may still take over.
    const taken = await join('held-3')
    assert.equal(codeOf(taken.connack), 0)
    assert.equal(await held[3]?.refusal(), 0x8e)
    for (const peer of [...held, taken.peer]) peer.destroy()
    await until('they are gone', async () => (await connections()) === before)
    const last = await join('room-again')
    assert.equal(codeOf(last.connack), 0)
    last.peer.destroy()
  },
)

row(
  57,
  'nothing is retained, and MQTT 5 is told so',
  disconnects('MQTT_RETAIN_UNSUPPORTED', 1),
  async () => {
    const peer = await Peer.open(port)
    const connack = await peer.connect({ username: device.id, password: device.token })
    assert.equal(connack?.properties?.['retainAvailable'], false)
    peer.send(peer.publishBytes(device.id, 1, '{"x":1}', { retain: true }))
    assert.equal(await peer.refusal(), 0x9a)
    // 3.1.1 has no word for it: the message is stored as any other.
    const four = await session(4)
    four.send(four.publishBytes(device.id, 1, '{"kept":1}', { retain: true }))
    assert.equal((await four.received(1))[0]?.cmd, 'puback')
    four.destroy()
  },
)

row(
  58,
  'keep-alives without end are cut: MQTT 5 is told, 3.1.1 has an idle time-out',
  disconnects('MQTT_KEEP_ALIVE_TIMEOUT', 2),
  async () => {
    for (const keepalive of [0, 65_535]) {
      const peer = await Peer.open(port)
      const credentials = { username: device.id, password: device.token }
      const connack = await peer.connect({ keepalive, ...credentials })
      assert.equal(connack?.properties?.['serverKeepAlive'], 10)
      peer.destroy()
    }
    const open = async (clientId: string, keepalive: number): Promise<Peer> =>
      (await Peer.open(port, { version: 4 })).join(device, { clientId, keepalive })
    const silent = [await open('a', 0), await open('b', 65_535)]
    const alive = await open('c', 0)
    const startMs = performance.now()
    while (!silent.every(({ isEnded }) => isEnded)) {
      assert.ok(performance.now() - startMs < 6000, 'they are still there')
      alive.send(bytesOf('c0 00'))
      await delay(100)
    }
    assert.ok(performance.now() - startMs > 1500)
    assert.equal(alive.isEnded, false)
    alive.destroy()
  },
)

row(
  60,
  'connecting, subscribing and publishing on one client id in a whirl loses and leaks nothing',
  disconnects('MQTT_SESSION_TAKEN_OVER', 100),
  async () => {
    const before = { files: openFiles(target.pid) ?? 0, connections: await connections() }
    const whirling = await target.device('whirling')
    let acknowledged = 0
    const ts = Date.now() - 60_000
    const whirl = async (worker: number): Promise<void> => {
      for (let round = 0; round < 100; round++) {
        const peer = await Peer.open(port, { version: round % 2 === 0 ? 4 : 5 })
        const credentials = { username: whirling.id, password: whirling.token }
        peer.send(peer.connectBytes({ clientId: 'one', ...credentials }))
        const filter = { topic: 'devices/whirling/#', qos: 1 }
        peer.send(peer.packet({ cmd: 'subscribe', messageId: 1, subscriptions: [filter] }))
        const payload = `{"ts":${ts + worker * 1000 + round},"whirled":1}`
        peer.send(peer.publishBytes(whirling.id, 2, payload))
        // Another worker may take it over at any point.
        await peer.until('PUBACK or the end', () => acks(peer) > 0 || peer.isEnded)
        acknowledged += acks(peer)
        if (round % 3 === 0) peer.send(bytesOf('e0 00'))
        peer.destroy()
      }
    }
    await Promise.all(Array.from({ length: 5 }, (_, worker) => whirl(worker)))
    await until('all are gone', async () => (await connections()) === before.connections)
    await until('the files are closed', () => (openFiles(target.pid) ?? 0) <= before.files + 5)
    const stored = await until('what was acknowledged is stored', async () => {
      const points = await weir.points(whirling.id, 'whirled')
      return points.length >= acknowledged && points
    })
    assert.equal(new Set(stored.map(([time]) => time)).size, stored.length)
  },
)

row(
  69,
  'a message sent again after a lost PUBACK is acknowledged again and stored once',
  { weir_stream_duplicates_total: 3 },
  async () => {
    const payload = `{"ts":${Date.now()},"resent":1}`
    const sends = [
      { version: 5, messageId: 5, dup: false },
      { version: 5, messageId: 5, dup: true },
      { version: 4, messageId: 5, dup: true },
      { version: 4, messageId: 6, dup: false },
    ] as const
    for (const { version, messageId, dup } of sends) {
      const peer = await session(version, 'resending')
      peer.send(peer.publishBytes(device.id, messageId, payload, { dup }))
      const [puback] = await peer.received(1)
      assert.deepEqual([puback?.cmd, puback?.messageId], ['puback', messageId])
      assert.equal(codeOf(puback) ?? 0, 0)
      peer.destroy()
    }
    await until('it is stored', async () => (await weir.points(device.id, 'resent')).length === 1)
  },
)

const acks = (peer: Peer): number => peer.packets.filter(({ cmd }) => cmd === 'puback').length

test(
  'row 19: an address that opens connections too fast is reset, and others connect at once',
  { skip: process.platform === 'linux' ? false : 'only Linux has 127.0.0.2 without being told' },
  async (t) => {
    const flooded = await Target.start(t, { config: 'mqtt: { connectRateMax: 100 }' })
    const own = await flooded.device('elsewhere')
    const { mqtt } = flooded.weir
    const counted = disconnects('MQTT_CONNECT_RATE_EXCEEDED', 1000)
    await flooded.survives(async () => {
      const state = { isOver: false }
      let opened = 0
      const flood = async (): Promise<void> => {
        while (!state.isOver) {
          const peer = await Peer.open(mqtt)
          peer.send(peer.connectBytes({ username: 'nobody', password: 'nothing' }))
          opened++
          await peer.until('an end', () => peer.isEnded)
          peer.destroy()
        }
      }
      const workers = Array.from({ length: 20 }, flood)
      // A slow machine floods for longer, not with less.
      for (let i = 0; i < 10 || opened <= 2000; i++) {
        const startMs = performance.now()
        const peer = await Peer.open(mqtt, { localAddress: '127.0.0.2' })
        await peer.join(own)
        assert.ok(performance.now() - startMs < 1000)
        peer.destroy()
        await delay(100)
      }
      state.isOver = true
      await Promise.all(workers)
    }, counted)
  },
)
