/** Questions over two PostgreSQL, each with the devices of a range. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { HashRange } from '../../src/postgres/postgres.ts'
import type { PostgresQuery } from '../../src/postgres/query.ts'
import { openStoresQuery } from '../../src/postgres/stores-query.ts'
import { ask, BASE_MS, defineSeries, type QueryBench } from '../../src/query/query-fixture.ts'
import { testQuery } from '../../src/query/query.conformance.ts'
import { testScan } from '../../src/query/scan.conformance.ts'
import type { QueryLimits } from '../../src/query/query.ts'
import type { AnomalyEvent } from '../../src/stream/stream.ts'
import { until } from '../system/weir-process.ts'
import { accessOf } from './cluster.ts'
import { hashDevice, openTables, type TablesBench } from './postgres-bench.ts'
import { openSecondPostgres, type SecondPostgres } from './postgres-stores.ts'

const url = accessOf('postgres')?.['url'] ?? ''
const skip = url === '' ? 'PostgreSQL does not run: npm run -s cluster:up -- postgres' : undefined
const LIMITS = { rowsMax: 1_000_000, windowsMax: 10_000 }

/** The two devices of the suite are in different stores. */
const hashes = ['pump-1', 'pump-2'].map((id) => hashDevice('default', id) >>> 0)
const [lower, upper] = hashes.toSorted((one, other) => one - other) as [number, number]
const middle = Math.floor((lower + upper) / 2)
const RANGES: readonly [HashRange, HashRange] = [
  { from: 0, to: middle },
  { from: middle + 1, to: 0xffff_ffff },
]
/** The store of pump-1, by its place. */
const ONE = hashes[0] === lower ? 0 : 1

let second: SecondPostgres | undefined
before(async () => {
  if (skip === undefined) second = await openSecondPostgres()
})
after(() => second?.close())

interface StoresBench extends QueryBench {
  query: PostgresQuery
  stores: readonly TablesBench[]
}

let schemas = 0
async function openStores(limits: QueryLimits): Promise<StoresBench> {
  const schema = `weir_stores_${process.pid}_${++schemas}`
  // The second server, which tests take away, has pump-2.
  const urls = ONE === 0 ? [url, second!.url] : [second!.url, url]
  const stores = await Promise.all(
    RANGES.map((range, at) => openTables({ url: urls[at]!, schema }, limits, { range })),
  )
  const each = RANGES.map((range, at) => ({ range, query: stores[at]!.query }))
  return {
    stores,
    query: openStoresQuery({ stores: each, hashDevice }),
    async give(given) {
      await Promise.all(stores.map((store) => store.give(given)))
    },
    async close() {
      await Promise.all(stores.map((store) => store.close()))
    },
  }
}

testQuery({ name: 'two PostgreSQL', tier: 'postgres', skip, open: openStores })

testScan({
  ...{ name: 'two PostgreSQL', skip, runs: 4 },
  async open(limits) {
    const stores = await openStores(limits)
    return { ...stores, scan: stores.query }
  },
})

const series = [
  defineSeries(0, 'temperature'),
  defineSeries(1, 'temperature', { deviceId: 'pump-2' }),
]
const readings = [0, 1].map((of) => ({ series: of, timeUs: BASE_MS * 1000, value: of }))
const anomaly = (id: string, more: Partial<AnomalyEvent> = {}): AnomalyEvent => ({
  ...{ id, tenant: 'default', detectorId: 'odd', deviceId: 'pump-1', metric: 'temperature' },
  ...{ series: 0, eventTimeUs: 1000, value: 90, score: 5.5 },
  ...more,
})
const everything = { tenant: 'default', deviceId: undefined, limit: 100 }
const fleet = {
  ...{ tenant: 'default', metric: 'temperature', deviceType: undefined },
  ...{ afterDeviceId: undefined, limit: 100 },
}

test('each device is in its own store, and only there', { skip }, async () => {
  const { query, give, close, stores } = await openStores(LIMITS)
  try {
    const anomalies = [anomaly('a'), anomaly('b', { deviceId: 'pump-2' })]
    await give({ series, readings, anomalies })
    const of = (deviceId: string) => ask({ deviceId, endUs: BASE_MS * 1000 + 1e6 })
    for (const [at, deviceId] of ['pump-1', 'pump-2'].entries()) {
      assert.deepEqual((await query.readings(of(deviceId))).points, [[BASE_MS, at]])
      const own = at === 0 ? ONE : 1 - ONE
      assert.equal((await stores[own]!.query.readings(of(deviceId))).points.length, 1)
      assert.equal((await stores[1 - own]!.query.readings(of(deviceId))).points.length, 0)
      assert.equal((await stores[own]!.query.anomalies(everything)).length, 1)
    }
  } finally {
    await close()
  }
})

