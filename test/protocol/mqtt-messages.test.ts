/** PUBLISH, SUBSCRIBE and their acknowledgements: bytes in, verdict and bytes out. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as mqtt from '../../src/mqtt/mqtt.ts'
import { bytesOf, field, packetOf, receive } from './receive.ts'
import type { Connection } from './receive.ts'

const FOUR: Connection = { version: 4 }
const FIVE: Connection = { version: 5 }

function refusal(bytes: Uint8Array, connection: Connection): number {
  const received = receive(bytes, connection)
  assert.ok(received.outcome === 'refused', JSON.stringify(received))
  return received.reasonCode
}

function accept<T>(bytes: Uint8Array, connection: Connection): T {
  const received = receive(bytes, connection)
  assert.ok(received.outcome === 'packet', JSON.stringify(received))
  return received.packet as T
}

/** A PUBLISH of MQTT 5 with these properties. */
const publish = (topic: string | Uint8Array, properties = '', firstByte = 0x30): Uint8Array => {
  const block = packetOf(0, properties).subarray(1)
  return packetOf(firstByte, Buffer.concat([field(topic), block, Buffer.from('x')]))
}

test('row 51 [MQTT-2.2.1-3] packet id 0 is a protocol error in every packet that has one', () => {
  for (const connection of [FOUR, FIVE]) {
    const block = connection === FIVE ? '00' : ''
    assert.equal(refusal(packetOf(0x32, `00 01 't' 00 00 ${block}`), connection), 0x82)
    assert.equal(refusal(packetOf(0x40, '00 00'), connection), 0x82)
    assert.equal(refusal(packetOf(0x82, `00 00 ${block} 00 01 't' 00`), connection), 0x82)
    assert.equal(refusal(packetOf(0xa2, `00 00 ${block} 00 01 't'`), connection), 0x82)
  }
  const last = accept<mqtt.PublishView>(packetOf(0x32, `00 01 't' ff ff`), FOUR)
  assert.equal(last.packetId, 65_535)
})

test('row 11 [MQTT-3.3.1-4] [MQTT-3.3.1-2] QoS 3, and DUP with QoS 0, are malformed', () => {
  for (const connection of [FOUR, FIVE]) {
    assert.equal(refusal(publish('t', '', 0x36), connection), 0x81)
    assert.equal(refusal(publish('t', '', 0x38), connection), 0x81)
  }
})

test('row 14 ill-formed text in topic and properties is malformed', () => {
  for (const bad of ['00', 'c0 af', 'ed bf bf', 'ff']) {
    const text = bytesOf(bad)
    assert.equal(refusal(publish(text), FIVE), 0x81)
    assert.equal(refusal(packetOf(0x30, field(text)), FOUR), 0x81)
    const length = text.length.toString(16).padStart(4, '0')
    assert.equal(refusal(publish('t', `03 ${length} ${bad}`), FIVE), 0x81)
    assert.equal(refusal(publish('t', `26 0001 'k' ${length} ${bad}`), FIVE), 0x81)
    assert.equal(refusal(publish('t', `26 ${length} ${bad} 0001 'v'`), FIVE), 0x81)
    const subscribe = Buffer.concat([bytesOf('00 01 00'), field(text), Uint8Array.of(0)])
    assert.equal(refusal(packetOf(0x82, subscribe), FIVE), 0x81)
  }
})

test('row 15: more than 64 user properties in a PUBLISH are refused', () => {
  assert.equal(receive(publish('t', `26 0001 'k' 0001 'v' `.repeat(64)), FIVE).outcome, 'packet')
  assert.equal(refusal(publish('t', `26 0001 'k' 0001 'v' `.repeat(65)), FIVE), 0x81)
})

test('row 16: a PUBLISH property doubled, unknown or of another packet', () => {
  assert.equal(refusal(publish('t', '01 01 01 01'), FIVE), 0x82)
  assert.equal(refusal(publish('t', '01 02'), FIVE), 0x82)
  assert.equal(refusal(publish('t', '21 00 01'), FIVE), 0x81)
  assert.equal(refusal(publish('t', '0b 01'), FIVE), 0x82) // [MQTT-3.3.4-6]
  assert.equal(refusal(publish('t', `08 0001 '#'`), FIVE), 0x81) // [MQTT-3.3.2-14]
  assert.equal(refusal(packetOf(0x82, `00 01 02 0b 00 00 01 't' 00`), FIVE), 0x82)
})

test('M1 properties end with their packet, whatever the socket brings behind it', () => {
  const packet = packetOf(0x30, `00 01 't' 05`)
  const bytes = Buffer.concat([packet, bytesOf('02 00 00 00 01')])
  const received = receive(bytes, FIVE)
  assert.ok(received.outcome === 'refused')
  assert.equal(received.reasonCode, 0x81)
})

