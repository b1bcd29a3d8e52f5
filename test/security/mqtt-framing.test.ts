/** Attack table, "MQTT framing (pre-auth)", rows 1 to 18, against a real process. */
import assert from 'node:assert/strict'
import { after } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { bytesOf, field, packetOf, receive } from '../protocol/receive.ts'
import { until } from '../system/weir-process.ts'
import { codeOf, Peer, type ConnectOptions } from './peer.ts'
import { disconnects, openFiles, rowsAgainst, Target } from './target.ts'

const CONNECT_TIMEOUT_MS = 300
/** The deadline itself, a sweep each second, and a busy machine. */
const CLOSED_WITHIN_MS = CONNECT_TIMEOUT_MS + 3000

const target = await Target.start({ after }, { config: 'mqtt: { connectTimeout: 300ms }' })
const { mqtt: port } = target.weir
const row = rowsAgainst(target)
const device = await target.device('framed')
const versions = [4, 5] as const

/** What the server says to these bytes before it closes: a reason code, or nothing at all. */
async function verdict(bytes: Uint8Array, version: 4 | 5 = 5): Promise<number | undefined> {
  const peer = await Peer.open(port, { version })
  peer.send(bytes)
  return peer.refusal()
}

/** The same, once a session of that version stands. */
async function verdictInSession(
  bytes: Uint8Array | ((peer: Peer) => Uint8Array),
  version: 4 | 5,
  options: ConnectOptions = {},
): Promise<number | undefined> {
  const peer = await Peer.open(port, { version })
  await peer.join(device, options)
  peer.send(typeof bytes === 'function' ? bytes(peer) : bytes)
  return peer.refusal()
}

/** A CONNECT of MQTT 5 whose flags, properties and fields are given. */
const connectOf = (flags: string, properties: Uint8Array, ...fields: Uint8Array[]): Uint8Array =>
  packetOf(
    0x10,
    Buffer.concat([
      bytesOf(`00 04 'MQTT' 05 ${flags} 00 1e`),
      packetOf(0, properties).subarray(1),
      ...fields,
    ]),
  )

row(
  1,
  'connections that say nothing are closed at the connect time-out, and their files with them',
  disconnects('MQTT_CONNECT_TIMEOUT', 200),
  async () => {
    const before = openFiles(target.pid) ?? 0
    const startMs = performance.now()
    // They never close their own side, and still lose their file.
    const open = () => Peer.open(port, { halfOpen: true })
    const peers = await Promise.all(Array.from({ length: 200 }, open))
    await until('all are closed', () => peers.every((peer) => peer.isEnded), CLOSED_WITHIN_MS)
    assert.ok(performance.now() - startMs >= CONNECT_TIMEOUT_MS)
    await until('the files are closed', () => (openFiles(target.pid) ?? 0) <= before + 5)
    for (const peer of peers) peer.destroy()
  },
)

row(
  2,
  'a CONNECT that drips in is closed at the same deadline, which no byte moves',
  disconnects('MQTT_CONNECT_TIMEOUT', 1),
  async () => {
    const peer = await Peer.open(port, { halfOpen: true })
    const bytes = peer.connectBytes({ clientId: 'x'.repeat(200) })
    const startMs = performance.now()
    let sent = 0
    while (!peer.isEnded) {
      assert.ok(performance.now() - startMs < CLOSED_WITHIN_MS, 'it still drips')
      peer.send(bytes.subarray(sent, ++sent))
      await delay(20)
    }
    assert.ok(sent < bytes.length)
    // Nor does it keep the connection by going on after the server's end.
    const endedMs = performance.now()
    while (!peer.isClosed) {
      assert.ok(performance.now() - endedMs < CLOSED_WITHIN_MS, 'it is never cut off')
      peer.send(Uint8Array.of(0))
      await delay(50)
    }
  },
)

row(
  3,
  'a first packet that is no CONNECT is closed on its first byte; nothing is kept of it',
  disconnects('MQTT_PROTOCOL_ERROR', 13),
  async () => {
    for (let type = 0; type < 16; type++) {
      if (type === 1) continue
      const [onlyFirst, announced] = [type << 4, [type << 4, 0xff, 0xff, 0xff, 0x7f]]
      assert.equal(await verdict(Uint8Array.of(onlyFirst)), undefined, `type ${type}`)
      assert.equal(await verdict(Uint8Array.from(announced)), undefined, `type ${type}`)
    }
  },
)

