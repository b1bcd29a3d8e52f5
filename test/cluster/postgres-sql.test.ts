/** Statements of SQL on PostgreSQL and the lake answer as embedded ones do, and no more. */
import assert from 'node:assert/strict'
import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { StatementSource } from '../../src/cluster/statement-source.ts'
import type { DeviceLooks } from '../../src/postgres/query-devices.ts'
import { openStoresQuery } from '../../src/postgres/stores-query.ts'
import { BASE_MS, defineSeries, type Given } from '../../src/query/query-fixture.ts'
import { openEmbeddedBench } from '../../src/storage/query-bench-fixture.ts'
import { openFolderObjects } from '../../src/objects/folder-objects.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { askStore, embeddedSql, WINDOWS_MS } from '../system/sql-fixture.ts'
import { makeFolder, until } from '../system/weir-process.ts'
import { LIMITS, movesAll, newPlace } from './cold-fixture.ts'
import { hashDevice, openTables, type TablesBench } from './postgres-bench.ts'
import { skip } from './postgres-fixture.ts'
import { assertAlike, giveAndAge, parting } from './random-questions.ts'
import { given } from './random-readings.ts'
import { statement } from './random-statements.ts'

const root = await makeFolder({ after })
let folders = 0
async function sourceOf(
  tables: DeviceLooks,
  limits: { rowsMax?: number; bytesMax?: number } = {},
): Promise<{ store: StatementSource; folder: string }> {
  const folder = join(root, `spill-${++folders}`)
  await mkdir(folder)
  const { rowsMax = 1_000_000, bytesMax = 1 << 30 } = limits
  const parts = { tables, folder, rowsMax, bytesMax, disk: nodeWorld.disk, windowsMs: WINDOWS_MS }
  return { store: new StatementSource(parts), folder }
}

/** The same of three devices, each a little later. */
function ofFleet({ series = [], readings = [], partials = [], dirty = [], ...more }: Given): Given {
  const devices = [0, 1, 2]
  const shift = (series: number, device: number): number => series + device * 10
  return {
    ...more,
    series: devices.flatMap((device) =>
      series.map((one) => ({
        ...{ ...one, series: shift(one.series, device) },
        ...{ deviceId: `pump-${device + 1}`, device: device + 1 },
      })),
    ),
    readings: devices.flatMap((device) =>
      readings.map((one) => ({ ...one, series: shift(one.series, device) })),
    ),
    partials: devices.flatMap((device) =>
      partials.map(([series, ...row]) => [shift(series!, device), ...row]),
    ),
    dirty: devices.flatMap((device) =>
      dirty.map((one) => ({ ...one, series: shift(one.series, device) })),
    ),
  }
}

/** Two stores, with devices on both sides, each with a lake of its own. */
async function openStores(): Promise<{ tables: DeviceLooks; stores: TablesBench[] }> {
  const hashes = [1, 2, 3].map((device) => hashDevice('default', `pump-${device}`) >>> 0)
  const middle = hashes.toSorted((a, b) => a - b)[1]!
  const ranges = [
    { from: 0, to: middle },
    { from: middle + 1, to: 0xffff_ffff },
  ]
  const stores: TablesBench[] = []
  for (const range of ranges) {
    stores.push(await openTables(newPlace(), LIMITS, { range, aging: await movesAll() }))
  }
  const each = ranges.map((range, at) => ({ range, query: stores[at]!.query }))
  return { tables: openStoresQuery({ stores: each, hashDevice }), stores }
}

test(
  'random readings in two stores and their lakes: SQL answers as embedded does, pushed down or not',
  { skip },
  async () => {
    const { tables, stores } = await openStores()
    const { store, folder } = await sourceOf(tables)
    const property = fc.asyncProperty(
      given.map(ofFleet),
      fc.array(statement, { minLength: 8, maxLength: 8 }),
      parting,
      async (given, statements, parting) => {
        for (const one of stores) await one.empty()
        const embedded = await openEmbeddedBench(LIMITS, { isCommitted: true })
        try {
          await embedded.give(given)
          for (const one of stores) await giveAndAge(one, given, parting)
          const objects = await openFolderObjects({ ...nodeWorld, folder: join(root, 'none') })
          const theirs = embeddedSql(embedded.store, { folder: embedded.folder, objects })
          for (const sql of statements) {
            const expected = await askStore(theirs, sql)
            assertAlike(await askStore(store, sql), expected, sql)
            assertAlike(await askStore(store, sql, { isBlind: true }), expected, `all: ${sql}`)
          }
        } finally {
          await embedded.close()
        }
      },
    )
    await fc
      .assert(property, { numRuns: 5, endOnFailure: true })
      .finally(() => Promise.all(stores.map((one) => one.close())))
    assert.deepEqual(await readdir(folder), [], 'nothing stays')
  },
)

