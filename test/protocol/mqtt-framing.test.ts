/**
 * Fixed headers and what may come when: bytes in, verdict out. Rows are those of the attack table.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as mqtt from '../../src/mqtt/mqtt.ts'
import { bytesOf, packetOf, receive } from './receive.ts'
import type { Connection } from './receive.ts'

const CONNECT_311 = bytesOf(`10 0d 00 04 'MQTT' 04 02 00 1e 00 01 'a'`)
const CONNECT_5 = bytesOf(`10 0e 00 04 'MQTT' 05 02 00 1e 00 00 01 'a'`)

function refusal(bytes: Uint8Array | string, connection: Connection = {}): number {
  const received = receive(typeof bytes === 'string' ? bytesOf(bytes) : bytes, connection)
  assert.ok(received.outcome === 'refused', JSON.stringify(received))
  return received.reasonCode
}

test('3.1 CONNECT of 3.1.1 and 5 is read', () => {
  assert.equal(receive(CONNECT_311).outcome, 'packet')
  assert.equal(receive(CONNECT_5).outcome, 'packet')
})

test('row 3 [MQTT-3.1.0-1] a first packet other than CONNECT is refused at its first byte', () => {
  for (let type = 0; type < 16; type++) {
    if (type === mqtt.PACKET_CONNECT) continue
    for (let flags = 0; flags < 16; flags++) {
      const first = Uint8Array.of((type << 4) | flags)
      assert.equal(receive(first).outcome, 'refused', `type ${type} flags ${flags}`)
    }
  }
  assert.equal(receive(bytesOf('10')).outcome, 'incomplete')
})

test('rows 4 and 6: a length beyond the limit is refused from the header, before any body', () => {
  assert.equal(refusal('10 81 80 04', { packetBytesMax: 65_536 }), 0x95)
  assert.equal(refusal('30 ff ff ff 7f', { version: 5, packetBytesMax: 1 << 20 }), 0x95)
  assert.equal(receive(bytesOf('30 ff ff ff 7f'), { version: 5 }).outcome, 'incomplete')
})

test('row 5 [MQTT-1.5.5] a remaining length of five bytes is refused at its fourth', () => {
  for (const version of [4, 5] as const) {
    assert.equal(refusal('30 80 80 80 80', { version }), 0x81)
    assert.equal(refusal('30 ff ff ff ff 01', { version }), 0x81)
  }
  assert.equal(refusal('10 80 80 80 80 01'), 0x81)
})

test('[MQTT-1.5.5-1] MQTT 5 wants the shortest remaining length, 3.1.1 does not ask', () => {
  assert.equal(refusal('c0 80 00', { version: 5 }), 0x81)
  assert.equal(receive(bytesOf('c0 80 00'), { version: 4 }).outcome, 'packet')
})

test('row 7: a header may come byte by byte; nothing is decided early or late', () => {
  const bytes = bytesOf('30 ff ff 03')
  const header = mqtt.createFixedHeader()
  for (let end = 0; end < bytes.length; end++) {
    assert.equal(mqtt.readFixedHeader(bytes, 0, end, header), mqtt.HEADER_INCOMPLETE)
  }
  assert.equal(mqtt.readFixedHeader(bytes, 0, bytes.length, header), mqtt.HEADER_COMPLETE)
  assert.deepEqual(header, { type: 3, flags: 0, remainingLength: 65_535, headerLength: 4 })
})

test('row 9: excess bytes behind a packet’s last field are refused', () => {
  const packets: [Uint8Array, Connection][] = [
    [packetOf(0x10, Buffer.concat([CONNECT_311.subarray(2), Buffer.from([0])])), {}],
    [packetOf(0x10, Buffer.concat([CONNECT_5.subarray(2), Buffer.from([0])])), {}],
    [packetOf(0x40, '00 01 00'), { version: 4 }],
    [packetOf(0x40, '00 01 00 00 00'), { version: 5 }],
    [packetOf(0xc0, '00'), { version: 4 }],
    [packetOf(0xc0, '00'), { version: 5 }],
    [packetOf(0xe0, '00'), { version: 4 }],
    [packetOf(0xe0, '00 00 00'), { version: 5 }],
    [packetOf(0xf0, `18 04 15 00 01 'm' 00`), { version: 5, authenticationMethod: 'm' }],
  ]
  for (const [bytes, connection] of packets) assert.equal(refusal(bytes, connection), 0x81)
})

test('row 10: packets that only a server sends are a protocol error', () => {
  for (const version of [4, 5] as const) {
    for (const bytes of ['20 02 00 00', '90 03 00 01 00', 'b0 02 00 01', 'd0 00']) {
      assert.equal(refusal(bytes, { version }), 0x82, bytes)
    }
  }
})

test('row 10: PUBREC, PUBREL and PUBCOMP belong to QoS 2, which is not offered', () => {
  for (const bytes of ['50 02 00 01', '62 02 00 01', '70 02 00 01']) {
    assert.equal(refusal(bytes, { version: 5 }), 0x82)
  }
})

test('row 11 [MQTT-2.1.3-1] reserved types and flag bits are malformed', () => {
  const flagsOfType: Record<number, number> = { 6: 2, 8: 2, 10: 2 }
  for (let type = 0; type < 16; type++) {
    for (let flags = 0; flags < 16; flags++) {
      const header = mqtt.createFixedHeader()
      const state = mqtt.readFixedHeader(Uint8Array.of((type << 4) | flags, 0), 0, 2, header)
      const isPublish = type === mqtt.PACKET_PUBLISH && (flags & 6) !== 6
      const isSound =
        type !== 0 && (isPublish || (type !== 3 && flags === (flagsOfType[type] ?? 0)))
      assert.equal(state, isSound ? mqtt.HEADER_COMPLETE : mqtt.HEADER_MALFORMED)
    }
  }
  assert.equal(refusal('f0 00', { version: 4 }), 0x81)
  assert.equal(refusal('00 00', { version: 5 }), 0x81)
})

test('row 12 [MQTT-3.1.0-2] a second CONNECT is a protocol error', () => {
  assert.equal(refusal(CONNECT_311, { version: 4 }), 0x82)
  assert.equal(refusal(CONNECT_5, { version: 5 }), 0x82)
})

test('row 17: AUTH without a method, with another one, or unasked', () => {
  const asked: Connection = { version: 5, authenticationMethod: 'm' }
  assert.equal(receive(packetOf(0xf0, `18 04 15 00 01 'm'`), asked).outcome, 'packet')
  assert.equal(refusal(packetOf(0xf0, '18 00'), asked), 0x82) // Section 3.15.2.2.2.
  assert.equal(refusal(packetOf(0xf0, `19 04 15 00 01 'x'`), asked), 0x8c) // [MQTT-4.12.1-1]
  assert.equal(refusal(packetOf(0xf0, `18 04 15 00 01 'm'`), { version: 5 }), 0x82)
  assert.equal(refusal('f0 00', asked), 0x82) // Success is the server's to say.
})

test('3.14 DISCONNECT: reason codes of the client only, properties only when long enough', () => {
  assert.equal(receive(bytesOf('e0 00'), { version: 5 }).outcome, 'packet')
  assert.equal(receive(bytesOf('e0 01 04'), { version: 5 }).outcome, 'packet')
  assert.equal(refusal('e0 01 8b', { version: 5 }), 0x82)
  assert.equal(refusal('40 03 00 01 05', { version: 5 }), 0x82)
})