test('lists of all stores are one list in its order, up to the limit', { skip }, async () => {
  const { query, give, close } = await openStores(LIMITS)
  try {
    const anomalies = Array.from({ length: 40 }, (_, at) =>
      anomaly(String.fromCodePoint(65 + at), {
        deviceId: at % 3 === 0 ? 'pump-1' : 'pump-2',
        eventTimeUs: Math.floor(at / 7) * 1000,
      }),
    )
    const deadLetters = anomalies.map(({ tenant, deviceId, eventTimeUs }) => ({
      ...{ tenant, deviceId, receivedAtUs: eventTimeUs, code: 'PAYLOAD_INVALID' },
      ...{ detail: '', payload: '' },
    }))
    await give({ anomalies, deadLetters })
    const ordered = anomalies
      .toSorted((a, b) => b.eventTimeUs - a.eventTimeUs || (a.id < b.id ? -1 : 1))
      .map(({ id }) => id)
    for (const limit of [0, 1, 9, 40, 100]) {
      const rows = await query.anomalies({ ...everything, limit })
      assert.deepEqual(
        rows.map(({ id }) => id),
        ordered.slice(0, limit),
      )
    }
    const letters = await query.deadLetters({ ...everything, limit: 20 })
    const places = letters.map(({ received_at, id }) => [received_at, Number(id.split('-')[1])])
    const newest = anomalies.map(({ eventTimeUs }, at) => [eventTimeUs / 1000, at])
    newest.sort(([a, one], [b, other]) => b! - a! || other! - one!)
    assert.deepEqual(places, newest.slice(0, 20))
  } finally {
    await close()
  }
})

test('a row that is in two stores counts once, as its own store has it', { skip }, async () => {
  const { query, give, close, stores } = await openStores(LIMITS)
  try {
    await give({ anomalies: [anomaly('a', { score: 9 })] })
    // What the other store kept from a time when it had the device.
    await stores[1 - ONE]!.giveAll({ anomalies: [anomaly('a')] })
    const rows = await query.anomalies(everything)
    assert.deepEqual(
      rows.map(({ id, score }) => [id, score]),
      [['a', 9]],
    )
    await stores[1 - ONE]!.giveAll({ series, readings })
    const newer = [{ series: 0, timeUs: BASE_MS * 1000 + 1e6, value: 7 }]
    await give({ series, readings: newer })
    assert.deepEqual(await query.latestOfMetric(fleet), {
      ...{ deviceIds: ['pump-1', 'pump-2'], timesMs: [BASE_MS + 1000, BASE_MS], values: [7, 1] },
    })
  } finally {
    await close()
  }
})

test('a store away: its devices fail by name, lists too, the others go on', { skip }, async () => {
  const { query, give, close } = await openStores(LIMITS)
  try {
    await give({ series, readings })
    const end = BASE_MS * 1000 + 1e6
    assert.equal((await query.latest('default', 'pump-2'))['temperature']?.value, 1)
    await second!.kill()
    const named = { code: 'STORAGE_UNAVAILABLE', message: /The store of devices 0x[0-9a-f]+-0x/ }
    await assert.rejects(query.latest('default', 'pump-2'), named)
    await assert.rejects(query.readings(ask({ deviceId: 'pump-2', endUs: end })), named)
    for (const list of ['anomalies', 'deadLetters'] as const) {
      await assert.rejects(query[list](everything), named)
      assert.deepEqual(await query[list]({ ...everything, deviceId: 'pump-1' }), [])
    }
    await assert.rejects(query.latestOfMetric(fleet), named)
    assert.equal((await query.readings(ask({ endUs: end }))).points.length, 1)
    await second!.restart()
    const answers = () =>
      query.anomalies(everything).then(
        () => true,
        () => false,
      )
    await until('lists answer again', answers, 20_000)
  } finally {
    await close()
  }
})
