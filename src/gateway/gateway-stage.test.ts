import assert from 'node:assert/strict'
import { test } from 'node:test'
import mqtt from 'mqtt'
import { generate, type Packet } from 'mqtt-packet'
import { decodeFrame } from '../batch/batch.ts'
import { WeirError } from '../errors/errors.ts'
import { connected, OPTIONS, publish, startRig, until, Wire, type Rig } from './gateway-fixture.ts'

test('promise 1: a PUBACK leaves only after the flush', async (t) => {
  const rig = await startRig(t)
  const wire = await connected(rig, 'd1', 4)
  rig.log.isOpen = false
  wire.send(publish('d1', 1, '{"x":1}'), 4)
  await until(() => rig.log.isWaiting, 'the batch is at the gate')
  assert.equal(wire.packets.length, 0)
  assert.equal(rig.frames.length, 0)
  rig.log.open()
  await until(() => wire.packets.length === 1, 'PUBACK')
  assert.equal(rig.frames.length >= 1, true)
})

test('MQTT-4.6.0-2: PUBACKs come in the order of the PUBLISHes, refusals among them', async (t) => {
  const rig = await startRig(t)
  const wire = await connected(rig, 'd1', 5)
  for (let id = 1; id <= 9; id++)
    wire.send(publish('d1', id, id % 3 === 0 ? 'nonsense' : '{"x":1}'), 5)
  await until(() => wire.packets.length === 9, 'nine PUBACKs')
  const seen = wire.packets.map((packet) => [
    packet.messageId,
    (packet as { reasonCode?: number }).reasonCode ?? 0,
  ])
  assert.deepEqual(
    seen,
    Array.from({ length: 9 }, (_, i) => [i + 1, (i + 1) % 3 === 0 ? 0x99 : 0]),
  )
})

test('promise 6: MQTT 3.1.1 has no refusal; the dead letter is durable before the PUBACK', async (t) => {
  const rig = await startRig(t)
  const wire = await connected(rig, 'd1', 4)
  wire.send(publish('d1', 7, '{"x":'), 4)
  await until(() => wire.packets.length === 1, 'PUBACK')
  const letters = rig.frames.flatMap((frame) => decodeFrame(frame).deadLetters ?? [])
  assert.deepEqual(
    letters.map(({ code, payload }) => [code, payload]),
    [['TELEMETRY_JSON_INVALID', '{"x":']],
  )
})

test('promise 6: a full disk withholds PUBACKs, answers HTTP with an error, and passes', async (t) => {
  const rig = await startRig(t)
  const wire = await connected(rig, 'd1', 4)
  rig.log.failure = new WeirError('LOG_DISK_FULL')
  wire.send(publish('d1', 1, '{"x":1}'), 4)
  await until(() => rig.gateway.commit.failure !== undefined, 'the disk is seen to be full')
  const request = {
    format: 'json' as const,
    body: new TextEncoder().encode('{"x":2}'),
    principal: { kind: 'device' as const, tenant: 'default', deviceId: 'd1' },
    deviceId: undefined,
    isHistorical: false,
    precision: 'ns' as const,
  }
  await assert.rejects(rig.gateway.ingest(request), { code: 'LOG_DISK_FULL' })
  assert.equal(wire.packets.length, 0)
  rig.log.failure = undefined
  await until(() => wire.packets.length === 1, 'PUBACK once there is room')
  assert.deepEqual(await rig.gateway.ingest(request), {
    accepted: 1,
    rejectedCount: 0,
    rejected: [],
  })
})

for (const code of ['LOG_DISK_FULL', 'LOG_FLUSH_FAILED'] as const) {
  test(`promise 6: ${code} answers every HTTP request that waits, not only the first`, async (t) => {
    const rig = await startRig(t)
    await rig.token('d1')
    const send = (): Promise<unknown> =>
      rig.gateway.ingest({
        format: 'json',
        body: new TextEncoder().encode('{"x":2}'),
        principal: { kind: 'device', tenant: 'default', deviceId: 'd1' },
        deviceId: undefined,
        isHistorical: false,
        precision: 'ns',
      })
    rig.log.isOpen = false
    const waiting = [send()]
    await until(() => rig.log.isWaiting, 'the first is being flushed')
    waiting.push(send(), send())
    rig.log.failure = new WeirError(code)
    rig.log.open()
    for (const one of waiting) await assert.rejects(one, { code })
    rig.log.failure = undefined
  })
}

