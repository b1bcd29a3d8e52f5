import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { generate, parser, type Packet } from 'mqtt-packet'
import { encodeConnect, encodePublish, ServerPacketReader } from './mqtt-packets.ts'

function parse(bytes: Uint8Array): Packet {
  const packets: Packet[] = []
  const reader = parser({ protocolVersion: 4 })
  reader.on('packet', (packet) => packets.push(packet))
  reader.on('error', (error) => assert.fail(error))
  reader.parse(Buffer.from(bytes))
  assert.equal(packets.length, 1)
  return packets[0]!
}

test('CONNECT reads back with mqtt-packet as it was meant', () => {
  const text = fc.string({ minLength: 1, maxLength: 40 })
  fc.assert(
    fc.property(text, text, text, fc.nat(65_535), (clientId, username, password, keepAliveS) => {
      const packet = parse(encodeConnect({ clientId, username, password, keepAliveS }))
      assert.ok(packet.cmd === 'connect')
      assert.equal(packet.protocolVersion, 4)
      assert.equal(packet.clean, false)
      assert.equal(packet.clientId, clientId)
      assert.equal(packet.username, username)
      assert.equal(String(packet.password), password)
      assert.equal(packet.keepalive, keepAliveS)
    }),
  )
})

test('PUBLISH reads back with mqtt-packet, for every size of remaining length', () => {
  for (const size of [0, 1, 100, 127, 128, 16_383, 16_384, 2_097_152]) {
    const payload = new Uint8Array(size).fill(65)
    const fields = { topic: 'devices/å/telemetry', payload, packetId: 65_535, isRepeat: size === 1 }
    const packet = parse(encodePublish(fields))
    assert.ok(packet.cmd === 'publish')
    assert.equal(packet.topic, fields.topic)
    assert.equal(packet.qos, 1)
    assert.equal(packet.dup, fields.isRepeat)
    assert.equal(packet.messageId, 65_535)
    assert.equal(packet.payload.length, size)
  }
})

test('a server’s packets are found wherever the stream is cut', () => {
  const stream = Buffer.concat([
    generate({ cmd: 'connack', returnCode: 5, sessionPresent: false }),
    generate({ cmd: 'puback', messageId: 258 }),
    generate({ cmd: 'pingresp' }),
    generate({
      cmd: 'publish',
      topic: 't',
      payload: 'x'.repeat(300),
      qos: 0,
      dup: false,
      retain: false,
    }),
    generate({ cmd: 'puback', messageId: 65_535 }),
  ])
  const expected = [
    { kind: 'connack', returnCode: 5 },
    { kind: 'puback', packetId: 258 },
    { kind: 'pingresp' },
    { kind: 'other' },
    { kind: 'puback', packetId: 65_535 },
  ]
  fc.assert(
    fc.property(fc.array(fc.nat(stream.length), { maxLength: 8 }), (cuts) => {
      const reader = new ServerPacketReader()
      const places = [0, ...cuts.toSorted((a, b) => a - b), stream.length]
      const found = places
        .slice(1)
        .flatMap((end, i) => reader.push(stream.subarray(places[i], end)))
      assert.deepEqual(found, expected)
    }),
  )
})

test('any bytes are read or refused with RangeError, and never buffered without end', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      try {
        new ServerPacketReader().push(bytes)
      } catch (error) {
        assert.ok(error instanceof RangeError)
      }
    }),
  )
  const huge = Uint8Array.of(0x30, 0xff, 0xff, 0xff, 0x7f)
  assert.throws(() => new ServerPacketReader().push(huge), RangeError)
})
