import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SeriesIds } from './series-ids.ts'
import { encodeReadings } from './writer-rows.ts'

const START_US = Date.UTC(2026, 10, 24) * 1000
/** Of the protocol and of COPY, before the first row; a row is 42 bytes. */
const HEADER_BYTES = 24
const ROW_BYTES = 42
const VALUE_AT = 34

test('rows of a series lie together, in the order of the batch', () => {
  const series = new SeriesIds()
  for (const metric of ['a', 'b', 'c']) {
    const device = { tenant: 'default', deviceId: 'd', deviceType: 'generic', deviceHash: 7 }
    series.add({ ...device, metric, dimensions: [], kind: 'number' })
  }
  // As PostgreSQL would give them.
  series.ids.set([1, 2, 3])
  const readings = {
    count: 6,
    series: Uint32Array.of(2, 0, 2, 1, 0, 2),
    timeUs: Float64Array.of(0, 1, 2, 3, 1, 0).map((us) => START_US + us),
    value: Float64Array.of(10, 11, 12, NaN, 14, 15),
    texts: undefined,
  }
  const { rows, refused } = encodeReadings(readings, series, {
    timeMaxMs: START_US / 1000 + 1,
    erased: new Map(),
  })
  const message = rows.message()
  const values = Array.from({ length: rows.count }, (_, row) =>
    message.readDoubleBE(HEADER_BYTES + row * ROW_BYTES + VALUE_AT),
  )
  assert.deepEqual(values, [11, 14, 10, 12, 15])
  assert.equal(refused, 1)
})

test('texts take no room from the rows behind them', () => {
  const series = new SeriesIds()
  for (const [metric, kind] of [
    ['mode', 'text'],
    ['temperature', 'number'],
  ] as const) {
    const device = { tenant: 'default', deviceId: 'd', deviceType: 'generic', deviceHash: 7 }
    series.add({ ...device, metric, dimensions: [], kind })
  }
  series.ids.set([1, 2])
  const count = 6000
  const isText = (row: number): boolean => row < count / 2
  const readings = {
    count,
    series: Uint32Array.from({ length: count }, (_, row) => (isText(row) ? 0 : 1)),
    timeUs: Float64Array.from({ length: count }, (_, row) => START_US + row),
    value: new Float64Array(count),
    texts: Array.from({ length: count }, (_, row) => (isText(row) ? 'x'.repeat(40) : undefined)),
  }
  const { rows } = encodeReadings(readings, series, {
    timeMaxMs: START_US / 1000 + 1000,
    erased: new Map(),
  })
  const textBytes = (count / 2) * 40
  const trailerBytes = 2
  assert.equal(
    rows.message().length,
    HEADER_BYTES + count * (ROW_BYTES + 4) + textBytes + trailerBytes,
  )
})
