/** CONNECT and its answers: bytes in, verdict and bytes out. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { WeirError } from '../../src/errors/errors.ts'
import * as mqtt from '../../src/mqtt/mqtt.ts'
import { bytesOf, field, packetOf, receive } from './receive.ts'

interface Parts {
  name?: string | Uint8Array
  level?: number
  flags?: number
  properties?: Uint8Array
  rest?: Uint8Array[]
}

/** A CONNECT with the given parts; the client id is 'a' unless `rest` says otherwise. */
function connect(parts: Parts): Uint8Array {
  const level = parts.level ?? 5
  const properties = parts.properties ?? new Uint8Array(0)
  return packetOf(
    0x10,
    Buffer.concat([
      field(parts.name ?? 'MQTT'),
      Uint8Array.of(level, parts.flags ?? 0x02, 0, 30),
      ...(level === 5 ? [packetOf(0, properties).subarray(1)] : []),
      ...(parts.rest ?? [field('a')]),
    ]),
  )
}

function refuse(parts: Parts): { reasonCode: number; error: WeirError } {
  const received = receive(connect(parts))
  assert.ok(received.outcome === 'refused', JSON.stringify(received))
  return received
}

const answer = (parts: Parts): string | undefined => {
  const bytes = mqtt.encodeConnackRefusal(refuse(parts).error)
  return bytes && Buffer.from(bytes.subarray(0, 4)).toString('hex')
}

test('row 13 [MQTT-3.1.2-2] other protocols are answered in the nearest language and closed', () => {
  assert.equal(refuse({ name: 'MQIsdp', level: 3 }).reasonCode, 0x84)
  assert.equal(answer({ name: 'MQIsdp', level: 3 }), '20020001')
  assert.equal(answer({ name: 'hj', level: 4 }), '20020001')
  assert.equal(answer({ level: 3 }), '20020001')
  assert.match(answer({ level: 6 }) ?? '', /^20..0084$/)
  assert.equal(answer({ level: 0x84 })?.slice(4), '0084')
})

test('row 14 [MQTT-1.5.4-1] [MQTT-1.5.4-2] ill-formed text in every field is malformed', () => {
  const bad = [
    '00',
    '61 00',
    'c0 80',
    'e0 80 80',
    'ed a0 80',
    'f4 90 80 80',
    'f8 88 80 80 80',
    'e2 82',
  ]
  for (const level of [4, 5]) {
    for (const text of bad.map((each) => field(bytesOf(each)))) {
      const a = field('a')
      const will = level === 5 ? [Uint8Array.of(0)] : []
      assert.equal(refuse({ level, rest: [text] }).reasonCode, 0x81)
      assert.equal(refuse({ level, flags: 0x82, rest: [a, text] }).reasonCode, 0x81)
      assert.equal(refuse({ level, flags: 0x06, rest: [a, ...will, text, a] }).reasonCode, 0x81)
    }
  }
})

test('[MQTT-1.5.4-3] U+FEFF is a character of the text, at its start as well', () => {
  const received = receive(connect({ rest: [field('\ufeffa')] }))
  assert.ok(received.outcome === 'packet')
  assert.equal((received.packet as mqtt.Connect).clientId, '\ufeffa')
})

test('row 15: 64 user properties are read, one more is refused, 20,000 cost no time', () => {
  const property = Buffer.concat([Uint8Array.of(0x26), field('k'), field('v')])
  const many = (count: number): Uint8Array =>
    Buffer.concat(Array.from({ length: count }, () => property))
  assert.equal(receive(connect({ properties: many(64) })).outcome, 'packet')
  assert.equal(refuse({ properties: many(65) }).reasonCode, 0x81)
  assert.equal(refuse({ properties: many(20_000) }).reasonCode, 0x81)
})

test('row 16: properties that are unknown, doubled, of another packet, or out of range', () => {
  const cases: [string, number][] = [
    ['7f', 0x81],
    ['04 00', 0x81],
    ['23 00 01', 0x81], // Topic Alias is PUBLISH's.
    ['12 00 00', 0x81], // Assigned Client Identifier is CONNACK's.
    ['18 00 00 00 01', 0x81], // Will Delay Interval is the will's.
    ['21 00 05 21 00 05', 0x82], // Section 3.1.2.11.3.
    ['11 00 00 00 01 11 00 00 00 01', 0x82],
    ['21 00 00', 0x82],
    ['27 00 00 00 00', 0x82],
    ['17 02', 0x82],
    ['19 02', 0x82],
    [`16 00 01 'x'`, 0x82], // Authentication Data without a method: section 3.1.2.11.10.
    ['21 00', 0x81],
    ['a6 00', 0x81], // An identifier not in its shortest form.
  ]
  for (const [properties, reasonCode] of cases) {
    assert.equal(refuse({ properties: bytesOf(properties) }).reasonCode, reasonCode, properties)
  }
})

