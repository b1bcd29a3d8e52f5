import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { DuckDBInstance } from '@duckdb/node-api'
import { openFolderObjects } from '../objects/folder-objects.ts'
import { eachObject, type Objects } from '../objects/objects.ts'
import { nodeWorld } from '../world/node-world.ts'
import { FATE_UNVERIFIED } from '../stream/stream.ts'
import { DAY_US, HOUR_US, openAging, readAll, SERIES, writeDays } from './aging-fixture.ts'
import { ask, copyFolder, makeOutput, type Reading } from './storage-fixture.ts'

test('what is no longer warm is in the object store, whole, and one question finds all of it', async (context) => {
  const opened = await openAging(context)
  const { store, objects } = opened
  await writeDays(opened, 130)
  const { points, meta } = await readAll(store, 'temperature')
  assert.equal(points.length, 130 * 4)
  assert.deepEqual(new Set(meta.tiers), new Set(['hot', 'warm', 'cold']))
  assert.ok(points.every(([ms, value]) => Number(value) === (Math.round(ms / 3.6e6) % 977) / 10))
  const texts = await readAll(store, 'state')
  const names = ['off', 'on', 'in "doubt"']
  assert.ok(
    texts.points.every(([ms, value]) => value === names[(Math.round(ms / 3.6e6) % 977) % 3]),
  )
  const keys = []
  for await (const { key } of eachObject(objects, '')) keys.push(key)
  assert.ok(keys.length > 0)
  const place =
    /^readings\/tenant=default\/type=generic\/year=2026\/month=1\/(_manifest-)?readings-/
  assert.ok(
    keys.every((key) => place.test(key)),
    keys.join(),
  )
  // The last 90 days are none of it.
  const recent = await store.readings(ask({ startUs: opened.now.us - 80 * DAY_US, endUs: 4e15 }))
  assert.ok(!recent.meta.tiers.includes('cold'))
})

test('cold files are plain Parquet: DuckDB finds what was written, by the folders', async (context) => {
  const opened = await openAging(context)
  await writeDays(opened, 125)
  const { points } = await readAll(opened.store, 'temperature')
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  context.after(() => {
    connection.closeSync()
    instance.closeSync()
  })
  const reader = await connection.runAndReadAll(
    `SELECT epoch_ms(time)::DOUBLE, value, text_value, metric, year
     FROM read_parquet('${opened.folder}/cold/**/*.parquet', hive_partitioning = true)
     ORDER BY metric, time`,
  )
  const rows = reader.getRows() as [number, number | null, string | null, string, bigint][]
  const january = points.filter(([ms]) => ms < Date.UTC(2026, 1, 1))
  const temperatures = rows.filter(([, , , metric]) => metric === 'temperature')
  assert.deepEqual(
    temperatures.map(([ms, value]) => [ms, value]),
    january,
  )
  assert.equal(rows.filter(([, , text]) => text !== null).length, january.length)
  assert.ok(rows.every(([, , , , year]) => Number(year) === 2026))
})

test('each series goes at its own age: hidden to the day, then gone from the files', async (context) => {
  const opened = await openAging(context)
  const { store, aged, now } = opened
  const offset = await writeDays(opened, 200)
  const short = await readAll(store, 'short')
  const oldestMs = short.points[0]![0]
  assert.ok(oldestMs >= (now.us - 91 * DAY_US) / 1000)
  assert.ok(oldestMs < (now.us - 90 * DAY_US) / 1000)
  assert.ok(aged.deleted > 0)
  assert.equal((await readAll(store, 'temperature')).points.length, 200 * 4)
  // A year and two months later nothing is left, here and in the store.
  now.us += 430 * DAY_US
  store.output(makeOutput({ offset: offset + 1, readings: [] }))
  await store.commit({ offset: offset + 1, parts: [] })
  await store.settle()
  assert.equal((await readAll(store, 'temperature')).points.length, 0)
  assert.equal(store.statistics().readingsStored, 0)
  for await (const { key } of eachObject(opened.objects, '')) assert.fail(`${key} is still there`)
})

test('nothing is deleted before somebody has confirmed that it is exported', async (context) => {
  const opened = await openAging(context, { isExportedFirst: true })
  const { store, now } = opened
  const offset = await writeDays(opened, 40)
  now.us += 500 * DAY_US
  const next = async (at: number): Promise<void> => {
    store.output(makeOutput({ offset: offset + at, readings: [] }))
    await store.commit({ offset: offset + at, parts: [] })
    await store.settle()
  }
  await next(1)
  assert.equal((await readAll(store, 'temperature')).points.length, 160)
  await store.confirmExported(Date.UTC(2026, 1, 1) * 1000)
  now.us += HOUR_US
  await next(2)
  assert.equal((await readAll(store, 'temperature')).points.length, 9 * 4)
})

test('a clock that jumped deletes nothing for a day', async (context) => {
  const opened = await openAging(context)
  const { store, now, folder, objects } = opened
  const offset = await writeDays(opened, 3)
  await store.close()
  const later = await openAging(context, { folder, objects, nowUs: now.us + 2000 * DAY_US })
  later.store.output(makeOutput({ offset: offset + 1, readings: [] }))
  await later.store.commit({ offset: offset + 1, parts: [] })
  await later.store.settle()
  assert.equal(later.aged.deleted, 0)
  assert.equal(later.store.statistics().readingsStored, 3 * 4 * 3)
  later.now.us += 2 * DAY_US
  later.store.output(makeOutput({ offset: offset + 2, readings: [] }))
  await later.store.commit({ offset: offset + 2, parts: [] })
  await later.store.settle()
  assert.equal(later.store.statistics().readingsStored, 0)
})

