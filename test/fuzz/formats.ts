/** Line protocol and frames. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import {
  decodeFrame,
  plainBatch,
  encodeFrame,
  readingsOfFrame,
  type ReadingBatch,
} from '../../src/batch/batch.ts'
import { TestGateway } from '../../src/gateway/testing.ts'
import { parseLines, type Precision } from '../../src/line-protocol/line-protocol.ts'
import { mutated, oneOf } from './bytes.ts'
import { claim, type FuzzTarget } from './claim.ts'

const word = fc.string({
  unit: oneOf('abcé01_-.\\ ,="\'#\n\r\t'),
  maxLength: 8,
})
const value = fc.oneof(
  fc.double({ noNaN: true }).map(String),
  fc.integer().map((whole) => `${whole}i`),
  fc.nat().map((whole) => `${whole}u`),
  fc.constantFrom(
    't',
    'FALSE',
    'nan',
    '1e999',
    '-',
    '"a b"',
    '"a,\\"=\n"',
    '"',
    '99999999999999999i',
  ),
)
const pair = (right: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.tuple(word, right).map(([key, text]) => `${key}=${text}`)
const line = fc
  .record({
    measurement: word,
    tags: fc.array(pair(word), { maxLength: 3 }),
    fields: fc.array(pair(value), { maxLength: 3 }),
    time: fc.constantFrom('', ' 1700000000000000000', ' -1', ' x', '  5 ', ' 99999999999999999999'),
    end: fc.constantFrom('\n', '\r\n', '', '\n\n', '#c\n'),
  })
  .map(
    ({ measurement, tags, fields, time, end }) =>
      `${[measurement, 'device_id=pump-1', ...tags].join(',')} ${fields.join(',')}${time}${end}`,
  )
const lines = fc.array(line, { maxLength: 6 }).map((all) => new TextEncoder().encode(all.join('')))
const anyLines = fc.oneof(lines, mutated(lines), fc.uint8Array({ maxLength: 100 }))
const precision = fc.constantFrom<Precision>('ns', 'us', 'ms', 's', 'm', 'h')

interface Found {
  start: number
  end: number
  read: string | undefined
}

/** Every line of the bytes, in order: what was read, or undefined where it was refused. */
function find(bytes: Uint8Array, unit: Precision): Found[] {
  const found: Found[] = []
  parseLines(
    bytes,
    unit,
    (one) => {
      assert.equal(one.index, found.length)
      const { measurement, tagCount, fieldCount, timeUs, start, end } = one
      const tags = one.tagKeys.slice(0, tagCount).map((key, i) => [key, one.tagValues[i]])
      const fields = one.fieldKeys.slice(0, fieldCount).map((key, i) => [key, one.fieldValues[i]])
      assert.ok(fieldCount > 0 && measurement !== '')
      found.push({ start, end, read: JSON.stringify([measurement, tags, fields, timeUs]) })
    },
    (index, _code, detail, lineBytes) => {
      assert.equal(index, found.length)
      assert.ok(detail.length > 0 && detail.length < 400)
      const start = lineBytes.byteOffset - bytes.byteOffset
      found.push({ start, end: start + lineBytes.length, read: undefined })
    },
  )
  return found
}

/** Lines lie in order, apart from each other, and nothing but blanks and comments between them. */
function accountsForAll(bytes: Uint8Array, unit: Precision): void {
  let at = 0
  for (const { start, end } of find(bytes, unit)) {
    assert.ok(start >= at && end >= start && end <= bytes.length)
    assertEmpty(bytes.subarray(at, start))
    at = end
  }
  assertEmpty(bytes.subarray(at))
}

function assertEmpty(between: Uint8Array): void {
  const text = Buffer.from(between).toString('latin1')
  for (const one of text.split('\n')) assert.match(one, /^[ \r]*(#.*)?$/s, JSON.stringify(text))
}

const columns = fc
  .array(
    fc.record({
      device: fc.nat({ max: 9 }),
      readings: fc.array(fc.double(), { maxLength: 4 }),
      identity: fc.nat(),
    }),
    { maxLength: 6 },
  )
  .map((messages): ReadingBatch => {
    const all = messages.flatMap(({ readings }) => readings)
    const hasIdentities = messages.some(({ identity }) => identity % 2 === 1)
    const identities = Uint32Array.from(messages, ({ identity }) => identity)
    return {
      messageCount: messages.length,
      readingCount: all.length,
      baseIngestTimeUs: 1_760_000_000_000_000,
      eventTimeUs: Float64Array.from(messages, (_, i) => 1_760_000_000_000_000 + i),
      ingestDeltaUs: Uint32Array.from(messages, (_, i) => i),
      device: Uint32Array.from(messages, ({ device }) => device),
      identityHigh: hasIdentities ? identities : undefined,
      identityLow: hasIdentities ? identities : undefined,
      readingsInMessage: Uint16Array.from(messages, ({ readings }) => readings.length),
      flags: new Uint8Array(messages.length),
      value: Float64Array.from(all),
      series: Uint32Array.from(all, (_, i) => i),
      definitions: messages.length > 3 ? { series: [], texts: [[0, 'é']] } : undefined,
      deadLetters: undefined,
    }
  })

/** A batch within its bytes, or the error that the face of the folder names. */
function decodesWithin(frame: Uint8Array): void {
  // A copy that is longer than the frame, so that reading on would go unnoticed by the engine.
  const buffer = new ArrayBuffer(frame.length + 4096)
  new Uint8Array(buffer).set(frame)
  const bytes = new Uint8Array(buffer, 0, frame.length)
  try {
    const batch = decodeFrame(bytes)
    for (const column of [batch.value, batch.series, batch.flags, batch.readingsInMessage]) {
      assert.ok(column.byteOffset + column.byteLength <= frame.length)
    }
  } catch (error) {
    assert.ok(error instanceof RangeError || error instanceof SyntaxError, String(error))
  }
}

export const formatsTarget: FuzzTarget = {
  name: 'formats',
  claims: [
    claim(
      'every line of any bytes is read or refused, once, in order, and nothing else is left',
      2000,
      fc.property(anyLines, precision, accountsForAll),
    ),
    claim(
      'a line that was read is read alike when it stands alone',
      500,
      fc.property(anyLines, precision, (bytes, unit) => {
        for (const { start, end, read } of find(bytes, unit)) {
          if (read === undefined) continue
          assert.deepEqual(
            find(bytes.slice(start, end), unit).map((one) => one.read),
            [read],
          )
        }
      }),
    ),
    claim(
      'of any lines the gateway accepts or refuses each, and writes what it accepts',
      500,
      fc.property(anyLines, precision, (bytes, unit) => {
        const gateway = new TestGateway()
        gateway.lines.decode(bytes, unit, gateway.sender(undefined))
        const { accepted, rejectedCount } = gateway.decoder.outcome
        const { messages, deadLetters } = gateway.take()
        assert.equal(accepted + rejectedCount, find(bytes, unit).length)
        assert.deepEqual([messages.length, deadLetters.length], [accepted, rejectedCount])
      }),
    ),
    claim(
      'a frame comes back as the batch that went in',
      300,
      fc.property(columns, (batch) => {
        const frame = encodeFrame(batch)
        assert.deepEqual(plainBatch(decodeFrame(frame)), batch)
        assert.equal(readingsOfFrame(frame), batch.readingCount)
      }),
    ),
    claim(
      'bytes that are no frame give an error or a batch within them',
      1500,
      fc.property(mutated(columns.map((batch) => encodeFrame(batch))), decodesWithin),
    ),
  ],
}
