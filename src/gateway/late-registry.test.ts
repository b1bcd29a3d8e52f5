/** A registry that must be asked, and answers late or not at all: MQTT. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { generate, type Packet } from 'mqtt-packet'
import { decodeFrame } from '../batch/batch.ts'
import { WeirError } from '../errors/errors.ts'
import type { RemoteReaderOptions } from '../control/remote-device-reader.ts'
import { publish, startRig, until, Wire, type Rig, type RigOptions } from './gateway-fixture.ts'
import { LateRegistry } from './late-registry-fixture.ts'

interface LateRig extends Rig {
  registry: LateRegistry
}

/** Its registry does not answer yet. */
async function startLate(
  t: TestContext,
  options: { mqtt?: RigOptions['mqtt']; reader?: Partial<RemoteReaderOptions> } = {},
): Promise<LateRig> {
  const registry = new LateRegistry()
  const mqtt = { connectTimeoutMs: 20_000, heldMsMax: 20_000, ...options.mqtt }
  const rig = await startRig(t, { mqtt, openReader: registry.openReader(options.reader) })
  registry.isAnswering = false
  t.after(() => registry.answer())
  return { ...rig, registry }
}

const connect = (id: string, token: string, version: 4 | 5 = 5, clientId = id): Packet => ({
  ...{ cmd: 'connect', protocolId: 'MQTT', protocolVersion: version, clientId, clean: true },
  ...{ keepalive: 30, username: id, password: Buffer.from(token) },
})

const bytesOf = (packets: Packet[], version: 4 | 5 = 5): Buffer =>
  Buffer.concat(packets.map((packet) => generate(packet, { protocolVersion: version })))

const isAsking = (rig: LateRig, count: number): Promise<void> =>
  until(() => rig.gateway.mqtt.askingCount === count, `${count} wait for the registry`)

/** Cmd and code of what came, once there are so many. */
async function answers(wire: Wire, count: number): Promise<[string, number][]> {
  await until(() => wire.packets.length >= count || wire.isClosed, `${count} packets`)
  return wire.packets.map((packet) => {
    const { reasonCode, returnCode } = packet as { reasonCode?: number; returnCode?: number }
    return [packet.cmd, reasonCode ?? returnCode ?? 0]
  })
}

/** Messages in the order of the log, as x of their payload with the device's number before it. */
function readings(rig: Rig): string[] {
  return rig.frames.flatMap((frame) => {
    const { value, device, messageCount } = decodeFrame(frame)
    return Array.from({ length: messageCount }, (_, at) => `${device[at]}:${value[at]}`)
  })
}

test('a CONNECT waits for the registry, unread, and what came behind it stays in order', async (t) => {
  const rig = await startLate(t)
  const token = await rig.token('d1')
  const wire = new Wire(rig.port, 5)
  const behind = [1, 2, 3].map((id) => publish('d1', id, `{"x":${id}}`))
  wire.socket.write(bytesOf([connect('d1', token), ...behind]))
  await isAsking(rig, 1)
  // The gateway does not read on; this waits in the sockets.
  wire.socket.write(bytesOf([publish('d1', 4, '{"x":4}')]))
  await new Promise((resolve) => setTimeout(resolve, 50))
  assert.deepEqual(wire.packets, [])
  rig.registry.answer()
  assert.deepEqual(await answers(wire, 5), [
    ['connack', 0],
    ...[1, 2, 3, 4].map((): [string, number] => ['puback', 0]),
  ])
  assert.deepEqual(readings(rig), ['1:1', '1:2', '1:3', '1:4'])
  assert.deepEqual(rig.registry.questions, [['d1']], 'once, for CONNECT and messages')
})

