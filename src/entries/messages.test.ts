import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Definitions } from '../batch/batch.ts'
import {
  deviceKey,
  MessageDecoder,
  MessageEncoder,
  partitionOf,
  withoutReadings,
} from './entries.ts'
import { anyMessage, batchOf, EXAMPLE, inOrderOfEntries, MESSAGE_TYPE } from './message-fixture.ts'
import { messagesOf, recordOf, type PlainMessage } from './message-fixture.ts'

const LIMITS = { seriesMax: 10_000, textsMax: 10_000 }
const valuesOf = (messages: readonly PlainMessage[]): Uint8Array[] =>
  new MessageEncoder({ partitions: 8 }).encode(batchOf(messages)).map(({ value }) => value)

function decode(values: readonly Uint8Array[], baseUs: number): PlainMessage[] {
  const decoder = new MessageDecoder(LIMITS)
  decoder.begin(baseUs)
  for (const value of values) assert.equal(decoder.add(value), undefined)
  const batch = decoder.take()
  return messagesOf(batch, batch.definitions!)
}

/** Without prototypes and the order of keys in maps; -0 is 0. */
const plain = (record: unknown): unknown => JSON.parse(JSON.stringify(record))

const frames = fc.array(anyMessage, { minLength: 1, maxLength: 12 })

test('E3 property: what is encoded is decoded to the same messages', () => {
  fc.assert(
    fc.property(frames, (messages) => {
      const baseUs = Math.min(...messages.map(({ ingestUs }) => ingestUs))
      assert.deepEqual(decode(valuesOf(messages), baseUs), messages.map(inOrderOfEntries))
      // Said again, everything is known.
      const twice = [...messages, ...messages]
      assert.deepEqual(decode(valuesOf(twice), baseUs), twice.map(inOrderOfEntries))
    }),
  )
})

test('E1 property: other people’s Avro reads an entry, and writes the same bytes', () => {
  fc.assert(
    fc.property(anyMessage, (message) => {
      const [value] = valuesOf([message])
      const record: unknown = MESSAGE_TYPE.fromBuffer(Buffer.from(value!))
      assert.deepEqual(plain(record), plain(recordOf(message)))
      const theirs = MESSAGE_TYPE.toBuffer(recordOf(message))
      assert.deepEqual(Buffer.from(value!), theirs)
      assert.deepEqual(decode([theirs], message.ingestUs), [inOrderOfEntries(message)])
    }),
  )
})

test('E2 an entry has its device’s key and partition, in the order of the frame', () => {
  const messages = ['a', 'b', 'a', 'c'].map((deviceId) => ({ ...EXAMPLE, deviceId }))
  const entries = new MessageEncoder({ partitions: 8 }).encode(batchOf(messages))
  for (const [at, { deviceId }] of messages.entries()) {
    const key = deviceKey('default', deviceId)
    assert.deepEqual(entries[at]!.key, key)
    assert.equal(entries[at]!.partition, partitionOf(key, 8))
  }
})

test('a frame without messages is a tick for every partition, which tells the time', () => {
  const empty = { ...batchOf([EXAMPLE]), messageCount: 0, readingCount: 0 }
  const entries = new MessageEncoder({ partitions: 3 }).encode(empty)
  assert.deepEqual(
    entries.map(({ partition, key }) => [partition, key]),
    [0, 1, 2].map((one) => [one, undefined]),
  )
  const decoder = new MessageDecoder(LIMITS)
  decoder.begin(0)
  for (const { value } of entries) assert.equal(decoder.add(value), EXAMPLE.ingestUs)
  assert.equal(decoder.take().messageCount, 0)
  const record = MESSAGE_TYPE.fromBuffer(Buffer.from(entries[0]!.value)) as { tenant: string }
  assert.equal(record.tenant, '')
})

