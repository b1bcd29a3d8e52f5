/** What is written is read back by the project's own parser of line protocol. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseLines } from '../line-protocol/line-protocol.ts'
import { LineEncoder } from './line-encoder.ts'
import type { SeriesName } from '../batch/batch.ts'
import type { SinkBatch } from './line-sink.ts'
import { freeName, toIdentifier, type Dialect } from './line-text.ts'

const INFLUX: Dialect = {
  ...{ doublesBackslashes: false, escapesLineEnds: false, hasComments: true },
  ...{ isNarrow: false, hasTexts: true, hasQuotedFields: false },
}
const DOUBLED: Dialect = { ...INFLUX, doublesBackslashes: true }
const NARROW: Dialect = { ...DOUBLED, escapesLineEnds: true, hasComments: false, isNarrow: true }
const TIME_US = 1_700_000_000_000_000

interface Reading {
  name: SeriesName
  timeUs: number
  value: number | boolean | string
}

const pump: SeriesName = {
  ...{ tenant: 'default', deviceId: 'pump-1', deviceType: 'pump', metric: 'flow' },
  ...{ dimensions: [], kind: 'number' },
}

function batchOf(readings: readonly Reading[]): SinkBatch {
  return {
    names: readings.map(({ name }) => name),
    count: readings.length,
    series: Uint32Array.from(readings.keys()),
    timeUs: Float64Array.from(readings, ({ timeUs }) => timeUs),
    value: Float64Array.from(readings, ({ value }) =>
      typeof value === 'string' ? 0 : Number(value),
    ),
    texts: readings.map(({ value }) => (typeof value === 'string' ? value : undefined)),
  }
}

const encode = (dialect: Dialect, readings: readonly Reading[]) => [
  ...new LineEncoder(dialect).encode(batchOf(readings)),
]

/** One row for each reading, as the parser understands the lines. */
function readBack(lines: readonly { text: string; refusal: string | undefined }[]): unknown[] {
  const texts = lines.filter(({ refusal }) => refusal === undefined).map(({ text }) => text)
  const rows: unknown[] = []
  parseLines(
    Buffer.from(texts.join('\n')),
    'us',
    (line) => {
      const tags = line.tagKeys.slice(0, line.tagCount).map((key, at) => [key, line.tagValues[at]])
      for (let at = 0; at < line.fieldCount; at++) {
        const field = line.fieldKeys[at]
        rows.push([line.measurement, tags, field, line.fieldValues[at], line.timeUs])
      }
    },
    (_, code, detail, bytes) => assert.fail(`${code} ${detail}: ${Buffer.from(bytes).toString()}`),
  )
  return rows
}

function expectedRow({ name, timeUs, value }: Reading): unknown {
  const measured = name.dimensions.find(([key]) => key === 'measurement')?.[1] ?? ''
  const dimensions = name.dimensions
    .filter(([key, given]) => given !== '' && key !== 'measurement')
    .map(([key, given]) => [freeName(key), given])
  const tags = [['tenant', name.tenant], ['device_id', name.deviceId], ...dimensions]
  return [measured === '' ? name.deviceType : measured, tags, freeName(name.metric), value, timeUs]
}

const special = fc.constantFrom(' ', ',', '=', '"', '\\', '#', 'a', '\n', 'é', '😀', '_', "'")
const anyText = fc.oneof(
  fc.string({ unit: special, maxLength: 6 }),
  fc.string({ unit: 'binary', maxLength: 8 }).map((text) => text.toWellFormed()),
  fc.constantFrom('tenant', 'time', 'device_id_', 'measurement'),
)
const anyValue = fc.oneof(
  // String(-0) is '0'.
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0),
  fc.boolean(),
  anyText,
)
const anyReading: fc.Arbitrary<Reading> = fc
  .record({
    ...{ tenant: anyText, deviceId: anyText, deviceType: anyText, metric: anyText },
    dimensions: fc.uniqueArray(fc.tuple(anyText, anyText), {
      selector: ([key]) => key,
      maxLength: 3,
    }),
    timeUs: fc.integer({ min: 0, max: 2 ** 52 }),
    value: anyValue,
  })
  .map(({ timeUs, value, ...name }) => {
    const kind = typeof value === 'string' ? 'text' : (typeof value as 'number' | 'boolean')
    return { name: { ...name, kind }, timeUs, value }
  })

test('any names and values are read back as they were, or refused', () => {
  let sent = 0
  let refused = 0
  fc.assert(
    fc.property(fc.array(anyReading, { maxLength: 8 }), (readings) => {
      const lines = encode(INFLUX, readings)
      const kept = readings.filter((reading) => encode(INFLUX, [reading])[0]!.refusal === undefined)
      assert.deepEqual(readBack(lines), kept.map(expectedRow))
      sent += kept.length
      refused += readings.length - kept.length
    }),
    { numRuns: 2000 },
  )
  assert.ok(sent > 500 && refused > 500, `${sent} sent, ${refused} refused`)
})

