import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createRecordsBatch, Reader, readRecordsBatch } from '@platformatic/kafka'
import fc from 'fast-check'
import type { ReadEntry } from './kafka.ts'
import { decodeBatches, encodeBatch, recordBytes, stampBatch } from './record-batch.ts'

const IDENTITY = { producerId: 77n, epoch: 3, sequence: 41 }
const TIME_MS = 1_700_000_000_000

interface Payload {
  key?: Uint8Array | undefined
  value: Uint8Array
  source?: number
}

const payloads: fc.Arbitrary<Payload[]> = fc.array(
  fc.record(
    {
      key: fc.option(fc.uint8Array({ maxLength: 80 }), { nil: undefined }),
      value: fc.uint8Array({ maxLength: 300 }),
      source: fc.nat(2 ** 45),
    },
    { requiredKeys: ['key', 'value'] },
  ),
  { minLength: 1, maxLength: 200 },
)

function batchOf(entries: readonly Payload[]): Uint8Array {
  const bytes = entries.reduce((sum, entry, at) => sum + recordBytes(entry, at), 0)
  const batch = encodeBatch(entries, bytes, TIME_MS)
  stampBatch(batch, IDENTITY)
  return batch
}

/** The leader gives a batch its offset; the checksum does not cover it. */
function placed(batch: Uint8Array, offset: number): Uint8Array {
  new DataView(batch.buffer, batch.byteOffset).setBigInt64(0, BigInt(offset))
  return batch
}

const plain = (bytes: Uint8Array | undefined): number[] | undefined => bytes && [...bytes]

test('what is written is read, in order, with its offsets', () => {
  fc.assert(
    fc.property(payloads, fc.nat(2 ** 45), (entries, base) => {
      const read: ReadEntry[] = []
      assert.equal(decodeBatches(placed(batchOf(entries), base), 0, read), undefined)
      assert.deepEqual(
        read.map(({ offset, key, value, timestampMs, source }) => [
          ...[offset, plain(key), plain(value), timestampMs, source],
        ]),
        entries.map(({ key, value, source }, at) => [
          ...[base + at, plain(key), plain(value), TIME_MS, source],
        ]),
      )
    }),
  )
})

test('the library reads what we write', () => {
  fc.assert(
    fc.property(payloads, (entries) => {
      const batch = readRecordsBatch(Reader.from(Buffer.from(batchOf(entries))))
      assert.equal(batch.producerId, 77n)
      assert.equal(batch.producerEpoch, 3)
      assert.equal(batch.firstSequence, 41)
      assert.equal(batch.lastOffsetDelta, entries.length - 1)
      assert.deepEqual(
        batch.records.map(({ value }) => plain(value ?? undefined)),
        entries.map(({ value }) => plain(value)),
      )
    }),
  )
})

for (const compression of ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const)
  test(`what others write is read: ${compression}, with headers, at their times`, () => {
    const messages = Array.from({ length: 50 }, (_, at) => ({
      topic: 'any',
      key: Buffer.from(`key ${at % 3}`),
      value: Buffer.from(`value ${at} `.repeat(at)),
      timestamp: BigInt(TIME_MS + ((at * 7) % 50)),
      headers: new Map([[Buffer.from('a'), Buffer.from('b')]]),
    }))
    const batch = createRecordsBatch(messages, { compression }).buffer
    const read: ReadEntry[] = []
    assert.equal(decodeBatches(batch, 10, read), undefined)
    assert.deepEqual(
      read.map(({ offset, key, value, timestampMs }) => [
        ...[offset, Buffer.from(key!).toString(), Buffer.from(value).toString(), timestampMs],
      ]),
      messages
        .map((one, at) => [at, String(one.key), String(one.value), Number(one.timestamp)])
        .slice(10),
    )
  })

test('a batch that was cut is left for the next read', () => {
  const whole = batchOf([{ value: Uint8Array.of(1) }, { value: Uint8Array.of(2) }])
  const cut = placed(batchOf([{ value: Uint8Array.of(3) }]), 2)
  for (let length = 0; length < cut.length; length++) {
    const read: ReadEntry[] = []
    decodeBatches(Buffer.concat([whole, cut.subarray(0, length)]), 1, read)
    assert.deepEqual(
      read.map(({ offset }) => offset),
      [1],
    )
  }
})

test('a flipped bit is damage that names its batch, and what is before it is read', () => {
  const first = batchOf([{ value: Uint8Array.of(1) }])
  const second = placed(batchOf([{ value: Uint8Array.of(2) }, { value: Uint8Array.of(3) }]), 1)
  // Everything behind the checksum, and the checksum.
  for (let at = 17; at < second.length; at++) {
    // What says how many offsets are in it says where to go on.
    if (at >= 23 && at < 27) continue
    const damaged = second.slice()
    damaged[at]! ^= 4
    const read: ReadEntry[] = []
    const damage = decodeBatches(Buffer.concat([first, damaged]), 0, read)
    assert.deepEqual(damage, { offset: 1, resumeOffset: 3 })
    assert.equal(read.length, 1)
  }
})
