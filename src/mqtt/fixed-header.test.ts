import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  HEADER_COMPLETE,
  HEADER_INCOMPLETE,
  HEADER_MALFORMED,
  PACKET_PUBLISH,
  createFixedHeader,
  readFixedHeader,
} from './fixed-header.ts'
import { PacketReader } from './packet-reader.ts'
import { PacketWriter } from './packet-writer.ts'

test('1.5.5 the specification’s lengths take 1 to 4 bytes', () => {
  const cases: [number, number[]][] = [
    [0, [0x00]],
    [127, [0x7f]],
    [128, [0x80, 0x01]],
    [16_383, [0xff, 0x7f]],
    [16_384, [0x80, 0x80, 0x01]],
    [2_097_151, [0xff, 0xff, 0x7f]],
    [2_097_152, [0x80, 0x80, 0x80, 0x01]],
    [268_435_455, [0xff, 0xff, 0xff, 0x7f]],
  ]
  const header = createFixedHeader()
  for (const [length, lengthBytes] of cases) {
    const bytes = Uint8Array.of(0xc0, ...lengthBytes)
    assert.equal(readFixedHeader(bytes, 0, bytes.length, header), HEADER_COMPLETE)
    assert.equal(header.remainingLength, length)
    assert.equal(header.headerLength, bytes.length)
    const writer = new PacketWriter()
    writer.variableByteInteger(length)
    assert.deepEqual([...writer.finish(0, 0).subarray(2)], lengthBytes)
    assert.equal(new PacketReader(bytes, 1).variableByteInteger('length'), length)
  }
})

test('M5 the header that is written is the header that is read', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 70_000 }), fc.nat(100), (length, offset) => {
      const writer = new PacketWriter()
      writer.bytes(new Uint8Array(length))
      const packet = writer.finish(PACKET_PUBLISH, 0x0b)
      const bytes = new Uint8Array(offset + packet.length)
      bytes.set(packet, offset)
      const header = createFixedHeader()
      assert.equal(readFixedHeader(bytes, offset, bytes.length, header), HEADER_COMPLETE)
      assert.deepEqual([header.type, header.flags, header.remainingLength], [3, 0x0b, length])
      assert.equal(header.headerLength + length, packet.length)
    }),
    { numRuns: 200 },
  )
})

test('M1 nothing is read behind the end, and one byte already tells the type', () => {
  const header = createFixedHeader()
  const bytes = Uint8Array.of(0x82, 0x05)
  assert.equal(readFixedHeader(bytes, 0, 0, header), HEADER_INCOMPLETE)
  assert.equal(readFixedHeader(bytes, 0, 1, header), HEADER_INCOMPLETE)
  assert.deepEqual(header, { type: 8, flags: 2, remainingLength: 0, headerLength: 0 })
  assert.equal(readFixedHeader(Uint8Array.of(0x80), 0, 1, header), HEADER_MALFORMED)
})

test('M5 our own mistakes are RangeErrors, not packets', () => {
  const writer = new PacketWriter()
  assert.throws(() => writer.packetId(0), RangeError)
  assert.throws(() => writer.packetId(65_536), RangeError)
  assert.throws(() => writer.variableByteInteger(268_435_456), RangeError)
  assert.throws(() => writer.binary(new Uint8Array(65_536)), RangeError)
})