const SERIES = [
  defineSeries(0, 'temperature'),
  defineSeries(1, 'temperature', { deviceId: 'pump-2' }),
  defineSeries(2, 'temperature', { kind: 'boolean' }),
  defineSeries(3, 'temperature', { kind: 'text' }),
]
const ROWS = 1000
const seconds: Given = {
  series: SERIES,
  readings: Array.from({ length: ROWS }, (_, at) => at).flatMap((at) => {
    const timeUs = (BASE_MS + at * 1000) * 1000
    return [
      { series: 0, timeUs, value: 1e10 + at },
      { series: 1, timeUs, value: at },
    ]
  }),
}

test(
  'too many readings, or bytes, are refused and leave nothing; less of it is answered',
  { skip },
  async () => {
    const tables = await openTables(newPlace(), LIMITS)
    try {
      await tables.give(seconds)
      const all = 'SELECT count(*), max(value) FROM telemetry'
      const few = await sourceOf(tables.query, { rowsMax: ROWS })
      const refusal = { code: 'QUERY_LIMIT_EXCEEDED', message: /narrow ts/ }
      await assert.rejects(askStore(few.store, all), refusal)
      const one = `${all} WHERE device_id = 'pump-1'`
      assert.deepEqual(await askStore(few.store, one), [[ROWS, 1e10 + ROWS - 1]])
      const half = `${all} WHERE ts < epoch_ms(${BASE_MS + ROWS * 400})`
      assert.deepEqual(await askStore(few.store, half), [[ROWS * 0.8, 1e10 + ROWS * 0.4 - 1]])
      const small = await sourceOf(tables.query, { bytesMax: 1000 })
      await assert.rejects(askStore(small.store, all), refusal)
      assert.deepEqual([await readdir(few.folder), await readdir(small.folder)], [[], []])
    } finally {
      await tables.close()
    }
  },
)

test('series of other kinds at one time are each answered once', { skip }, async () => {
  const aging = await movesAll()
  const tables = await openTables(newPlace(), LIMITS, { aging })
  try {
    const timeUs = BASE_MS * 1000
    const readings = [
      { series: 0, timeUs, value: 20 },
      { series: 2, timeUs: timeUs + 1, value: true },
      { series: 3, timeUs, value: 'hot' },
    ]
    await tables.give({ series: SERIES, readings })
    const { store } = await sourceOf(tables.query)
    const ask = () =>
      askStore(store, 'SELECT epoch_us(ts), value, text FROM telemetry ORDER BY ALL')
    const expected = [
      [timeUs, 20, null],
      [timeUs, null, 'hot'],
      [timeUs + 1, 1, null],
    ]
    assert.deepEqual(await ask(), expected)
    await tables.age()
    assert.deepEqual(await ask(), expected)
  } finally {
    await tables.close()
  }
})

test('who goes away ends what is brought, and nothing stays', { skip }, async () => {
  const tables = await openTables(newPlace(), LIMITS)
  try {
    await tables.give(seconds)
    const ending = new AbortController()
    const held = Promise.withResolvers<void>()
    const looks: DeviceLooks = {
      eachDevice: (question, run, signal) =>
        tables.query.eachDevice(
          question,
          async (look) => {
            await run(look)
            await held.promise
          },
          signal,
        ),
    }
    const { store, folder } = await sourceOf(looks)
    const asking = askStore(store, 'SELECT count(*) FROM telemetry', { signal: ending.signal })
    await until('it is under way', async () => (await readdir(folder)).length > 0)
    ending.abort(new Error('gone'))
    held.resolve()
    await assert.rejects(asking, /gone/)
    assert.deepEqual(await readdir(folder), [])
  } finally {
    await tables.close()
  }
})
