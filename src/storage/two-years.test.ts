/** Two years of a clock of the test’s own, a commit a day, with restarts: what is where then. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eachObject } from '../objects/objects.ts'
import { DAY_US, HOUR_US, openAging, readAll, writeDays, type Opened } from './aging-fixture.ts'
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
