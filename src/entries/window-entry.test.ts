import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { WeirError } from '../errors/errors.ts'
import type { SeriesName } from '../batch/batch.ts'
import * as words from '../stream/stream.ts'
import { decodeWindow, encodeWatermark, encodeWindow } from './entries.ts'
import { WINDOW_TYPE } from './message-fixture.ts'

const text = fc.string({ unit: 'grapheme', maxLength: 12 })
const name = text.filter((one) => !/^\d+$/.test(one) && one !== '__proto__')
const anySeries: fc.Arbitrary<SeriesName> = fc.record(
  {
    tenant: text,
    deviceId: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }),
    deviceType: text,
    metric: text,
    kind: fc.constantFrom('number' as const, 'boolean' as const),
    dimensions: fc.uniqueArray(fc.tuple(name, text), { maxLength: 3, selector: ([one]) => one }),
  },
  { noNullPrototype: true },
)
const double = fc.double({ noNaN: true })
const time = fc.integer({ min: -(2 ** 52) + 1, max: 2 ** 52 - 1 })
/** In the order of the places of a partial, its series left out. */
const anyRow = fc
  .tuple(
    fc.tuple(fc.integer({ min: 1, max: 2 ** 31 - 1 }), time, fc.nat({ max: 1 })),
    fc.tuple(fc.nat({ max: 2 ** 52 - 1 }), double, double, double, double, double),
    fc.tuple(double, time, double, time),
  )
  .map((parts) => Float64Array.from([0, ...parts.flat()]))

test('E3 property: a window’s partial is decoded to what it was', () => {
  fc.assert(
    fc.property(anySeries, anyRow, (series, row) => {
      assert.equal(row.length, words.PARTIAL_STRIDE)
      const value = encodeWindow(series, row)
      assert.deepEqual(decodeWindow(value), { series, row })
      for (let length = 0; length < value.length; length++) {
        assert.throws(
          () => decodeWindow(value.subarray(0, length)),
          (error) => error instanceof WeirError && error.code === 'ENTRY_MALFORMED',
        )
      }
    }),
  )
})

test('E1 property: other people’s Avro reads a window, and writes the same bytes', () => {
  fc.assert(
    fc.property(anySeries, anyRow, (series, row) => {
      const record = {
        ...{ tenant: series.tenant, device: series.deviceId, device_type: series.deviceType },
        ...{ metric: series.metric, kind: series.kind === 'boolean' ? 1 : 0 },
        dimensions: Object.fromEntries(series.dimensions),
        window_ms: row[words.PARTIAL_WINDOW_MS],
        start_ms: row[words.PARTIAL_START_MS],
        is_late: row[words.PARTIAL_IS_LATE] === 1,
        count: row[words.PARTIAL_COUNT],
        sum: row[words.PARTIAL_SUM],
        min: row[words.PARTIAL_MIN],
        max: row[words.PARTIAL_MAX],
        mean: row[words.PARTIAL_MEAN],
        squares: row[words.PARTIAL_SQUARES],
        first: row[words.PARTIAL_FIRST],
        first_us: row[words.PARTIAL_FIRST_TIME_US],
        last: row[words.PARTIAL_LAST],
        last_us: row[words.PARTIAL_LAST_TIME_US],
      }
      const value = Buffer.from(encodeWindow(series, row))
      assert.deepEqual(value, WINDOW_TYPE.toBuffer(record))
      assert.deepEqual({ ...(WINDOW_TYPE.fromBuffer(value) as object) }, record)
    }),
  )
})

test('a watermark says where it stands, before 1970 too', () => {
  for (const watermarkMs of [0, -1, 1_753_000_000_000]) {
    const value = encodeWatermark(watermarkMs)
    assert.deepEqual(decodeWindow(value), { watermarkMs })
    const record = WINDOW_TYPE.fromBuffer(Buffer.from(value)) as Record<string, unknown>
    assert.deepEqual([record['device'], record['window_ms']], ['', 0])
    assert.equal(record['start_ms'], watermarkMs)
  }
})
