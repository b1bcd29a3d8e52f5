/** Many small files of one month in the object store, as late readings leave them, become one. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eachObject, type Objects } from '../objects/objects.ts'
import { FATE_UNVERIFIED } from '../stream/stream.ts'
import {
  DAY_US,
  HOUR_US,
  openAging,
  openCold,
  readAll,
  SERIES,
  type Opened,
} from './aging-fixture.ts'
import { copyFolder, makeOutput } from './storage-fixture.ts'

/** As the fixture's stores have it. */
const FAN_IN = 4
const AGES = { hotUs: DAY_US, warmUs: 3 * DAY_US, coldUs: 900 * DAY_US }
const OLD_US = Date.UTC(2026, 0, 10) * 1000
const HOW = { nowUs: Date.UTC(2026, 1, 10) * 1000, agesOf: () => AGES }

/** Each look moves a new reading, the first one again with another value, and a text. */
async function sayLate({ store, now }: Opened, offset: number): Promise<void> {
  now.us += HOUR_US
  const readings = [
    { series: 0, timeUs: OLD_US, value: offset, fate: FATE_UNVERIFIED },
    { series: 0, timeUs: OLD_US + offset * HOUR_US, value: 100 + offset, fate: FATE_UNVERIFIED },
    { series: 1, timeUs: OLD_US + offset * HOUR_US, value: offset % 2, fate: FATE_UNVERIFIED },
  ]
  const texts: [number, string][] = [
    [0, 'off'],
    [1, 'on'],
  ]
  store.output(makeOutput({ offset, readings, series: SERIES, texts }))
  await store.commit({ offset, parts: [] })
  await store.settle()
}

async function filesOf(objects: Objects): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of eachObject(objects, '')) if (key.endsWith('.parquet')) keys.push(key)
  return keys
}

async function checkAnswers({ store }: Opened, last: number): Promise<void> {
  const numbers = (await readAll(store, 'temperature')).points
  const expected = Array.from({ length: last + 1 }, (_, at) => [
    (OLD_US + at * HOUR_US) / 1000,
    at === 0 ? 0 : 100 + at,
  ])
  assert.deepEqual(numbers, expected)
  const words = (await readAll(store, 'state')).points.map(([, word]) => word)
  assert.deepEqual(
    words,
    Array.from({ length: last + 1 }, (_, at) => (at % 2 === 0 ? 'off' : 'on')),
  )
}

test('they become one again and again, and the first word stays the first', async (context) => {
  const opened = await openAging(context, HOW)
  const most: number[] = []
  for (let offset = 0; offset < 4 * FAN_IN; offset++) {
    await sayLate(opened, offset)
    most.push((await filesOf(opened.objects)).length)
    await checkAnswers(opened, offset)
  }
  assert.ok(Math.max(...most) <= FAN_IN, most.join())
  assert.ok(most.filter((count) => count === 1).length >= 4, most.join())
  const { folder, objects, now, store } = opened
  await store.close()
  const again = await openAging(context, { ...HOW, folder, objects, nowUs: now.us })
  await checkAnswers(again, 4 * FAN_IN - 1)
})

test('a crash at any step of it loses and doubles nothing, and leaves no file behind', async (context) => {
  const opened = await openAging(context, HOW)
  for (let offset = 0; offset < FAN_IN - 1; offset++) await sayLate(opened, offset)
  const { folder, now } = opened
  await opened.store.close()
  const inner = await openCold(folder)
  let copies = 0
  const around = async (step: () => Promise<void>): Promise<void> => {
    copyFolder(folder, `${folder}-${copies++}`)
    await step()
    copyFolder(folder, `${folder}-${copies++}`)
  }
  const watched: Objects = {
    close: () => inner.close(),
    list: (...how) => inner.list(...how),
    head: (key) => inner.head(key),
    get: (...how) => inner.get(...how),
    put: (...how) => around(() => inner.put(...how)),
    delete: (key) => around(() => inner.delete(key)),
  }
  const later = await openAging(context, { ...HOW, folder, objects: watched, nowUs: now.us })
  await later.store.recover()
  await sayLate(later, FAN_IN - 1)
  assert.equal((await filesOf(inner)).length, 1)
  await later.store.close()
  // Two files and their manifests are put, four and theirs deleted.
  assert.ok(copies >= 24, `${copies} copies`)
  for (let at = 0; at < copies; at++) {
    const cut = await openAging(context, { ...HOW, folder: `${folder}-${at}`, nowUs: now.us })
    const { nextOffset } = await cut.store.recover()
    if (nextOffset < FAN_IN) await sayLate(cut, FAN_IN - 1)
    cut.now.us += HOUR_US
    cut.store.output(makeOutput({ offset: FAN_IN, readings: [] }))
    await cut.store.commit({ offset: FAN_IN, parts: [] })
    await cut.store.settle()
    await checkAnswers(cut, FAN_IN - 1)
    assert.equal((await filesOf(cut.objects)).length, 1, `cut ${at}`)
    await cut.store.close()
  }
})
