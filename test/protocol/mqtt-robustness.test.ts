/**
 * Hostile and broken bytes: a packet, a refusal, or a wait for more; nothing else, nothing outside.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import * as mqtt from '../../src/mqtt/mqtt.ts'
import { anyPacket } from './mqtt-models.ts'
import { receive } from './receive.ts'

test('M2 every prefix of every packet is incomplete, or as a packet of its own refused', () => {
  fc.assert(
    fc.property(anyPacket, ({ bytes, connection }) => {
      for (let end = 0; end < bytes.length; end++) {
        assert.equal(receive(bytes, { ...connection, end }).outcome, 'incomplete')
        // The same cut with an honest length: whatever it says, nothing but a WeirError is thrown.
        receive(withLength(bytes, end), connection)
      }
    }),
    { numRuns: 60 },
  )
})

/** The first `end` bytes of a packet as a packet that claims to be whole. */
function withLength(bytes: Uint8Array, end: number): Uint8Array {
  const header = mqtt.createFixedHeader()
  mqtt.readFixedHeader(bytes, 0, bytes.length, header)
  const body = bytes.subarray(header.headerLength, Math.max(end, header.headerLength))
  const length = [body.length & 0x7f, body.length >> 7]
  if (body.length > 0x7f) length[0]! |= 0x80
  return Buffer.concat([
    Buffer.from([bytes[0]!, ...length.slice(0, body.length > 0x7f ? 2 : 1)]),
    body,
  ])
}

test('M2 mutated and random bytes are packets or refusals, never another error', () => {
  const connection = fc.record({ version: fc.constantFrom(undefined, 4, 5) })
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), connection, (bytes, state) => {
      receive(bytes, state)
    }),
    { numRuns: 3000 },
  )
  const change = fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 }))
  fc.assert(
    fc.property(anyPacket, fc.array(change, { minLength: 1, maxLength: 4 }), (packet, changes) => {
      const bytes = Uint8Array.from(packet.bytes)
      for (const [place, value] of changes) bytes[place % bytes.length] = value
      receive(bytes, packet.connection)
    }),
    { numRuns: 2000 },
  )
})

test('M1 what surrounds a packet changes nothing in how it is read', () => {
  fc.assert(
    fc.property(anyPacket, fc.constantFrom(0x00, 0xff, 0x26), ({ bytes, connection }, filler) => {
      const surrounded = new Uint8Array(bytes.length + 200).fill(filler)
      surrounded.set(bytes, 100)
      const place = { start: 100, end: surrounded.length }
      const within = receive(surrounded, { ...connection, ...place })
      const alone = receive(bytes, connection)
      assert.equal(within.outcome, 'packet')
      assert.deepEqual(summary(within, 100), summary(alone, 0))
      const cut = withLength(bytes, bytes.length - 1)
      surrounded.fill(filler).set(cut, 100)
      const cutWithin = receive(surrounded, { ...connection, ...place })
      assert.deepEqual(summary(cutWithin, 100), summary(receive(cut, connection), 0))
    }),
  )
})

/** A result without the place it was read at. */
function summary(received: ReturnType<typeof receive>, start: number): unknown {
  if (received.outcome === 'refused') return received.code
  if (received.outcome === 'incomplete' || !(received.packet instanceof mqtt.PublishView)) {
    return JSON.stringify(received)
  }
  const { topicStart, topicEnd, payloadStart, payloadEnd, packetId, properties } = received.packet
  const places = [topicStart, topicEnd, payloadStart, payloadEnd].map((place) => place - start)
  return JSON.stringify([places, packetId, properties.userProperties()])
}
