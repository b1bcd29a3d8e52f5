/** The part of the suite of questions that is about latest values, of a device and of a fleet. */
import assert from 'node:assert/strict'
import type { SeriesDefinition } from '../batch/batch.ts'
import { ask, BASE_MS, defineSeries, type Promised } from './query-fixture.ts'
import type { LatestColumns, LatestQuestion, Query, Value } from './query.ts'

/** ms after the base, in µs. */
const toUs = (time: number): number => (BASE_MS + time) * 1000
const DAY_MS = 86_400_000

export function testLatest(promise: Promised): void {
  testDevice(promise)
  testFleet(promise)
  testFleetPages(promise)
}

function testDevice(promise: Promised): void {
  promise('the latest of a metric is the newest of its series', async ({ query, give }) => {
    const side = (name: string): [string, string][] => [['side', name]]
    const series = [
      defineSeries(0, 'temperature', { dimensions: side('left') }),
      defineSeries(1, 'temperature', { dimensions: side('right') }),
      defineSeries(2, 'running', { kind: 'boolean' }),
      defineSeries(3, 'mode', { kind: 'text' }),
    ]
    const values = (at: number): Value[] => [at % 2 === 1, at < 50 ? 'eco' : 'boost']
    const readings = Array.from({ length: 100 }, (_, at) => [
      { series: at % 2, timeUs: toUs(at), value: at % 10 },
      ...values(at).map((value, of) => ({ series: 2 + of, timeUs: toUs(at), value })),
    ]).flat()
    await give({ series, readings })
    assert.deepEqual(await query.latest('default', 'pump-1'), {
      temperature: { ts: BASE_MS + 99, value: 9 },
      running: { ts: BASE_MS + 99, value: true },
      mode: { ts: BASE_MS + 99, value: 'boost' },
    })
    await give({ readings: [{ series: 0, timeUs: toUs(365 * DAY_MS), value: -1 }] })
    await give({ readings: [{ series: 1, timeUs: toUs(180 * DAY_MS), value: -2 }] })
    assert.deepEqual((await query.latest('default', 'pump-1'))['temperature'], {
      ...{ ts: BASE_MS + 365 * DAY_MS, value: -1 },
    })
    const fleet = await query.latestOfMetric(question())
    assert.deepEqual(rowsOf(fleet), [['pump-1', 365 * DAY_MS, -1]])
    assert.equal((await query.readings(ask())).points.length, 102)
  })
}

const question = (parts: Partial<LatestQuestion> = {}): LatestQuestion => ({
  tenant: 'default',
  metric: 'temperature',
  deviceType: undefined,
  afterDeviceId: undefined,
  limit: 1000,
  ...parts,
})

/** Times from the base on. */
const rowsOf = ({ deviceIds, timesMs, values }: LatestColumns): [string, number, Value][] => {
  assert.deepEqual([timesMs.length, values.length], [deviceIds.length, deviceIds.length])
  return deviceIds.map((id, at) => [id, timesMs[at]! - BASE_MS, values[at]!])
}

const fleetOf = async (query: Query, parts: Partial<LatestQuestion> = {}) =>
  rowsOf(await query.latestOfMetric(question(parts)))

/** A series each, in this order. */
const seriesOf = (...of: Partial<SeriesDefinition>[]): SeriesDefinition[] =>
  of.map((more, at) => ({ ...defineSeries(at, 'temperature'), ...more }))

const readingsAt = (...times: (number | undefined)[]) =>
  times.flatMap((time, series) =>
    time === undefined ? [] : [{ series, timeUs: toUs(time), value: series }],
  )

