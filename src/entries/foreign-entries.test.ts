/** Entries that other programs write, well or badly. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { WeirError } from '../errors/errors.ts'
import { AvroWriter } from './avro-writer.ts'
import { decodeWindow, MessageDecoder, MessageEncoder, withoutReadings } from './entries.ts'
import { anyMessage, batchOf, EXAMPLE, MESSAGE_TYPE } from './message-fixture.ts'
import { messagesOf, recordOf, type PlainMessage } from './message-fixture.ts'

const LIMITS = { seriesMax: 1000, textsMax: 1000 }
const isMalformed = (error: unknown): boolean =>
  error instanceof WeirError && error.code === 'ENTRY_MALFORMED'
const encode = (message: PlainMessage): Uint8Array =>
  new MessageEncoder({ partitions: 1 }).encode(batchOf([message]))[0]!.value

function begun(limits = LIMITS): MessageDecoder {
  const decoder = new MessageDecoder(limits)
  decoder.begin(0)
  return decoder
}

/** Nothing stays: what comes next is as if it were the first. */
function assertUntouched(decoder: MessageDecoder): void {
  decoder.add(encode({ ...EXAMPLE, deviceId: 'first' }))
  const batch = decoder.take()
  const fresh = begun()
  fresh.add(encode({ ...EXAMPLE, deviceId: 'first' }))
  assert.deepEqual(batch.definitions, fresh.take().definitions)
  assert.deepEqual([batch.messageCount, batch.readingCount], [1, 3])
  assert.deepEqual([...batch.series.subarray(0, 3)], [0, 1, 2])
}

test('E4 property: every prefix of an entry is refused, and so is one more byte', () => {
  fc.assert(
    fc.property(anyMessage, (message) => {
      const value = encode(message)
      const decoder = begun()
      for (let length = 0; length < value.length; length++) {
        assert.throws(() => decoder.add(value.subarray(0, length)), isMalformed, `${length} bytes`)
        assert.throws(() => withoutReadings(value.subarray(0, length), () => true), isMalformed)
      }
      const longer = Buffer.concat([value, Buffer.of(0)])
      assert.throws(() => decoder.add(longer), isMalformed)
      assert.throws(() => withoutReadings(longer, () => true), isMalformed)
      assertUntouched(decoder)
    }),
    { numRuns: 30 },
  )
})

test('E4 property: of random bytes and of damaged entries nothing stays, or they are entries', () => {
  const damaged = fc
    .tuple(anyMessage, fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { minLength: 1 }))
    .map(([message, bytes]) => {
      const value = Buffer.from(encode(message))
      for (const [at, byte] of bytes) value[at % value.length] = byte
      return value
    })
  const any = fc.oneof(fc.uint8Array({ maxLength: 200 }), damaged)
  let refused = 0
  fc.assert(
    fc.property(any, (value) => {
      const decoder = begun()
      try {
        decoder.add(value)
      } catch (error) {
        assert.ok(isMalformed(error), String(error))
        refused++
        assertUntouched(decoder)
      }
      for (const read of [
        decodeWindow,
        (bytes: Uint8Array) => withoutReadings(bytes, () => true),
      ]) {
        try {
          read(value)
        } catch (error) {
          assert.ok(isMalformed(error), String(error))
        }
      }
    }),
    { numRuns: 2000 },
  )
  assert.ok(refused > 500, `${refused} refused`)
})

test('property: damage that is read at all is read again to the same', () => {
  fc.assert(
    fc.property(anyMessage, fc.nat(), fc.nat({ max: 255 }), (message, at, byte) => {
      const value = Buffer.from(encode(message))
      value[at % value.length] = byte
      const decoder = begun()
      try {
        if (decoder.add(value) !== undefined) return
      } catch {
        return
      }
      const batch = decoder.take()
      const [read] = messagesOf(batch, batch.definitions!)
      const again = begun()
      again.begin(batch.baseIngestTimeUs)
      again.add(encode(read!))
      const second = again.take()
      assert.deepEqual(messagesOf(second, second.definitions!)[0]!.readings, read!.readings)
    }),
    { numRuns: 500 },
  )
})

/** An entry up to its dimensions; then whatever follows. */
function entryWith(rest: (writer: AvroWriter) => void): Uint8Array {
  const writer = new AvroWriter()
  for (const name of ['t', 'd', '']) writer.string(name)
  for (const number of [1, 2, 0, 0]) writer.long(number)
  rest(writer)
  return writer.take()
}

test('maps may come in several blocks, with their sizes or without', () => {
  const value = entryWith((writer) => {
    writer.strings([])
    writer.long(1)
    writer.string('a')
    writer.double(1)
    // A block that says its size: one byte of length, one of name, eight of number.
    writer.long(-1)
    writer.long(10)
    writer.string('b')
    writer.double(2)
    for (let map = 0; map < 3; map++) writer.long(0)
  })
  const decoder = begun()
  decoder.add(value)
  const batch = decoder.take()
  const readings = [['a', 1] as const, ['b', 2] as const]
  assert.deepEqual(messagesOf(batch, batch.definitions!)[0]!.readings, readings)
  const only = withoutReadings(value, (reading) => reading === 1)
  assert.deepEqual(
    { ...(MESSAGE_TYPE.fromBuffer(Buffer.from(only)) as { numbers: object }).numbers },
    { b: 2 },
  )
})