test('a CONNECT in pieces, its last piece with messages behind it', async (t) => {
  const rig = await startLate(t)
  const bytes = bytesOf([
    connect('d1', await rig.token('d1')),
    publish('d1', 1, '{"x":1}'),
    publish('d1', 2, '{"x":2}'),
  ])
  const wire = new Wire(rig.port, 5)
  for (const piece of [bytes.subarray(0, 1), bytes.subarray(1, 9), bytes.subarray(9, 30)]) {
    wire.socket.write(piece)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  assert.equal(rig.registry.questions.length, 0, 'nobody is asked for before it is whole')
  wire.socket.write(bytes.subarray(30, -3))
  await isAsking(rig, 1)
  wire.socket.write(bytes.subarray(-3))
  rig.registry.answer()
  const cmds = (await answers(wire, 3)).map(([cmd]) => cmd)
  assert.deepEqual(cmds, ['connack', 'puback', 'puback'])
  assert.deepEqual(readings(rig), ['1:1', '1:2'])
})

test('two connections of one device wait; the later one takes over', async (t) => {
  const rig = await startLate(t)
  const token = await rig.token('d1')
  const first = new Wire(rig.port, 5)
  first.send(connect('d1', token), 5)
  await isAsking(rig, 1)
  const second = new Wire(rig.port, 5)
  second.send(connect('d1', token), 5)
  const third = new Wire(rig.port, 5)
  third.send(connect('d1', token, 5, 'another'), 5)
  await isAsking(rig, 3)
  rig.registry.answer()
  const outcomes = [await answers(first, 2), await answers(second, 1), await answers(third, 1)]
  assert.deepEqual(outcomes, [
    [
      ['connack', 0],
      ['disconnect', 0x8e],
    ],
    [['connack', 0]],
    [['connack', 0]],
  ])
})

test('a wrong token and an unknown device get one and the same answer, in either version', async (t) => {
  const rig = await startLate(t)
  rig.registry.answer()
  await rig.token('d1')
  for (const [version, code] of [
    [5, 0x86],
    [4, 4],
  ] as const) {
    for (const id of ['d1', 'nobody']) {
      const wire = new Wire(rig.port, version)
      wire.send(connect(id, 'wrong', version), version)
      assert.deepEqual(await answers(wire, 1), [['connack', code]])
      await until(() => wire.isClosed, 'closed')
    }
  }
})

test('a registered device’s token that is new is taken although an old row is remembered', async (t) => {
  const rig = await startLate(t, { reader: { notFoundMs: 1 } })
  rig.registry.answer()
  const nobody = new Wire(rig.port, 5)
  nobody.send(connect('d1', 'wrong'), 5)
  await until(() => nobody.isClosed, 'refused')
  const wire = new Wire(rig.port, 5)
  wire.send(connect('d1', await rig.token('d1')), 5)
  assert.deepEqual(await answers(wire, 1), [['connack', 0]])
})

test('who leaves while it waits is forgotten, and the others hear their answers', async (t) => {
  const rig = await startLate(t)
  const tokens = [await rig.token('d1'), await rig.token('d2')]
  const leaving = new Wire(rig.port, 5)
  leaving.send(connect('d1', tokens[0]!), 5)
  const staying = new Wire(rig.port, 5)
  staying.send(connect('d2', tokens[1]!), 5)
  await isAsking(rig, 2)
  leaving.socket.resetAndDestroy()
  await new Promise((resolve) => setTimeout(resolve, 50))
  rig.registry.answer()
  assert.deepEqual(await answers(staying, 1), [['connack', 0]])
  await until(() => rig.gateway.mqtt.connectionCount === 1, 'only one is left')
  assert.equal(rig.gateway.mqtt.askingCount, 0)
})

test('the connect time-out goes on counting while the registry is asked', async (t) => {
  const rig = await startLate(t, { mqtt: { connectTimeoutMs: 300 } })
  const wire = new Wire(rig.port, 5)
  wire.send(connect('d1', await rig.token('d1')), 5)
  await until(() => wire.isClosed, 'closed')
  assert.equal(rig.gateway.mqtt.failures.get('MQTT_CONNECT_TIMEOUT'), 1)
  rig.registry.answer()
  await new Promise((resolve) => setTimeout(resolve, 50))
  assert.deepEqual([rig.gateway.mqtt.connectionCount, rig.gateway.mqtt.askingCount], [0, 0])
})

test('the registry is away: CONNACK 0x88, in 3.1.1 3, without its address', async (t) => {
  const rig = await startLate(t)
  rig.registry.answer()
  rig.registry.isAway = true
  const token = await rig.token('d1')
  for (const [version, code] of [
    [5, 0x88],
    [4, 3],
  ] as const) {
    const wire = new Wire(rig.port, version)
    wire.send(connect('d1', token, version), version)
    assert.deepEqual(await answers(wire, 1), [['connack', code]])
    assert.doesNotMatch(JSON.stringify(wire.packets[0]), /secret-host/)
    await until(() => wire.isClosed, 'closed')
  }
})

test('hundreds that connect at once are a few questions', async (t) => {
  const rig = await startLate(t, { mqtt: { connectionsMax: 500 } })
  const count = 300
  const ids = Array.from({ length: count }, (_, index) => `d${index}`)
  const tokens = await Promise.all(ids.map((id) => rig.token(id)))
  const wires = ids.map((id, index) => {
    const wire = new Wire(rig.port, 5)
    wire.send(connect(id, tokens[index]!), 5)
    return wire
  })
  await isAsking(rig, count)
  rig.registry.answer()
  for (const wire of wires) assert.deepEqual(await answers(wire, 1), [['connack', 0]])
  const { questions } = rig.registry
  assert.ok(questions.length <= 5, `${questions.length} questions`)
  for (const wire of wires) wire.socket.destroy()
})

/** A gateway device, connected, whose registry does not answer. */
async function gatewayDevice(rig: LateRig, version: 4 | 5 = 5): Promise<Wire> {
  const token = await rig.token('gw', { isGateway: true })
  rig.registry.answer()
  const wire = new Wire(rig.port, version)
  wire.send(connect('gw', token, version), version)
  assert.deepEqual(await answers(wire, 1), [['connack', 0]])
  wire.packets.length = 0
  rig.registry.isAnswering = false
  return wire
}

test('messages of children, known and not, keep their order', async (t) => {
  const rig = await startLate(t)
  const wire = await gatewayDevice(rig)
  for (const id of ['kid', 'other']) await rig.token(id, { parent: 'gw' })
  await rig.token('stranger')
  const sent = ['gw', 'kid', 'gw', 'nobody', 'kid', 'stranger', 'other', 'gw', 'nobody']
  wire.socket.write(bytesOf(sent.map((id, x) => publish(id, x + 1, `{"x":${x}}`))))
  await isAsking(rig, 1)
  assert.deepEqual(rig.registry.questions.at(-1), ['kid'])
  rig.registry.answer()
  assert.deepEqual(
    (await answers(wire, sent.length)).map(([, code]) => code),
    [0, 0, 0, 0x83, 0, 0x87, 0, 0, 0x83],
  )
  assert.deepEqual(
    wire.packets.map(({ messageId }) => messageId),
    sent.map((_, x) => x + 1),
  )
  assert.deepEqual(readings(rig), ['1:0', '2:1', '1:2', '2:4', '3:6', '1:7'])
  const letters = rig.frames.flatMap((frame) => decodeFrame(frame).deadLetters ?? [])
  assert.deepEqual(
    letters.map(({ code }) => code),
    ['GATEWAY_DEVICE_UNKNOWN', 'MQTT_TOPIC_FORBIDDEN', 'GATEWAY_DEVICE_UNKNOWN'],
  )
})

test('a child’s message in pieces, dripped while the registry is asked', async (t) => {
  const rig = await startLate(t)
  const wire = await gatewayDevice(rig, 4)
  await rig.token('kid', { parent: 'gw' })
  const bytes = bytesOf([publish('kid', 1, '{"x":1}'), publish('kid', 2, '{"x":2}')], 4)
  for (const byte of bytes) {
    wire.socket.write(Uint8Array.of(byte))
    await new Promise((resolve) => setImmediate(resolve))
  }
  await isAsking(rig, 1)
  rig.registry.answer()
  assert.equal((await answers(wire, 2)).length, 2)
  assert.deepEqual(readings(rig), ['2:1', '2:2'])
})

test('the registry is away: a child’s message waits and is asked for again; nothing is lost', async (t) => {
  const rig = await startLate(t)
  const wire = await gatewayDevice(rig)
  await rig.token('kid', { parent: 'gw' })
  rig.registry.isAway = true
  rig.registry.answer()
  const sent = ['gw', 'kid', 'gw'].map((id, x) => publish(id, x + 1, `{"x":${x}}`))
  wire.socket.write(bytesOf(sent))
  await isAsking(rig, 1)
  await until(() => rig.registry.questions.length >= 3, 'asked for again')
  assert.equal(wire.packets.length, 1, 'what came before it is acknowledged')
  rig.registry.isAway = false
  await answers(wire, 3)
  assert.deepEqual(readings(rig), ['1:0', '2:1', '1:2'])
})

test('away for longer than a connection is held: 0x97, and nothing was acknowledged', async (t) => {
  const rig = await startLate(t, { mqtt: { heldMsMax: 1500 } })
  const wire = await gatewayDevice(rig)
  rig.registry.isAway = true
  rig.registry.answer()
  wire.socket.write(bytesOf([publish('kid', 1, '{"x":1}'), publish('gw', 2, '{"x":2}')]))
  await until(() => wire.isClosed, 'disconnected')
  assert.deepEqual(await answers(wire, 1), [['disconnect', 0x97]])
  assert.deepEqual(readings(rig), [])
  assert.equal(rig.gateway.mqtt.askingCount, 0)
})

test('a device that is connected publishes while the registry is away', async (t) => {
  const rig = await startLate(t, { reader: { foundMs: 100, timeoutMs: 50, awayMs: 0 } })
  const wire = await gatewayDevice(rig)
  rig.registry.isAway = true
  await new Promise((resolve) => setTimeout(resolve, 200))
  wire.send(publish('gw', 1, '{"x":1}'), 5)
  assert.deepEqual(await answers(wire, 1), [['puback', 0]])
})

test('the brake comes on while the registry is asked: the connection waits for both', async (t) => {
  const rig = await startLate(t)
  const wire = await gatewayDevice(rig)
  await rig.token('kid', { parent: 'gw' })
  rig.log.failure = new WeirError('LOG_DISK_FULL')
  wire.socket.write(
    bytesOf([
      publish('gw', 1, '{"x":1}'),
      publish('kid', 2, '{"x":2}'),
      publish('gw', 3, '{"x":3}'),
    ]),
  )
  await isAsking(rig, 1)
  await until(() => rig.gateway.commit.failure !== undefined, 'the disk is seen to be full')
  rig.registry.answer()
  await until(() => rig.gateway.mqtt.heldCount === 1, 'it is held by the brake now')
  assert.equal(rig.gateway.mqtt.askingCount, 0)
  assert.deepEqual(wire.packets, [])
  rig.log.failure = undefined
  await answers(wire, 3)
  assert.deepEqual(readings(rig), ['1:1', '2:2', '1:3'])
})