function testFleet(promise: Promised): void {
  promise('of a fleet each device that has a value, and no other’s', async ({ query, give }) => {
    const series = seriesOf(
      { deviceId: 'pump-2' },
      { deviceId: 'pump-1' },
      { deviceId: 'valve-1', deviceType: 'valve' },
      { deviceId: 'pump-1', metric: 'pressure' },
      { deviceId: 'pump-3', tenant: 'other' },
      // It never sent any.
      { deviceId: 'pump-4' },
    )
    await give({ series, readings: readingsAt(10, 20, 30, 40, 50) })
    const pumps = [
      ['pump-1', 20, 1],
      ['pump-2', 10, 0],
    ]
    assert.deepEqual(await fleetOf(query), [...pumps, ['valve-1', 30, 2]])
    assert.deepEqual(await fleetOf(query, { deviceType: 'generic' }), pumps)
    assert.deepEqual(await fleetOf(query, { deviceType: 'valve' }), [['valve-1', 30, 2]])
    assert.deepEqual(await fleetOf(query, { metric: 'pressure' }), [['pump-1', 40, 3]])
    assert.deepEqual(await fleetOf(query, { tenant: 'other' }), [['pump-3', 50, 4]])
    for (const none of [{ metric: 'none' }, { tenant: 'none' }, { deviceType: 'none' }]) {
      assert.deepEqual(await fleetOf(query, none), [])
    }
  })

  promise('of a fleet the newest counts, whatever came when', async ({ query, give }) => {
    const sides = ['left', 'right'].map((side): [string, string][] => [['side', side]])
    const series = seriesOf(
      { deviceId: 'pump-2', dimensions: sides[0]! },
      { deviceId: 'pump-1', dimensions: sides[0]! },
      { deviceId: 'pump-2', dimensions: sides[1]! },
      { deviceId: 'pump-1', dimensions: sides[1]! },
    )
    await give({ series, readings: readingsAt(10, 20, 5, 25) })
    const before = [
      ['pump-1', 25, 3],
      ['pump-2', 10, 0],
    ]
    assert.deepEqual(await fleetOf(query), before)
    await give({ readings: readingsAt(9, 19, 8, 24) })
    assert.deepEqual(await fleetOf(query), before)
    // A month later, and a device that was not there before.
    const later = [{ ...defineSeries(4, 'temperature'), deviceId: 'pump-0' }]
    await give({ series: later, readings: readingsAt(11, 31 * DAY_MS, 12, undefined, 1) })
    assert.deepEqual(await fleetOf(query), [
      ['pump-0', 1, 4],
      ['pump-1', 31 * DAY_MS, 1],
      ['pump-2', 12, 2],
    ])
  })

  promise('of a fleet booleans and texts come as what was sent', async ({ query, give }) => {
    const series = seriesOf(
      { deviceId: 'pump-1', kind: 'boolean' },
      { deviceId: 'pump-2', kind: 'text' },
      { deviceId: 'pump-3' },
    )
    const values = [false, '"eco" ü 🚰', -0.5]
    const readings = values.map((value, of) => ({ series: of, timeUs: toUs(1), value }))
    await give({ series, readings })
    const rows = await fleetOf(query)
    assert.deepEqual(
      rows.map(([, , value]) => value),
      values,
    )
  })
}

function testFleetPages(promise: Promised): void {
  promise('pages of a fleet hold every device once, in order', async ({ query, give }) => {
    // Some have two series, and every seventh has none with a value.
    const numbers = Array.from({ length: 250 }, (_, at) => (at * 97) % 250)
    const ids = numbers.map((number) => `d${String(number).padStart(3, '0')}`)
    const second: Partial<SeriesDefinition>[] = ids.slice(0, 60).map((deviceId) => ({
      ...{ deviceId, dimensions: [['side', 'left']] },
    }))
    const series = seriesOf(...ids.map((deviceId) => ({ deviceId })), ...second)
    const times = series.map(({ deviceId }, at) =>
      Number(deviceId.slice(1)) % 7 === 0 ? undefined : at,
    )
    await give({ series, readings: readingsAt(...times) })
    const all = await fleetOf(query)
    const expected = ids.filter((id) => Number(id.slice(1)) % 7 > 0).toSorted()
    assert.deepEqual(
      all.map(([id]) => id),
      expected,
    )
    for (const limit of [1, 10, 37, expected.length]) {
      const paged = []
      for (let after: string | undefined; ;) {
        const page = await fleetOf(query, { limit, afterDeviceId: after })
        assert.ok(page.length <= limit)
        paged.push(...page)
        if (page.length < limit) break
        after = page.at(-1)![0]
        if (limit === 1 && paged.length > 9) break
      }
      assert.deepEqual(paged, limit === 1 ? all.slice(0, paged.length) : all)
    }
    assert.deepEqual(await fleetOf(query, { limit: 0 }), [])
    // What a page ended with need not be there any more.
    const [[next] = []] = await fleetOf(query, { afterDeviceId: 'd1', limit: 1 })
    assert.equal(
      next,
      expected.find((id) => id > 'd1'),
    )
  })

  promise('a fleet is in the order of its ids’ bytes', async ({ query, give }) => {
    const ids = ['a', 'Z', 'pump 1', 'pump', 'pümp', '😀', '\uffe0', '泵', 'a-1', 'a1']
    await give({
      series: seriesOf(...ids.map((deviceId) => ({ deviceId }))),
      readings: readingsAt(...ids.map((_, at) => at)),
    })
    const sorted = ids.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    const rows = await fleetOf(query)
    assert.deepEqual(
      rows.map(([id]) => id),
      sorted,
    )
    for (const [at, afterDeviceId] of sorted.entries()) {
      const [next] = await fleetOf(query, { afterDeviceId, limit: 1 })
      assert.equal(next?.[0], sorted[at + 1])
    }
  })
}