test('G7: after a failed flush nothing is acknowledged any more', async (t) => {
  const rig = await startRig(t)
  const wire = await connected(rig, 'd1', 4)
  rig.log.failure = new WeirError('LOG_FLUSH_FAILED')
  wire.send(publish('d1', 1, '{"x":1}'), 4)
  await until(() => rig.gateway.commit.failure !== undefined, 'the failure is seen')
  rig.log.failure = undefined
  wire.send(publish('d1', 2, '{"x":2}'), 4)
  await new Promise((resolve) => setTimeout(resolve, 700))
  assert.equal(wire.packets.length, 0)
})

test('promise 6: when the stages behind lag, reading stops; nothing is lost when they catch up', async (t) => {
  const rig = await startRig(t)
  const wire = await connected(rig, 'd1', 4)
  const payload = JSON.stringify({ x: 1, pad: 'y'.repeat(60) })
  for (let id = 1; id <= 400; id++) wire.send(publish('d1', id, payload), 4)
  let taken = 0
  while (taken < 400) {
    await until(
      () => rig.frames.some((frame) => decodeFrame(frame).messageCount > 0),
      'more frames',
    )
    for (const frame of rig.frames) taken += decodeFrame(frame).messageCount
    assert.ok(rig.gateway.commit.forwarding.lagBytes < OPTIONS.limits.lagBytesMax + 100_000)
    rig.take()
  }
  await until(() => wire.packets.length === 400, 'all PUBACKs')
  assert.deepEqual(
    wire.packets.map(({ messageId }) => messageId),
    Array.from({ length: 400 }, (_, i) => i + 1),
  )
})

test('a packet dripped byte by byte is read as one', async (t) => {
  const rig = await startRig(t)
  const wire = await connected(rig, 'd1', 5)
  const bytes = generate(publish('d1', 3, `{"x":1,"pad":"${'y'.repeat(50)}"}`), {
    protocolVersion: 5,
  })
  for (const byte of bytes) {
    wire.socket.write(Uint8Array.of(byte))
    await new Promise((resolve) => setImmediate(resolve))
  }
  await until(() => wire.packets.length === 1, 'PUBACK')
})

test('a packet beyond the limit is refused from its header, before its body', async (t) => {
  const rig = await startRig(t)
  const wire = await connected(rig, 'd1', 5)
  wire.socket.write(Uint8Array.of(0x32, 0xff, 0xff, 0xff, 0x7f))
  await until(() => wire.isClosed, 'the connection is closed')
  assert.equal((wire.packets[0] as { reasonCode?: number }).reasonCode, 0x95)
})

test('a first packet that is no CONNECT closes the connection on its first byte', async (t) => {
  const rig = await startRig(t)
  const wire = new Wire(rig.port, 4)
  wire.socket.write(Uint8Array.of(0x32))
  await until(() => wire.isClosed, 'closed')
})

test('a connection that says nothing, or drips, is closed at the connect time-out', async (t) => {
  const rig = await startRig(t)
  const silent = new Wire(rig.port, 4)
  const dripping = new Wire(rig.port, 4)
  const drip = setInterval(() => dripping.socket.write(Uint8Array.of(0x10)), 5000)
  dripping.socket.write(Uint8Array.of(0x10))
  await until(() => silent.isClosed && dripping.isClosed, 'both are closed')
  clearInterval(drip)
})

test('wrong token and unknown device get one and the same answer', async (t) => {
  const rig = await startRig(t)
  await rig.token('d1')
  const answers = await Promise.all(
    ['d1', 'nobody'].map(async (username) => {
      const client = mqtt.connect({
        port: rig.port,
        host: '127.0.0.1',
        protocolVersion: 5,
        username,
        password: 'wrong',
        reconnectPeriod: 0,
      })
      const error = await new Promise<Error>((resolve) => client.once('error', resolve))
      client.end(true)
      return error.message
    }),
  )
  assert.equal(answers[0], answers[1])
  assert.match(answers[0] ?? '', /Bad User Name or Password|Not authorized/i)
})

test('the same client id of the same device takes over; of another device it does not', async (t) => {
  const rig = await startRig(t)
  const first = await connected(rig, 'd1', 5)
  const other = new Wire(rig.port, 5)
  const connect = (username: string, password: string): Packet => ({
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion: 5,
    clientId: 'd1',
    clean: true,
    keepalive: 30,
    username,
    password: Buffer.from(password),
  })
  other.send(connect('d2', await rig.token('d2')), 5)
  await until(() => other.packets.length === 1, 'CONNACK')
  assert.equal(first.isClosed, false)
  const again = new Wire(rig.port, 5)
  other.socket.destroy()
  again.send(connect('d2', 'wrong'), 5)
  await until(() => again.isClosed, 'refused')
  assert.equal(first.isClosed, false)
})