test('[MQTT-1.5.5-1] a property length that is not in its shortest form is malformed', () => {
  assert.equal(receive(packetOf(0x30, `00 01 't' 00`), FIVE).outcome, 'packet')
  assert.equal(refusal(packetOf(0x30, `00 01 't' 80 00`), FIVE), 0x81)
})

test('row 52: topics with wildcards, none, 128 levels and more', () => {
  for (const topic of ['#', '+', 'a/+/b', 'a#']) {
    assert.equal(refusal(publish(topic), FIVE), 0x81, topic) // [MQTT-3.3.2-2]
  }
  assert.equal(refusal(packetOf(0x30, '00 00'), FOUR), 0x81) // [MQTT-4.7.3-1]
  assert.equal(receive(publish('/'.repeat(127)), FIVE).outcome, 'packet')
  assert.equal(refusal(publish('/'.repeat(128)), FIVE), 0x90)
  assert.equal(refusal(publish('/'.repeat(65_400)), FIVE), 0x90)
  assert.equal(receive(publish('t'.repeat(1024)), FIVE).outcome, 'packet')
  for (const length of [1025, 65_535]) {
    assert.equal(refusal(publish('t'.repeat(length)), FIVE), 0x90)
    const filter = Buffer.concat([bytesOf('00 01'), field('t'.repeat(length)), Uint8Array.of(0)])
    assert.equal(refusal(packetOf(0x82, filter), FOUR), 0x90)
  }
  const deep = Buffer.concat([bytesOf('00 01 00'), field('/'.repeat(200)), Uint8Array.of(0)])
  assert.equal(refusal(packetOf(0x82, deep), FIVE), 0x90)
})

test('row 55 [MQTT-3.3.2-8] [MQTT-3.3.2-9] topic alias 0, beyond the maximum, or missing', () => {
  const two: Connection = { version: 5, topicAliasMaximum: 2 }
  assert.equal(accept<mqtt.PublishView>(publish('', '23 00 02'), two).topicAlias, 2)
  assert.equal(refusal(publish('t', '23 00 00'), two), 0x94)
  assert.equal(refusal(publish('t', '23 00 03'), two), 0x94)
  assert.equal(refusal(publish(''), two), 0x82) // Section 3.3.2.1.
  assert.equal(refusal(publish('t', '23 00 01'), { version: 5, topicAliasMaximum: 0 }), 0x94)
})

test('M3 a view read again keeps nothing of the packet before', () => {
  const view = new mqtt.PublishView()
  const first = publish('t', `23 00 02 26 0001 'k' 0001 'v'`)
  view.read(new mqtt.PacketReader(first, 2, first.length), 0, 5)
  assert.deepEqual([view.topicAlias, view.properties.userPropertyCount], [2, 1])
  const next = publish('t', '23 00 03')
  view.read(new mqtt.PacketReader(next, 2, next.length), 0, 5)
  assert.deepEqual([view.topicAlias, view.properties.userPropertyCount], [3, 0])
  const second = packetOf(0x30, `00 01 't'`)
  view.read(new mqtt.PacketReader(second, 2, second.length), 0, 4)
  assert.deepEqual([view.topicAlias, view.properties.userPropertyCount], [0, 0])
  assert.deepEqual([view.payloadStart, view.payloadEnd], [5, 5])
})

test('3.8 SUBSCRIBE: no filter, reserved options, QoS 3, retain handling 3, no local when shared', () => {
  assert.equal(refusal(packetOf(0x82, '00 01'), FOUR), 0x82) // [MQTT-3.8.3-3]
  assert.equal(refusal(packetOf(0x82, '00 01 00'), FIVE), 0x82) // [MQTT-3.8.3-2]
  assert.equal(refusal(packetOf(0xa2, '00 01'), FOUR), 0x82) // [MQTT-3.10.3-2]
  assert.equal(refusal(packetOf(0x82, `00 01 00 01 't'`), FOUR), 0x81)
  for (const options of ['04', '08', '10', '80', '03']) {
    assert.equal(refusal(packetOf(0x82, `00 01 00 01 't' ${options}`), FOUR), 0x81) // [MQTT-3-8.3-4]
  }
  for (const [options, code] of [
    ['40', 0x81],
    ['80', 0x81],
    ['03', 0x82],
    ['30', 0x82],
  ] as const) {
    assert.equal(refusal(packetOf(0x82, `00 01 00 00 01 't' ${options}`), FIVE), code) // [MQTT-3.8.3-5]
  }
  assert.equal(refusal(packetOf(0x82, `00 01 00 00 0a '$share/g/t' 04`), FIVE), 0x82) // [MQTT-3.8.3-4]
})

