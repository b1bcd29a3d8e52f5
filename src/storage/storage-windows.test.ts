import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import type { Query, WindowRow } from '../query/query.ts'
import { FATE_UNVERIFIED } from '../stream/stream.ts'
import { nodeWorld } from '../world/node-world.ts'
import { openStorage } from './open-storage.ts'
import { ask, copyFolder, defineSeries, makeFolder, makeOutput } from './storage-fixture.ts'
import type { Storage } from './storage.ts'

const SERIES = [defineSeries(0, 'temperature')]
const QUESTION = { ...ask(), windowMs: 60_000 }

/** Values of one window at its start, one second apart. */
function partial(values: number[], isLate: boolean): number[] {
  const count = values.length
  const sum = values.reduce((total, value) => total + value, 0)
  const mean = sum / count
  const squares = values.reduce((total, value) => total + (value - mean) ** 2, 0)
  const key = [0, 60_000, 0, Number(isLate)]
  const ends = [values[0]!, isLate ? 30e6 : 0, values.at(-1)!, isLate ? 40e6 : 20e6]
  return [...key, count, sum, Math.min(...values), Math.max(...values), mean, squares, ...ends]
}

const RESULT: WindowRow = {
  ...{ window_start: 0, count: 4, sum: 10, avg: 2.5, min: 1, max: 4 },
  ...{ stddev: Math.sqrt(5 / 3), first: 1, last: 4 },
}

async function openFresh(
  context: TestContext,
): Promise<{ store: Storage & Query; folder: string }> {
  const folder = await makeFolder(context)
  const store = await openStorage({
    ...{ folder: `${folder}/data`, world: nodeWorld },
    options: { mergeFanIn: 3 },
  })
  context.after(() => store.close())
  return { store, folder }
}

test('a later late partial replaces the earlier one, in memory, across segments and merged', async (context) => {
  const { store } = await openFresh(context)
  const steps = [[partial([1, 2], false)], [partial([3], true)], [partial([3, 4], true)]]
  for (const [offset, partials] of steps.entries()) {
    store.output(makeOutput({ offset, series: offset === 0 ? SERIES : [], partials }))
  }
  assert.deepEqual((await store.windows(QUESTION)).windows, [RESULT])
  const { store: other } = await openFresh(context)
  for (const [offset, partials] of steps.entries()) {
    other.output(makeOutput({ offset, series: offset === 0 ? SERIES : [], partials }))
    await other.commit({ offset, parts: [] })
  }
  assert.deepEqual((await other.windows(QUESTION)).windows, [RESULT])
  while (other.statistics().segmentCount > 1) await setImmediate()
  assert.deepEqual((await other.windows(QUESTION)).windows, [RESULT])
})

test('T1 dirty ranges survive a restart: their windows are computed from readings, once each', async (context) => {
  const { store, folder } = await openFresh(context)
  const readings = [1, 2, 3, 4].map((value, at) => ({ series: 0, timeUs: at * 1e6, value }))
  const partials = [partial([1, 2], false)]
  store.output(makeOutput({ offset: 0, series: SERIES, readings, partials }))
  await store.commit({ offset: 0, parts: [] })
  const again = [{ series: 0, timeUs: 0, value: 99, fate: FATE_UNVERIFIED }]
  const dirty = [{ series: 0, fromMs: 0, toMs: 60_000 }]
  store.output(makeOutput({ offset: 1, readings: again, dirty }))
  assert.deepEqual((await store.windows(QUESTION)).windows, [RESULT])
  await store.commit({ offset: 1, parts: [] })
  copyFolder(`${folder}/data`, `${folder}/copy`)
  const reopened = await openStorage({ folder: `${folder}/copy`, world: nodeWorld })
  context.after(() => reopened.close())
  assert.deepEqual((await reopened.windows(QUESTION)).windows, [RESULT])
})

test('a window of one reading has no deviation', async (context) => {
  const { store } = await openFresh(context)
  store.output(makeOutput({ offset: 0, series: SERIES, partials: [partial([7], false)] }))
  assert.equal((await store.windows(QUESTION)).windows[0]?.stddev, null)
})
