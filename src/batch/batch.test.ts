import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeFrame, encodeFrame, type DeadLetter, type ReadingBatch } from './batch.ts'

const LETTER: DeadLetter = {
  tenant: 'default',
  deviceId: 'pump-1',
  receivedAtUs: 1_700_000_000_000_000,
  code: 'TELEMETRY_SHAPE_INVALID',
  detail: '“quoted”',
  payload: '{"a":',
}

const BATCH: ReadingBatch = {
  messageCount: 3,
  readingCount: 5,
  baseIngestTimeUs: 1_700_000_000_000_001,
  eventTimeUs: Float64Array.of(1, 2.5, -3),
  ingestDeltaUs: Uint32Array.of(0, 7, 2 ** 32 - 1),
  device: Uint32Array.of(9, 8, 9),
  identityHigh: Uint32Array.of(0, 1, 2),
  identityLow: Uint32Array.of(0, 4, 5),
  readingsInMessage: Uint16Array.of(1, 0, 4),
  flags: Uint8Array.of(0, 1, 6),
  value: Float64Array.of(0.1, -0, NaN, 1e308, 4),
  series: Uint32Array.of(4, 3, 2, 1, 0),
  definitions: { series: [], texts: [[3, 'fehlgeschlagen: ü']] },
  deadLetters: [LETTER],
}

/** Getters are no own properties, so they are read here one by one. */
const columnsOf = (batch: ReadingBatch): unknown[] =>
  Object.keys(BATCH).map((name) => batch[name as keyof ReadingBatch])

test('what a frame says is what was encoded, with and without its optional parts', () => {
  assert.deepEqual(columnsOf(decodeFrame(encodeFrame(BATCH))), columnsOf(BATCH))
  const identities = { identityHigh: undefined, identityLow: undefined }
  const bare = { ...BATCH, ...identities, definitions: undefined, deadLetters: undefined }
  assert.deepEqual(columnsOf(decodeFrame(encodeFrame(bare))), columnsOf(bare))
})

test('definitions and dead letters are parsed when they are read, and once', () => {
  const frame = encodeFrame(BATCH)
  const text = new TextDecoder('latin1').decode(frame)
  frame[text.indexOf('{"series"')] = 0
  frame[text.indexOf('[{"tenant"')] = 0
  const damaged = decodeFrame(frame)
  assert.deepEqual(damaged.value, BATCH.value)
  assert.throws(() => damaged.definitions, SyntaxError)
  assert.throws(() => damaged.deadLetters, SyntaxError)
  const sound = decodeFrame(encodeFrame(BATCH))
  assert.equal(sound.definitions, sound.definitions)
  assert.equal(sound.deadLetters, sound.deadLetters)
})

test('bytes that are no frame, are cut short or lie askew are refused', () => {
  const frame = encodeFrame(BATCH)
  assert.throws(() => decodeFrame(frame.subarray(0, frame.length - 8)), /cut short/)
  assert.throws(() => decodeFrame(new Uint8Array(64)), /not a frame/)
  assert.throws(() => decodeFrame(frame.subarray(4)), /aligned/)
})