test('[MQTT-4.7.1-2] [MQTT-4.7.1-3] filters with a misplaced wildcard are malformed', () => {
  for (const filter of ['', 'a#', '#/a', 'a/#/b', 'a+', '+a', 'a/b+/c', '##', '++']) {
    const body = Buffer.concat([bytesOf('00 01'), field(filter), Uint8Array.of(0)])
    assert.equal(refusal(packetOf(0x82, body), FOUR), 0x81, filter)
    assert.equal(refusal(packetOf(0xa2, body.subarray(0, -1)), FOUR), 0x81, filter)
  }
})

test('row 39 [MQTT-4.8.2-1] [MQTT-4.8.2-2] a shared filter is split; a bad one answers 0x8F', () => {
  const subscribe = (filter: string, connection: Connection): mqtt.Subscription => {
    const block = connection === FIVE ? '00' : ''
    const body = Buffer.concat([bytesOf(`00 01 ${block}`), field(filter), Uint8Array.of(1)])
    return accept<mqtt.Subscribe>(packetOf(0x82, body), connection).subscriptions[0]!
  }
  const shared = subscribe('$share/group/a/#', FIVE)
  assert.deepEqual([shared.shareName, shared.topicFilter, shared.isValid], ['group', 'a/#', true])
  assert.equal(subscribe('$share//x', FIVE).isValid, false)
  assert.equal(subscribe('$share/+/x', FIVE).isValid, false)
  assert.equal(subscribe('$share/ab', FIVE).isValid, false)
  assert.equal(subscribe('$share/ab/', FIVE).isValid, false)
  const plain = subscribe('$share/group/a/#', FOUR)
  assert.deepEqual([plain.shareName, plain.topicFilter], [undefined, '$share/group/a/#'])
})

test('row 53: a packet has at most 1,000 filters', () => {
  const filters = (count: number, end: string): Uint8Array =>
    bytesOf(`00 01 ${`00 01 't' ${end} `.repeat(count)}`)
  for (const [first, end] of [
    [0x82, '00'],
    [0xa2, ''],
  ] as const) {
    assert.equal(receive(packetOf(first, filters(1000, end)), FOUR).outcome, 'packet')
    assert.equal(refusal(packetOf(first, filters(1001, end)), FOUR), 0x97)
  }
})

test('3.4 PUBACK out: bytes for both versions; the reason gives way to the packet size', () => {
  const puback = { packetId: 0x1234, reasonCode: 0x83, reasonString: 'no' }
  assert.deepEqual([...mqtt.encodePuback(puback, 4)], [0x40, 2, 0x12, 0x34])
  assert.deepEqual([...mqtt.encodePuback({ packetId: 0x1234 }, 5)], [0x40, 2, 0x12, 0x34])
  const full = bytesOf(`40 09 12 34 83 05 1f 00 02 'no'`)
  assert.deepEqual([...mqtt.encodePuback(puback, 5)], [...full])
  assert.deepEqual([...mqtt.encodePuback({ ...puback, bytesMax: 11 }, 5)], [...full])
  const short = mqtt.encodePuback({ ...puback, bytesMax: 10 }, 5) // [MQTT-3.4.2-2]
  assert.deepEqual([...short], [0x40, 3, 0x12, 0x34, 0x83])
})

test('3.9 3.11 3.13 3.14 SUBACK, UNSUBACK, PINGRESP and DISCONNECT out', () => {
  const codes = { packetId: 7, reasonCodes: [1, 0x8f] }
  assert.deepEqual([...mqtt.encodeSuback(codes, 4)], [0x90, 4, 0, 7, 1, 0x80]) // [MQTT-3.9.3-2]
  assert.deepEqual([...mqtt.encodeSuback(codes, 5)], [0x90, 5, 0, 7, 0, 1, 0x8f])
  assert.deepEqual([...mqtt.encodeUnsuback(codes, 4)], [0xb0, 2, 0, 7])
  assert.deepEqual([...mqtt.encodeUnsuback(codes, 5)], [0xb0, 5, 0, 7, 0, 1, 0x8f])
  assert.deepEqual([...mqtt.encodePingresp()], [0xd0, 0])
  assert.deepEqual([...mqtt.encodeDisconnect({ reasonCode: 0x97 })], [0xe0, 1, 0x97])
})

test('M5 texts of ours are well formed, whatever they quote', () => {
  const bytes = mqtt.encodeDisconnect({ reasonCode: 0x81, reasonString: 'a\0b\ud800c' })
  const text = Buffer.from(bytes.subarray(7)).toString('utf8')
  assert.equal(text, 'a\ufffdb\ufffdc')
})