test('a store that is away delays what is due, and a crash at any step loses and doubles nothing', async (context) => {
  const opened = await openAging(context)
  const { folder, now } = opened
  await writeDays(opened, 119)
  const expected = (await readAll(opened.store, 'temperature')).points
  await opened.store.close()
  let copies = 0
  let calls = 0
  const inner = await openFolderObjects({ ...nodeWorld, folder: join(folder, 'cold') })
  const copy = (): void => copyFolder(folder, `${folder}-${copies++}`)
  let isAway = true
  const watched: Objects = {
    ...{ close: () => inner.close(), list: (...parts) => inner.list(...parts) },
    ...{ head: (key) => inner.head(key), get: (key, range) => inner.get(key, range) },
    async put(key, bytes, how) {
      calls++
      copy()
      await inner.put(key, bytes, how)
      copy()
      // It is there, and nobody heard.
      if (isAway) throw Object.assign(new Error('away'), { code: 'OBJECTS_UNAVAILABLE' })
    },
    async delete(key) {
      copy()
      await inner.delete(key)
      copy()
    },
  }
  const nowUs = now.us + 3 * DAY_US
  const later = await openAging(context, { folder, objects: watched, nowUs })
  await later.store.recover()
  const commit = async (at: number): Promise<void> => {
    const offset = 118 + at
    later.store.output(makeOutput({ offset, readings: [] }))
    later.now.us += 1000
    await later.store.commit({ offset, parts: [] })
    await later.store.settle()
  }
  await commit(1)
  assert.deepEqual((await readAll(later.store, 'temperature')).points, expected)
  isAway = false
  await commit(2)
  assert.deepEqual((await readAll(later.store, 'temperature')).points, expected)
  assert.ok(calls >= 2 && copies >= 6, `${calls} calls, ${copies} copies`)
  for (let at = 0; at < copies; at++) {
    const cut = await openAging(context, { folder: `${folder}-${at}`, nowUs: nowUs + DAY_US })
    const { nextOffset } = await cut.store.recover()
    cut.store.output(makeOutput({ offset: nextOffset, readings: [] }))
    await cut.store.commit({ offset: nextOffset, parts: [] })
    await cut.store.settle()
    const { points, meta } = await readAll(cut.store, 'temperature')
    assert.deepEqual(points, expected)
    assert.ok(meta.tiers.includes('cold'))
    const keys = []
    for await (const { key } of eachObject(cut.objects, '')) keys.push(key)
    // The file, and its manifest.
    assert.equal(keys.length, meta.tiers.includes('cold') ? 2 : 0, keys.join())
    await cut.store.close()
  }
})

test('what is said again when its day is cold is no first word, whatever moves with it', async (context) => {
  const opened = await openAging(context, {
    nowUs: Date.UTC(2026, 0, 29, 12) * 1000,
    agesOf: () => ({ hotUs: DAY_US, warmUs: 3 * DAY_US, coldUs: 900 * DAY_US }),
  })
  const { store, now } = opened
  const put = async (offset: number, reading: Reading): Promise<void> => {
    now.us += HOUR_US
    store.output(makeOutput({ offset, readings: [reading], series: SERIES }))
    await store.commit({ offset, parts: [] })
    await store.settle()
  }
  const oldUs = Date.UTC(2026, 0, 10) * 1000
  await put(0, { series: 0, timeUs: now.us - 2 * HOUR_US, value: 1 })
  await put(1, { series: 0, timeUs: oldUs, value: 100 })
  assert.equal(opened.aged.moved, 1)
  // The month is over, and is moved as one some days later.
  now.us = Date.UTC(2026, 1, 1, 2) * 1000
  await put(2, { series: 0, timeUs: oldUs, value: 200, fate: FATE_UNVERIFIED })
  now.us += 4 * DAY_US
  await put(3, { series: 0, timeUs: now.us, value: 2 })
  assert.equal(opened.aged.moved, 3)
  const { points } = await readAll(store, 'temperature')
  assert.deepEqual(
    points.map(([, value]) => value),
    [100, 1, 2],
  )
})

test('a metric between others that moves early leaves them where they are, and is moved once', async (context) => {
  const opened = await openAging(context, {
    agesOf: ({ metric }) => ({
      ...{ hotUs: 7 * DAY_US, coldUs: 900 * DAY_US },
      warmUs: (metric === 'state' ? 8 : 90) * DAY_US,
    }),
  })
  const offset = await writeDays(opened, 40)
  assert.equal((await readAll(opened.store, 'state')).points.length, 160)
  const { moved } = opened.aged
  assert.ok(moved >= 120 && moved < 160, `${moved} moved`)
  const files = readdirSync(`${opened.folder}/segments`)
  opened.store.output(makeOutput({ offset: offset + 1, readings: [] }))
  opened.now.us += HOUR_US
  await opened.store.commit({ offset: offset + 1, parts: [] })
  await opened.store.settle()
  assert.deepEqual(readdirSync(`${opened.folder}/segments`), files)
  assert.equal(opened.aged.moved, moved)
})
