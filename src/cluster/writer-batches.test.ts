/** Of several stores each keeps its devices, and together they keep everything once. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeFrame } from '../batch/batch.ts'
import { deviceKey, encodeWatermark, encodeWindow, hashKey } from '../entries/entries.ts'
import { MessageEncoder } from '../entries/entries.ts'
import type { ReadEntry } from '../kafka/kafka.ts'
import type { HashRange } from '../postgres/postgres.ts'
import { frameOf, messageAt, METRICS, SERIES } from '../stream/script.ts'
import { PARTIAL_COUNT, PARTIAL_SERIES, PARTIAL_STRIDE } from '../stream/stream.ts'
import { createDecoder, type BatchKind, type Rows } from './writer-batches.ts'

const ALL: HashRange = { from: 0, to: 0xffff_ffff }
const DEVICES = [...new Set(SERIES.map(({ deviceId }) => deviceId))]
const hashes = DEVICES.map((id) => hashKey(deviceKey('default', id)) >>> 0)
/** Half of the script's devices below it. */
const middle = hashes.toSorted((one, other) => one - other)[DEVICES.length / 2]!
const HALVES: HashRange[] = [
  { from: 0, to: middle - 1 },
  { from: middle, to: 0xffff_ffff },
]

function decode(kind: BatchKind, range: HashRange, values: readonly Uint8Array[]): Rows {
  const decoder = createDecoder(kind, {
    ...{ partition: 2, range, known: { series: 1000, texts: 100 } },
    generation: { number: 1, partitions: 4 },
    malformed: (offset, error) => assert.fail(`${offset}: ${error.message}`),
  })
  const toEntry = (value: Uint8Array, offset: number): ReadEntry => ({
    ...{ offset, value, key: undefined, timestampMs: 1 },
  })
  return decoder.decode(values.map(toEntry))
}

/** Devices by index, each as many times as it has series. */
const hashesOf = ({ series }: Rows): number[] =>
  [...series.hashes.subarray(0, series.count)].map((hash) => hash >>> 0)

/** Rows as `hash of device, time, value, text`. */
function readingsOf(rows: Rows): string[] {
  const { count, series, timeUs, value, texts } = rows.readings!
  return Array.from({ length: count }, (_, at) =>
    [rows.series.hashes[series[at]!]! >>> 0, timeUs[at], value[at], texts?.[at]].join(' '),
  )
}

test('readings', () => {
  const messages = DEVICES.flatMap((_, device) =>
    [1, 2].map((at) =>
      messageAt(at, {
        device,
        readings: METRICS.map((_metric, metric) => [metric, device % 2] as [number, number]),
      }),
    ),
  )
  const encoder = new MessageEncoder({ partitions: 1 })
  const frame = decodeFrame(frameOf({ baseUs: 1_700_000_000_000_000, messages }, true))
  const values = encoder.encode(frame).map(({ value }) => value)
  const whole = decode('readings', ALL, values)
  assert.equal(whole.readings!.count, DEVICES.length * 2 * METRICS.length)
  const halves = HALVES.map((range) => decode('readings', range, values))
  assert.deepEqual(halves.flatMap(readingsOf).toSorted(), readingsOf(whole).toSorted())
  for (const [at, half] of halves.entries()) {
    const { from, to } = HALVES[at]!
    assert.equal(half.series.count, (DEVICES.length / 2) * METRICS.length)
    assert.ok(hashesOf(half).every((hash) => hash >= from && hash <= to))
  }
})

test('windows, and watermarks to each', () => {
  const numbers = SERIES.filter(({ kind }) => kind === 'number')
  const values = numbers.map((series, at) => {
    const row = new Float64Array(PARTIAL_STRIDE)
    row[PARTIAL_COUNT] = at + 1
    return encodeWindow(series, row)
  })
  const halves = HALVES.map((range) => decode('windows', range, [...values, encodeWatermark(7)]))
  const counts = halves.flatMap(({ partials, series, coverage }) => {
    const of = { generation: 1, partition: 2, partitions: 4 }
    assert.deepEqual(coverage, [{ ...of, fromMs: undefined, watermarkMs: 7 }])
    return Array.from({ length: partials!.length / PARTIAL_STRIDE }, (_, at) => {
      const row = partials!.subarray(at * PARTIAL_STRIDE)
      const { deviceId } = numbers[row[PARTIAL_COUNT]! - 1]!
      const hash = hashKey(deviceKey('default', deviceId))
      assert.equal(series.hashes[row[PARTIAL_SERIES]!], hash)
      return row[PARTIAL_COUNT]!
    })
  })
  assert.equal(halves[0]!.partials!.length, halves[1]!.partials!.length)
  assert.deepEqual(
    counts.toSorted((one, other) => one - other),
    numbers.map((_, at) => at + 1),
  )
})

test('events and dead letters', () => {
  const encode = (value: object): Uint8Array => Buffer.from(JSON.stringify(value))
  const devices = DEVICES.map((deviceId) => ({ tenant: 'default', deviceId }))
  const events = devices.flatMap((device, at) => [
    encode({ type: 'alert', event: device }),
    encode({ type: 'anomaly', event: device }),
    encode({ type: 'dirty', series: { ...SERIES[at], ...device }, fromMs: at, toMs: at + 1 }),
  ])
  const letters = [...devices, { tenant: 'default', deviceId: '' }].map(encode)
  const halves = HALVES.map((range) => decode('events', range, events))
  for (const kind of ['anomalies', 'dirty'] as const) {
    assert.deepEqual(
      halves.map((rows) => rows[kind]!.length),
      [DEVICES.length / 2, DEVICES.length / 2],
    )
  }
  // Those of type alert are nobody's here, and no fault either.
  const kept = halves.flatMap(({ anomalies, dirty }) => [...anomalies!, ...dirty!])
  assert.equal(kept.length, (events.length * 2) / 3)
  const found = HALVES.flatMap((range) => decode('dead-letters', range, letters).deadLetters!)
  assert.deepEqual(new Set(found.map(({ offset }) => offset)), new Set([0, 1, 2, 3, 4]))
  assert.equal(found.length, 5)
})

test('beyond what is remembered it begins anew, and leaves nothing out', () => {
  const encoder = new MessageEncoder({ partitions: 1 })
  const decoder = createDecoder('readings', {
    ...{ partition: 0, range: ALL, known: { series: 2, texts: 1 } },
    generation: { number: 1, partitions: 1 },
    malformed: (offset, error) => assert.fail(`${offset}: ${error.message}`),
  })
  const seen = new Set<Rows['series']>()
  const turns = 6
  for (let turn = 0; turn < turns; turn++) {
    const device = turn % DEVICES.length
    const readings = METRICS.map((_metric, metric) => [metric, 0] as [number, number])
    const messages = [messageAt(turn, { device, readings })]
    const frame = frameOf({ baseUs: 1_700_000_000_000_000, messages }, turn === 0)
    const rows = decoder.decode(
      encoder
        .encode(decodeFrame(frame))
        .map(({ value }, offset) => ({ offset, value, key: undefined, timestampMs: 1 })),
    )
    seen.add(rows.series)
    assert.equal(rows.readings!.count, METRICS.length)
    const hash = hashKey(deviceKey('default', DEVICES[device]!)) >>> 0
    assert.ok(readingsOf(rows).every((row) => row.startsWith(`${hash} `)))
  }
  assert.equal(seen.size, turns)
})