row(
  4,
  'a CONNECT beyond the limit for strangers is closed before its body comes',
  disconnects('GATEWAY_BODY_TOO_LARGE', 2),
  async () => {
    assert.equal(await verdict(bytesOf('10 81 80 04')), undefined)
    assert.equal(await verdict(bytesOf('10 ff ff ff 7f')), undefined)
  },
)

row(
  5,
  'a remaining length of five bytes is malformed',
  disconnects('MQTT_PACKET_MALFORMED', 3),
  async () => {
    assert.equal(await verdict(bytesOf('10 80 80 80 80 01')), undefined)
    assert.equal(await verdictInSession(bytesOf('30 80 80 80 80 01'), 4), undefined)
    assert.equal(await verdictInSession(bytesOf('30 80 80 80 80 01'), 5), 0x81)
  },
)

row(
  6,
  'a packet beyond packetBytesMax is refused from its header',
  disconnects('GATEWAY_BODY_TOO_LARGE', 2),
  async () => {
    assert.equal(await verdictInSession(bytesOf('30 ff ff ff 7f'), 5), 0x95)
    assert.equal(await verdictInSession(bytesOf('30 ff ff ff 7f'), 4), undefined)
  },
)

row(
  7,
  'dripped packets cost memory by what came of them, not by what they announce',
  { weir_gateway_messages_total: 1 },
  async () => {
    const peer = await (await Peer.open(port)).join(device)
    for (const byte of peer.publishBytes(device.id, 1, `{"x":1,"y":"${'z'.repeat(100)}"}`)) {
      peer.send(Uint8Array.of(byte))
      await delay(1)
    }
    await peer.received(1)
    peer.destroy()
    // 320 MB announced, five bytes of each sent: by strangers, and in sessions.
    const strangers = await Promise.all(Array.from({ length: 1000 }, () => Peer.open(port)))
    for (const stranger of strangers) stranger.send(bytesOf('10 fc ff 03 00'))
    // A hundred at a time: a busy machine would let the deadline of those pass that wait.
    const sessions: Peer[] = []
    for (let group = 0; group < 10; group++) {
      const [one, other] = [
        target.device(`dripping-${group}a`),
        target.device(`dripping-${group}b`),
      ]
      const both = await Promise.all([one, other])
      const open = async (index: number): Promise<Peer> =>
        (await Peer.open(port)).join(both[index % 2]!, { clientId: `${group}-${index}` })
      sessions.push(...(await Promise.all(Array.from({ length: 100 }, (_, i) => open(i)))))
    }
    for (const session of sessions) session.send(bytesOf('30 fb ff 0f 00'))
    await delay(200)
    for (const each of [...strangers, ...sessions]) each.destroy()
  },
)

row(
  8,
  'each packet cut at each byte waits or is refused; the connection’s end leaves nothing behind',
  disconnects('MQTT_CONNECT_TIMEOUT', 1),
  async () => {
    const files = openFiles(target.pid) ?? 0
    for (const version of versions) {
      const model = await Peer.open(port, { version })
      const will = { topic: 'devices/framed/telemetry', payload: '{}', qos: 1, retain: false }
      const credentials = { username: 'framed', password: device.token, will }
      const connect = model.connectBytes({ clientId: 'cut', ...credentials })
      model.destroy()
      const cut = Array.from({ length: connect.length }, async (_, length) => {
        const peer = await Peer.open(port, { version })
        peer.send(connect.subarray(0, length))
        // Half of them leave, the others wait for the deadline.
        if (length % 2 === 0) peer.socket.end()
        await peer.until('it is closed', () => peer.isClosed)
        assert.deepEqual(peer.packets, [])
      })
      await Promise.all(cut)
      const session = await (await Peer.open(port, { version })).join(device)
      const filter = { topic: 'devices/framed/#', qos: 1 }
      const packets = [
        session.publishBytes('framed', 7),
        session.packet({ cmd: 'subscribe', messageId: 1, subscriptions: [filter] }),
        session.packet({ cmd: 'unsubscribe', messageId: 2, unsubscriptions: ['a/b'] }),
        session.packet({ cmd: 'pingreq' }),
      ]
      session.destroy()
      await Promise.all(packets.map((packet) => cutEverywhere(packet, version)))
    }
    await until('the files are closed', () => (openFiles(target.pid) ?? 0) <= files + 5)
  },
)

