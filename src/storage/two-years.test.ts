/** Two years of a clock of the test’s own, a commit a day, with restarts: what is where then. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eachObject } from '../objects/objects.ts'
import {
  DAY_US,
  HOUR_US,
  lookAt,
  openAging,
  readAll,
  writeDays,
  type Opened,
} from './aging-fixture.ts'
import { withLifecycle } from './bucket-fixture.ts'
import { ask } from './storage-fixture.ts'

const DAYS = 730
const STRETCH_DAYS = 73
/** Every six hours one. */
const PER_DAY = 4

/** Readings of so many days until so many days ago; the tiers they came from. */
async function tiersOf({ store, now }: Opened, fromDays: number, toDays: number) {
  const startUs = now.us - fromDays * DAY_US
  const endUs = now.us - toDays * DAY_US
  const { points, meta } = await store.readings(ask({ startUs, endUs, metric: 'temperature' }))
  assert.equal(points.length, (fromDays - toDays) * PER_DAY)
  return meta.tiers
}

function assertWhole(points: readonly (readonly unknown[])[], fromUs: number, toUs: number): void {
  const step = 6 * HOUR_US
  const first = Math.ceil(fromUs / step) * step
  assert.equal(points.length, (toUs - first) / step)
  for (const [at, [ms, value]] of points.entries()) {
    const timeUs = first + at * step
    assert.deepEqual([ms, value], [timeUs / 1000, (Math.round(timeUs / HOUR_US) % 977) / 10])
  }
}

test('two years later everything is in its tier, nothing is lost, and what is too old is gone', async (context) => {
  let opened = await openAging(context)
  const startUs = opened.now.us
  for (let day = 0; day < DAYS; day += STRETCH_DAYS) {
    await writeDays(opened, STRETCH_DAYS)
    const { now, store, folder, objects } = opened
    const { points } = await readAll(store, 'temperature')
    assertWhole(points, Math.max(startUs, now.us - 365 * DAY_US), now.us)
    await store.close()
    opened = await openAging(context, { folder, objects, nowUs: now.us })
    await opened.store.recover()
  }
  const { now, store, objects } = opened
  assert.equal(now.us - startUs, DAYS * DAY_US)
  const { points } = await readAll(store, 'temperature')
  assertWhole(points, now.us - 365 * DAY_US, now.us)
  assert.deepEqual(await tiersOf(opened, 5, 0), ['hot'])
  assert.deepEqual(await tiersOf(opened, 80, 40), ['warm'])
  assert.deepEqual(await tiersOf(opened, 360, 130), ['cold'])
  // Its own age, though it lies in the same files.
  const short = await readAll(store, 'short')
  assert.ok(short.points.length <= 91 * PER_DAY && short.points.length >= 90 * PER_DAY)

  const months = new Set<string>()
  for await (const { key } of eachObject(objects, '')) {
    const [, year, month] = /year=(\d+)\/month=(\d+)\//.exec(key) ?? []
    months.add(`${year}-${month}`)
  }
  // 2028-01-01 less 365 days, up to the month that is not 90 days past.
  const expected = Array.from({ length: 9 }, (_, month) => `2027-${month + 1}`)
  assert.deepEqual([...months].toSorted(), expected)
})

test('eight years of a bucket’s lifecycle: archived after one, asked back, gone after seven', async (context) => {
  const YEARS_7 = 7 * 365
  const opened = await openAging(context, {
    bucket: withLifecycle,
    agesOf: () => ({ hotUs: 7 * DAY_US, warmUs: 90 * DAY_US, coldUs: YEARS_7 * DAY_US }),
  })
  const { store, now, objects } = opened
  const freeze = { afterDays: 365, storageClass: 'GLACIER' }
  await store.frozen.setRule({ freeze, expireAfterDays: YEARS_7 })
  const startUs = now.us
  await writeDays(opened, 125)
  const look = (day: number) => lookAt(opened, startUs + day * DAY_US)
  // January was put on day 121, and all the rest by day 400.
  const cold = await look(480)
  assert.deepEqual([cold.points.length, cold.meta.completeness], [125 * PER_DAY, 1])
  const oneFrozen = await look(490)
  assert.equal(oneFrozen.points.length, (125 - 31) * PER_DAY)
  assert.ok(oneFrozen.meta.completeness < 1)
  const january = { startUs, endUs: startUs + 31 * DAY_US }
  const lastMs = (january.endUs - 6 * HOUR_US + 1) / 1000
  assert.deepEqual(oneFrozen.meta.frozen, [{ from: startUs / 1000, to: lastMs }])
  assert.equal((await look(900)).points.length, 0, 'all of it')

  const asked = await store.frozen.restore(january, 7)
  assert.deepEqual([asked.thawing.files, asked.frozen.files], [1, 0])
  assert.equal((await look(901)).points.length, 31 * PER_DAY)
  assert.equal((await look(910)).points.length, 0, 'the seven days are over')

  // Readings go to the day by their own age, the last of them when all of May is.
  const lastYear = await look(YEARS_7 + 100)
  assert.ok(lastYear.meta.frozen!.every(({ from }) => from * 1000 >= startUs + 90 * DAY_US))
  const over = await look(YEARS_7 + 160)
  assert.deepEqual([over.points.length, over.meta.completeness], [0, 1])
  assert.equal(over.meta.frozen, undefined)
  for await (const { key } of eachObject(objects, '')) assert.fail(`${key} is still there`)
  assert.equal(store.statistics().readingsStored, 0)
})
