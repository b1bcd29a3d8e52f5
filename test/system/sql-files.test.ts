/** What statements are given of an embedded store: dictionaries, and what is past its age. */
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { DAY_US, lookAt, openAging, readAll, writeDays } from '../../src/storage/aging-fixture.ts'
import { defineSeries, makeOutput } from '../../src/storage/storage-fixture.ts'
import { askStore, embeddedSql } from './sql-fixture.ts'

const COUNT = "SELECT count(*) FROM telemetry WHERE metric = 'temperature'"

test('statements at once write what they need apart, and what is old of it goes', async (context) => {
  const opened = await openAging(context)
  const { store, folder, objects, now } = opened
  let offset = await writeDays(opened, 1)
  const sql = embeddedSql(store, { folder, objects, isBucket: false })
  const ask = () => askStore(sql, COUNT, { nowUs: now.us })
  for (let series = 10; series < 13; series++) {
    offset++
    const output = { series: [defineSeries(series, `metric-${series}`)], readings: [] }
    store.output(makeOutput({ offset, ...output }))
    await store.commit({ offset, parts: [] })
    assert.deepEqual(await Promise.all([ask(), ask(), ask()]), [[[4]], [[4]], [[4]]])
  }
  const left = readdirSync(join(folder, 'spill')).filter((name) => name.startsWith('series-'))
  assert.equal(left.length, 1, left.join())
})

test('what was not exported yet is shown by SQL, too, whatever its age', async (context) => {
  const opened = await openAging(context, { isExportedFirst: true })
  const { store, folder, objects, now } = opened
  await writeDays(opened, 40)
  now.us += 500 * DAY_US
  const sql = embeddedSql(store, { folder, objects, isBucket: false })
  const seen = async (): Promise<number> => {
    const { points } = await readAll(store, 'temperature')
    assert.deepEqual(await askStore(sql, COUNT, { nowUs: now.us }), [[points.length]])
    return points.length
  }
  // On this disk, and in the object store.
  assert.equal(await seen(), 160)
  await lookAt(opened, now.us)
  assert.ok(opened.aged.moved > 0)
  assert.equal(await seen(), 160)
  await store.confirmExported(Date.UTC(2026, 0, 11) * 1000)
  assert.equal(await seen(), 120)
})