/** Two pieces for each place; the session answers as to the whole packet. */
async function cutEverywhere(packet: Buffer, version: 4 | 5): Promise<void> {
  const clientId = `cut-${version}-${packet[0]}`
  const peer = await (await Peer.open(port, { version })).join(device, { clientId })
  for (let length = 1; length < packet.length; length++) {
    peer.send(packet.subarray(0, length))
    await delay(2)
    assert.equal(peer.packets.length, length - 1)
    peer.send(packet.subarray(length))
    await peer.received(length)
  }
  peer.destroy()
}

row(
  9,
  'bytes behind a packet’s last field are malformed',
  disconnects('MQTT_PACKET_MALFORMED', 6),
  async () => {
    const extra = connectOf('02', Buffer.alloc(0), field('a'), Uint8Array.of(0))
    assert.equal(await verdict(extra), 0x81)
    for (const version of versions) {
      const code = version === 5 ? 0x81 : undefined
      assert.equal(await verdictInSession(packetOf(0xc0, '00'), version), code)
      assert.equal(await verdictInSession(packetOf(0xe0, '00 00 00'), version), code)
    }
    assert.equal(await verdictInSession(packetOf(0x82, `00 01 00 00 01 't' 00 00`), 5), 0x81)
  },
)

row(
  10,
  'packets that only a server sends, or that belong to QoS 2, are a protocol error',
  disconnects('MQTT_PROTOCOL_ERROR', 14),
  async () => {
    const packets = ['20 02 00 00', '90 03 00 01 00', 'b0 02 00 01', 'd0 00']
    for (const packet of [...packets, '50 02 00 01', '62 02 00 01', '70 02 00 01']) {
      assert.equal(await verdictInSession(bytesOf(packet), 5), 0x82, packet)
      assert.equal(await verdictInSession(bytesOf(packet), 4), undefined, packet)
    }
  },
)

row(
  11,
  'reserved types and flag bits are malformed',
  disconnects('MQTT_PACKET_MALFORMED', 20),
  async () => {
    // Type 0; 15 in 3.1.1; each other type with a flag that is not its own; QoS 3.
    const firsts = ['0f', '41', '51', '60', '80', 'a0', 'c1', 'e1', '36', '3e']
    for (const first of firsts) {
      assert.equal(await verdictInSession(bytesOf(`${first} 00`), 5), 0x81, first)
      assert.equal(await verdictInSession(bytesOf(`${first} 00`), 4), undefined, first)
    }
    assert.equal(await verdictInSession(bytesOf('f0 00'), 4), undefined)
    assert.equal(await verdict(bytesOf('11 00')), undefined)
  },
)

row(12, 'a second CONNECT ends the session', disconnects('MQTT_PROTOCOL_ERROR', 2), async () => {
  assert.equal(await verdictInSession((peer) => peer.connectBytes(), 5), 0x82)
  assert.equal(await verdictInSession((peer) => peer.connectBytes(), 4), undefined)
})

row(
  13,
  'other protocols are refused in the nearest language',
  disconnects('MQTT_VERSION_UNSUPPORTED', 3),
  async () => {
    assert.equal(await verdict(packetOf(0x10, `00 06 'MQIsdp' 03 02 00 1e 00 01 'a'`), 4), 1)
    assert.equal(await verdict(packetOf(0x10, `00 02 'hj' 04 02 00 1e 00 01 'a'`), 4), 1)
    assert.equal(await verdict(packetOf(0x10, `00 04 'MQTT' 06 02 00 1e 00 00 01 'a'`)), 0x84)
  },
)

row(
  14,
  'ill-formed UTF-8 and U+0000 are refused in client id, user name, topics and will',
  disconnects('MQTT_PACKET_MALFORMED', 18),
  async () => {
    for (const bad of ['00', 'ed a0 80', 'c0 80']) {
      const text = field(bytesOf(bad))
      const none = Buffer.alloc(0)
      const a = field('a')
      assert.equal(await verdict(connectOf('02', none, text)), 0x81)
      assert.equal(await verdict(connectOf('82', none, a, text)), 0x81)
      assert.equal(await verdict(connectOf('06', none, a, Uint8Array.of(0), text, a)), 0x81)
      const publish = packetOf(0x30, Buffer.concat([text, Uint8Array.of(0)]))
      assert.equal(await verdictInSession(publish, 5), 0x81)
      const subscribe = Buffer.concat([bytesOf('00 01 00'), text, Uint8Array.of(0)])
      assert.equal(await verdictInSession(packetOf(0x82, subscribe), 5), 0x81)
      assert.equal(await verdictInSession(packetOf(0x30, text), 4), undefined)
    }
  },
)