test('later frames need no definitions, and values stay good while others are encoded', () => {
  const encoder = new MessageEncoder({ partitions: 8 })
  const batch = batchOf([EXAMPLE])
  const [first] = encoder.encode(batch)
  const bytes = Buffer.from(first!.value)
  const later = { ...batch, definitions: undefined, eventTimeUs: Float64Array.of(5) }
  const [second] = encoder.encode(later)
  assert.deepEqual(Buffer.from(first!.value), bytes)
  assert.deepEqual(decode([second!.value], EXAMPLE.ingestUs), [{ ...EXAMPLE, eventUs: 5 }])
})

test('ingest times before the base count as the base', () => {
  const decoder = new MessageDecoder(LIMITS)
  decoder.begin(EXAMPLE.ingestUs + 10)
  decoder.add(valuesOf([EXAMPLE])[0]!)
  const batch = decoder.take()
  assert.equal(batch.baseIngestTimeUs, EXAMPLE.ingestUs + 10)
  assert.equal(batch.ingestDeltaUs[0], 0)
})

test('property: restored definitions give the same numbers as before', () => {
  fc.assert(
    fc.property(frames, frames, (before, after) => {
      const [old, fresh] = [new MessageDecoder(LIMITS), new MessageDecoder(LIMITS)]
      const run = (decoder: MessageDecoder, messages: PlainMessage[]): Definitions | undefined => {
        decoder.begin(0)
        for (const value of valuesOf(messages)) decoder.add(value)
        return decoder.take().definitions
      }
      fresh.restore(run(old, before)!)
      const both = [...before, ...after]
      assert.deepEqual(run(fresh, both), run(old, both))
      const [a, b] = [old.take(), fresh.take()]
      const numbers = ({ series, device, value, readingCount, messageCount }: typeof a) => [
        ...[series.slice(0, readingCount), value.slice(0, readingCount)],
        device.slice(0, messageCount),
      ]
      assert.deepEqual(numbers(b), numbers(a))
    }),
  )
})

test('numbers are dense, from 0, in the order of first appearance', () => {
  const decoder = new MessageDecoder(LIMITS)
  decoder.begin(0)
  const second = { ...EXAMPLE, deviceId: 'second' }
  for (const value of valuesOf([EXAMPLE, second, EXAMPLE])) decoder.add(value)
  const { definitions, series, device } = decoder.take()
  assert.deepEqual([...series.subarray(0, 9)], [0, 1, 2, 3, 4, 5, 0, 1, 2])
  assert.deepEqual([...device.subarray(0, 3)], [0, 1, 0])
  assert.deepEqual(
    definitions!.series.map((one) => one.series),
    [0, 1, 2, 3, 4, 5],
  )
  assert.deepEqual(definitions!.texts, [[0, 'heating']])
})

test('a series is its tenant, device, metric, dimensions and kind; not the device’s type', () => {
  const decoder = new MessageDecoder(LIMITS)
  decoder.begin(0)
  const [first, second] = [['x', 1] as const, ['y', 1] as const]
  const of = (deviceType: string, ...readings: (readonly [string, number | string])[]) =>
    decoder.add(
      valuesOf([{ ...EXAMPLE, deviceType, readings: readings as [string, number][] }])[0]!,
    )
  of('old', first)
  of('new', second)
  of('old', second)
  of('old', ['y', 'text'])
  const { series, device, definitions } = decoder.take()
  assert.deepEqual([...series.subarray(0, 4)], [0, 1, 1, 2])
  assert.deepEqual([...device.subarray(0, 4)], [0, 0, 0, 0])
  assert.equal(definitions!.series[1]!.deviceType, 'new')
})

test('property: without some readings, a message has the others and is an entry again', () => {
  fc.assert(
    fc.property(
      anyMessage,
      fc.array(fc.boolean(), { minLength: 6, maxLength: 6 }),
      (message, keep) => {
        const ordered = inOrderOfEntries(message)
        const kept = { ...ordered, readings: ordered.readings.filter((_, at) => keep[at]) }
        const value = withoutReadings(valuesOf([message])[0]!, (reading) => keep[reading]!)
        assert.deepEqual(Buffer.from(value), MESSAGE_TYPE.toBuffer(recordOf(kept)))
      },
    ),
  )
})