test('a device may publish for itself, a gateway for its children, nobody for others', async (t) => {
  const rig = await startRig(t)
  await rig.token('kid', { parent: 'gw' })
  await rig.token('stranger')
  const token = await rig.token('gw', { isGateway: true })
  const client = mqtt.connect({
    port: rig.port,
    host: '127.0.0.1',
    protocolVersion: 5,
    username: 'gw',
    password: token,
    reconnectPeriod: 0,
  })
  await new Promise((resolve) => client.once('connect', resolve))
  const send = (id: string): Promise<number> =>
    new Promise((resolve) =>
      client.publish(`devices/${id}/telemetry`, '{"x":1}', { qos: 1 }, (error, packet) =>
        resolve(
          (error as { code?: number } | null)?.code ??
            (packet as { reasonCode?: number } | undefined)?.reasonCode ??
            0,
        ),
      ),
    )
  assert.deepEqual(
    [await send('kid'), await send('gw'), await send('stranger'), await send('nobody')],
    [0, 0, 0x87, 0x83],
  )
  await client.endAsync(true)
})

test('more in flight than the Receive Maximum is a protocol error', async (t) => {
  const rig = await startRig(t)
  const wire = await connected(rig, 'd1', 5)
  rig.log.isOpen = false
  for (let id = 1; id <= 11; id++) wire.send(publish('d1', id, '{"x":1}'), 5)
  await until(() => wire.isClosed, 'disconnected')
  assert.equal((wire.packets[0] as { reasonCode?: number }).reasonCode, 0x93)
})

test('promise 6: a client that cannot be read from for long is disconnected with 0x97', async (t) => {
  const rig = await startRig(t)
  const wire = await connected(rig, 'd1', 5)
  rig.log.failure = new WeirError('LOG_FLUSH_FAILED')
  wire.send(publish('d1', 1, '{"x":1}'), 5)
  await until(() => rig.gateway.commit.failure !== undefined, 'the failure is seen')
  wire.send(publish('d1', 2, '{"x":2}'), 5)
  await until(() => wire.isClosed, 'disconnected')
  assert.equal((wire.packets[0] as { reasonCode?: number }).reasonCode, 0x97)
  assert.equal(rig.gateway.mqtt.heldCount, 0, 'nothing is kept of it')
})

test('promise 1 after a restart the doors are open while the log’s tail still waits', async (t) => {
  const before = await startRig(t)
  const first = await connected(before, 'd1', 4)
  for (let id = 1; id <= 3; id++) first.send(publish('d1', id, '{"x":1,"mode":"on"}'), 4)
  await until(() => first.packets.length === 3, 'three PUBACKs')
  const seriesOf = (rig: Rig): [string, number][] =>
    rig.frames.flatMap((frame) =>
      (decodeFrame(frame).definitions?.series ?? []).map(({ metric, series }) => [metric, series]),
    )
  const defined = seriesOf(before)
  assert.equal(defined.length, 2)

  const rig = await startRig(t, { before })
  const wire = await connected(rig, 'd2', 4)
  wire.send(publish('d2', 1, '{"y":1,"mode":"off"}'), 4)
  await until(() => wire.packets.length === 1, 'PUBACK')
  const answer = await rig.gateway.ingest({
    ...{ format: 'json', deviceId: undefined, isHistorical: false, precision: 'ns' },
    body: new TextEncoder().encode('{"x":2}'),
    principal: { kind: 'device', tenant: 'default', deviceId: 'd1' },
  })
  assert.equal(answer.accepted, 1)
  assert.equal(rig.frames.length, 0, 'nothing goes on before the tail')
  const replayed = rig.gateway.replay()
  const messagesOf = ({ frames }: Rig): number =>
    frames.reduce((sum, frame) => sum + decodeFrame(frame).messageCount, 0)
  await until(() => messagesOf(rig) === 5, 'tail and new messages')
  await replayed
  const messages = rig.frames.map((frame) => decodeFrame(frame))
  assert.deepEqual(seriesOf(rig).slice(0, 2), defined)
  assert.deepEqual(
    seriesOf(rig).map(([, series]) => series),
    [0, 1, 2, 3],
    'numbers go on behind those of the tail',
  )
  assert.deepEqual(
    messages.flatMap(({ definitions }) => definitions?.texts ?? []),
    [
      [0, 'on'],
      [1, 'off'],
    ],
  )
})