row(
  15,
  'user properties are capped, and reading to the cap takes no time',
  disconnects('MQTT_PACKET_MALFORMED', 2),
  async () => {
    const property = Buffer.concat([Uint8Array.of(0x26), field('k'), field('v')])
    const many = Buffer.concat(Array.from({ length: 20_000 }, () => property))
    // 140 KB: too much for a stranger, whatever it holds; 9,000 of them fit.
    assert.equal(await verdict(connectOf('02', many, field('a'))), undefined)
    assert.equal(await verdict(connectOf('02', many.subarray(0, 63_000), field('a'))), 0x81)
    const block = packetOf(0, many).subarray(1)
    const publish = packetOf(0x30, Buffer.concat([field('t'), block]))
    assert.equal(await verdictInSession(publish, 5), 0x81)
    const tookMs = Array.from({ length: 5 }, () => {
      const startMs = performance.now()
      receive(publish, { version: 5 })
      return performance.now() - startMs
    })
    assert.ok(Math.min(...tookMs) < 5, `${tookMs.join()} ms`)
  },
)

row(
  16,
  'properties that occur twice, are unknown, or belong to another packet are refused',
  { ...disconnects('MQTT_PACKET_MALFORMED', 3), ...disconnects('MQTT_PROTOCOL_ERROR', 3) },
  async () => {
    const a = field('a')
    assert.equal(await verdict(connectOf('02', bytesOf('21 00 05 21 00 05'), a)), 0x82)
    assert.equal(await verdict(connectOf('02', bytesOf('7f'), a)), 0x81)
    assert.equal(await verdict(connectOf('02', bytesOf('23 00 01'), a)), 0x81)
    const publish = (properties: string): Uint8Array =>
      packetOf(0x30, Buffer.concat([field('t'), packetOf(0, properties).subarray(1)]))
    assert.equal(await verdictInSession(publish('01 01 01 01'), 5), 0x82)
    assert.equal(await verdictInSession(publish('21 00 05'), 5), 0x81)
    assert.equal(await verdictInSession(publish('0b 01'), 5), 0x82)
  },
)

row(
  17,
  'authentication that is not offered: a method in CONNECT is 0x8C, AUTH a protocol error',
  {
    ...disconnects('MQTT_AUTHENTICATION_METHOD_INVALID', 1),
    ...disconnects('MQTT_PROTOCOL_ERROR', 3),
    ...disconnects('MQTT_PACKET_MALFORMED', 1),
  },
  async () => {
    assert.equal(await verdict(connectOf('02', bytesOf(`15 00 01 'm'`), field('a'))), 0x8c)
    assert.equal(await verdict(connectOf('02', bytesOf(`16 00 01 'd'`), field('a'))), 0x82)
    assert.equal(await verdictInSession(bytesOf('f0 00'), 5), 0x82)
    assert.equal(await verdictInSession(packetOf(0xf0, `19 04 15 00 01 'x'`), 5), 0x82)
    assert.equal(await verdictInSession(bytesOf('f0 00'), 4), undefined)
  },
)

row(
  18,
  'connect flags that contradict each other, and wills that are not offered, are refused',
  {
    ...disconnects('MQTT_PACKET_MALFORMED', 5),
    ...disconnects('MQTT_QOS_UNSUPPORTED', 1),
    ...disconnects('MQTT_RETAIN_UNSUPPORTED', 1),
  },
  async () => {
    const none = Buffer.alloc(0)
    const a = field('a')
    const will = [a, Uint8Array.of(0), field('t'), field('p')]
    assert.equal(await verdict(connectOf('03', none, a)), 0x81) // The reserved flag.
    assert.equal(await verdict(connectOf('1e', none, ...will)), 0x81) // Will QoS 3.
    assert.equal(await verdict(connectOf('0a', none, a)), 0x81) // QoS without a will.
    assert.equal(await verdict(connectOf('22', none, a)), 0x81) // Retain without a will.
    const alone = bytesOf(`00 04 'MQTT' 04 42 00 1e 00 01 'a' 00 01 'p'`)
    assert.equal(await verdict(packetOf(0x10, alone), 4), undefined)
    for (const [more, code] of [
      [{ qos: 2, retain: false }, 0x9b],
      [{ qos: 1, retain: true }, 0x9a],
    ] as const) {
      const peer = await Peer.open(port)
      const credentials = { username: device.id, password: device.token }
      const topic = 'devices/framed/telemetry'
      const connack = await peer.connect({
        ...credentials,
        will: { topic, payload: '{}', ...more },
      })
      assert.equal(codeOf(connack), code)
      assert.equal(await peer.refusal(), undefined)
    }
  },
)