test('row 16: a property length that reaches past the packet is malformed', () => {
  const bytes = connect({})
  bytes[12] = 0x7f
  const received = receive(bytes)
  assert.ok(received.outcome === 'refused')
  assert.equal(received.reasonCode, 0x81)
})

test('row 18: connect flags that contradict each other are malformed', () => {
  const will = (level: number): Uint8Array[] => [
    field('a'),
    ...(level === 5 ? [Uint8Array.of(0)] : []),
    field('t'),
    field('p'),
  ]
  for (const level of [4, 5]) {
    assert.equal(refuse({ level, flags: 0x03 }).reasonCode, 0x81) // [MQTT-3.1.2-3]
    assert.equal(refuse({ level, flags: 0x0a }).reasonCode, 0x81) // [MQTT-3.1.2-11]
    assert.equal(refuse({ level, flags: 0x22 }).reasonCode, 0x81) // [MQTT-3.1.2-13]
    assert.equal(refuse({ level, flags: 0x1e, rest: will(level) }).reasonCode, 0x81) // [MQTT-3.1.2-12]
    assert.equal(receive(connect({ level, flags: 0x0e, rest: will(level) })).outcome, 'packet')
  }
  const password = [field('a'), field('secret')]
  assert.equal(refuse({ level: 4, flags: 0x42, rest: password }).reasonCode, 0x81) // [MQTT-3.1.2-22]
  assert.equal(receive(connect({ level: 5, flags: 0x42, rest: password })).outcome, 'packet')
})

test('[MQTT-3.1.3-8] 3.1.1 without client id and clean session gets 0x02, MQTT 5 an id', () => {
  assert.equal(answer({ level: 4, flags: 0, rest: [field('')] }), '20020002')
  assert.equal(receive(connect({ level: 4, flags: 2, rest: [field('')] })).outcome, 'packet')
  assert.equal(receive(connect({ level: 5, flags: 0, rest: [field('')] })).outcome, 'packet')
})

test('a will topic has no wildcards and is not empty', () => {
  for (const topic of ['a/#', '+', '']) {
    const rest = [field('a'), Uint8Array.of(0), field(topic), field('p')]
    assert.equal(refuse({ flags: 0x06, rest }).reasonCode, 0x81)
  }
})

test('a refusal without a word in 3.1.1 just closes; MQTT 5 says why', () => {
  assert.equal(answer({ level: 4, flags: 0x03 }), undefined)
  const bytes = mqtt.encodeConnackRefusal(refuse({ flags: 0x03 }).error)
  const reason = 'the reserved connect flag is set'
  const expected = packetOf(0x20, Buffer.concat([bytesOf(`00 81 23 1f`), field(reason)]))
  assert.deepEqual(Buffer.from(bytes ?? []), Buffer.from(expected))
  const credentials = new WeirError('MQTT_CREDENTIALS_INVALID')
  assert.deepEqual([...mqtt.encodeConnackRefusal(credentials, 4)!], [0x20, 2, 0, 4])
  assert.deepEqual(
    [...mqtt.encodeConnackRefusal(new WeirError('GATEWAY_OVERLOADED'), 4)!],
    [0x20, 2, 0, 3],
  )
})

test('[MQTT-3.2.2-4] CONNACK of 3.1.1 is four bytes', () => {
  assert.deepEqual([...mqtt.encodeConnack({ isSessionPresent: true }, 4)], [0x20, 2, 1, 0])
})

test('M4 what is kept of a CONNECT is a copy: the socket’s buffer is used again', () => {
  const rest = [
    field('a'),
    Uint8Array.of(0),
    field('t'),
    field('will'),
    field('u'),
    field('secret'),
  ]
  const properties = bytesOf(`15 00 01 'm' 16 00 04 'data'`)
  const bytes = connect({ flags: 0xc6, properties, rest })
  const received = receive(bytes)
  assert.ok(received.outcome === 'packet')
  bytes.fill(0)
  const packet = received.packet as mqtt.Connect
  assert.equal(Buffer.from(packet.password ?? []).toString(), 'secret')
  assert.equal(Buffer.from(packet.will?.payload ?? []).toString(), 'will')
  assert.equal(Buffer.from(packet.authenticationData ?? []).toString(), 'data')
})