test('dimensions in another order are the same series', () => {
  const record = recordOf({ ...EXAMPLE, dimensions: [] })
  const decoder = begun()
  for (const dimensions of [
    { a: '1', b: '2' },
    { b: '2', a: '1' },
    { a: '1', b: '2' },
  ])
    decoder.add(MESSAGE_TYPE.toBuffer({ ...record, dimensions }))
  const { series, definitions } = decoder.take()
  assert.deepEqual([...series.subarray(0, 9)], [0, 1, 2, 0, 1, 2, 0, 1, 2])
  assert.deepEqual(definitions!.series[0]!.dimensions, [
    ['a', '1'],
    ['b', '2'],
  ])
})

test('E4 a block that says it has 2^40 pairs is refused at once', () => {
  for (const kind of [0, 1, 2, 3]) {
    const value = entryWith((writer) => {
      for (let map = 0; map < kind; map++) writer.long(0)
      writer.long(2 ** 40)
    })
    const decoder = begun()
    assert.throws(() => decoder.add(value), isMalformed)
    assert.throws(() => withoutReadings(value, () => true), isMalformed)
    assertUntouched(decoder)
  }
})

test('E4 what Avro allows and no entry has is refused', () => {
  const bad: [string, Uint8Array][] = [
    ['no readings', entryWith((writer) => [0, 0, 0, 0].forEach((zero) => writer.long(zero)))],
    ['a reading that is no number', encode({ ...EXAMPLE, readings: [['a', NaN]] })],
    ['an infinite one', encode({ ...EXAMPLE, readings: [['a', Infinity]] })],
    ['readings of no device', encode({ ...EXAMPLE, tenant: '', deviceId: '' })],
    ['a length in two bytes', Buffer.concat([Buffer.of(0x80, 0), encode(EXAMPLE).subarray(8)])],
    ['a number without end', new Uint8Array(300).fill(0x80)],
    ['a number of 200 bytes', Buffer.concat([new Uint8Array(200).fill(0x80), Buffer.of(0)])],
    ['another one', Buffer.concat([new Uint8Array(200).fill(0x80), Buffer.of(1)])],
    ['a name that is not UTF-8', Buffer.concat([Buffer.of(2, 0xff), encode(EXAMPLE).subarray(8)])],
  ]
  for (const [what, value] of bad) {
    const decoder = begun()
    assert.throws(() => decoder.add(value), isMalformed, what)
    assertUntouched(decoder)
  }
})

test('E4 of a bad entry of a known device no series stays, nor dimensions', () => {
  const decoder = begun()
  decoder.add(encode(EXAMPLE))
  const other: PlainMessage = { ...EXAMPLE, dimensions: [], readings: [['new', 1]] }
  const more: PlainMessage = { ...EXAMPLE, readings: [['new', 1]] }
  for (const message of [other, more]) {
    const value = encode(message)
    assert.throws(() => decoder.add(value.subarray(0, -1)), isMalformed)
  }
  for (const message of [more, other]) decoder.add(encode(message))
  const { definitions, series } = decoder.take()
  assert.deepEqual([...series.subarray(0, 5)], [0, 1, 2, 3, 4])
  assert.deepEqual(
    definitions!.series.slice(3).map((one) => [one.series, one.dimensions.length]),
    [
      [3, 1],
      [4, 0],
    ],
  )
})

test('E4 a device and dimensions of a bad entry are new when they come again', () => {
  const decoder = begun()
  const cut = (message: PlainMessage): void =>
    assert.throws(() => decoder.add(encode(message).subarray(0, -1)), isMalformed)
  cut({ ...EXAMPLE, deviceId: 'cut' })
  for (const deviceId of ['other', 'cut']) decoder.add(encode({ ...EXAMPLE, deviceId }))
  const record = recordOf({ ...EXAMPLE, deviceId: 'cut', readings: [['x', 1]] })
  const inOrder = MESSAGE_TYPE.toBuffer({ ...record, dimensions: { a: '1', b: '2' } })
  assert.throws(() => decoder.add(inOrder.subarray(0, -1)), isMalformed)
  decoder.add(inOrder)
  decoder.add(MESSAGE_TYPE.toBuffer({ ...record, dimensions: { b: '2', a: '1' } }))
  const { device, series } = decoder.take()
  assert.deepEqual([...device.subarray(0, 4)], [0, 1, 1, 1])
  assert.deepEqual([...series.subarray(6, 8)], [6, 6])
})

test('beyond the limits a message is refused whole, and others go on', () => {
  const twoMore = { ...EXAMPLE, deviceId: 'other', readings: EXAMPLE.readings.slice(0, 2) }
  const decoder = begun({ seriesMax: 4, textsMax: 1 })
  decoder.add(encode(EXAMPLE))
  assert.throws(() => decoder.add(encode(twoMore)), { code: 'SERIES_LIMIT' })
  const one = { ...twoMore, readings: twoMore.readings.slice(0, 1) }
  decoder.add(encode(one))
  const text: PlainMessage = { ...EXAMPLE, readings: [['state', 'another']] }
  assert.throws(() => decoder.add(encode(text)), { code: 'TEXT_LIMIT' })
  decoder.add(encode({ ...EXAMPLE, readings: [['state', 'heating']] }))
  const batch = decoder.take()
  assert.equal(batch.definitions!.series.length, 4)
  assert.deepEqual([...batch.device.subarray(0, 3)], [0, 1, 0])
  assert.deepEqual([...batch.series.subarray(0, 5)], [0, 1, 2, 3, 2])
})

test('a device whose type changes again and again keeps its series, though headers are forgotten', () => {
  const decoder = begun({ seriesMax: 10, textsMax: 10 })
  for (let type = 0; type < 100; type++)
    decoder.add(encode({ ...EXAMPLE, deviceType: `type-${type}` }))
  const { series, readingCount } = decoder.take()
  assert.deepEqual(new Set(series.subarray(0, readingCount)), new Set([0, 1, 2]))
})