test('where backslashes are doubled only control characters and empty names are refused', () => {
  fc.assert(
    fc.property(anyReading, (reading) => {
      const [line] = encode(DOUBLED, [reading])
      const { tenant, deviceId, deviceType, metric, dimensions } = reading.name
      const measured = dimensions.find(([key]) => key === 'measurement')?.[1] ?? ''
      const measurement = measured === '' ? deviceType : measured
      const tags = dimensions.filter(([, value]) => value !== '').flat()
      const names = [measurement, tenant, deviceId, metric, ...tags]
      // oxlint-disable-next-line no-control-regex
      const isBad = names.some((one) => one === '' || /[\u0000-\u001f\u007f]/.test(one))
      assert.equal(line!.refusal !== undefined, isBad || measurement.startsWith('#'), line!.text)
    }),
    { numRuns: 2000 },
  )
})

test('metrics of one device and time are one line; booleans, texts and whole numbers keep kinds', () => {
  const readings: Reading[] = [
    { name: pump, timeUs: TIME_US, value: 1 },
    { name: { ...pump, metric: 'on', kind: 'boolean' }, timeUs: TIME_US, value: true },
    { name: { ...pump, metric: 'mode', kind: 'text' }, timeUs: TIME_US, value: 'a "b" \\ c' },
    // The same metric again, and another time, are lines of their own.
    { name: { ...pump, kind: 'text' }, timeUs: TIME_US, value: '' },
    { name: pump, timeUs: TIME_US + 1, value: 1e21 },
  ]
  assert.deepEqual(
    encode(INFLUX, readings).map(({ text, readings: count }) => [text, count]),
    [
      [
        String.raw`pump,tenant=default,device_id=pump-1 flow=1,on=true,mode="a \"b\" \\ c" ${TIME_US}`,
        3,
      ],
      [`pump,tenant=default,device_id=pump-1 flow="" ${TIME_US}`, 1],
      [`pump,tenant=default,device_id=pump-1 flow=1e+21 ${TIME_US + 1}`, 1],
    ],
  )
  assert.deepEqual(
    encode(NARROW, readings.slice(0, 3)).map(({ text }) => text),
    [
      `pump,tenant=default,device_id=pump-1,metric=flow,kind=number value=1 ${TIME_US}`,
      `pump,tenant=default,device_id=pump-1,metric=on,kind=boolean value=1 ${TIME_US}`,
      String.raw`pump,tenant=default,device_id=pump-1,metric=mode,kind=text text_value="a \"b\" \\ c" ${TIME_US}`,
    ],
  )
})

test('the measurement is the dimension of that name, which is no tag then', () => {
  const name: SeriesName = {
    ...pump,
    dimensions: [
      ['measurement', 'm 1'],
      ['room', 'x'],
    ],
  }
  const [line] = encode(INFLUX, [{ name, timeUs: 5, value: 2 }])
  assert.equal(line!.text, String.raw`m\ 1,tenant=default,device_id=pump-1,room=x flow=2 5`)
  assert.deepEqual(line!.table, { name: 'm 1', columns: ['room'] })
})

test('a value that is not finite, or a time that is not whole, is refused with its reason', () => {
  for (const reading of [
    { name: pump, timeUs: TIME_US, value: NaN },
    { name: pump, timeUs: TIME_US, value: -Infinity },
    { name: pump, timeUs: NaN, value: 1 },
  ]) {
    const [line] = encode(INFLUX, [{ name: pump, timeUs: 1, value: 1 }, reading]).filter(
      ({ refusal }) => refusal !== undefined,
    )
    assert.match(line!.refusal!, /not finite|not an integer/)
  }
})

test('different names stay different as identifiers and beside reserved ones', () => {
  const unit = fc.constantFrom('_', '2', 'e', '.', '-', '5', 'f', 'a', '"', '\ufeff')
  const decode = (name: string): string =>
    name.replaceAll(/_(2[25789a-f]|3[af]|5[cf]|7e|feff)_/gi, (_, code: string) =>
      String.fromCharCode(Number.parseInt(code, 16)),
    )
  fc.assert(
    fc.property(fc.string({ unit, maxLength: 12 }), (name) => {
      assert.equal(decode(toIdentifier(name)), name)
      assert.doesNotMatch(toIdentifier(name), /[.\-"\ufeff]/)
    }),
    { numRuns: 20_000 },
  )
  assert.equal(toIdentifier('pump_12_a.b_2e_'), 'pump_12_a_2e_b_5f_2e_')
  const names = ['tenant', 'tenant_', 'tenant__', 'Time', 'tenants', 'time_us']
  assert.deepEqual(names.map(freeName), [
    ...['tenant_', 'tenant__', 'tenant___', 'Time_', 'tenants', 'time_us'],
  ])
})
