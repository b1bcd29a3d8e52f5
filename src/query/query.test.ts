import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { openStorage } from '../storage/open-storage.ts'
import type { StorageOptions } from '../storage/storage-options.ts'
import { ask, defineSeries, makeFolder, makeOutput } from '../storage/storage-fixture.ts'
import type { Storage } from '../storage/storage.ts'
import { nodeWorld } from '../world/node-world.ts'
import type { Query } from './query.ts'

const DEFINITIONS = [
  defineSeries(0, 'temperature', { dimensions: [['side', 'left']] }),
  defineSeries(1, 'temperature', { dimensions: [['side', 'right']] }),
  defineSeries(2, 'running', { kind: 'boolean' }),
  defineSeries(3, 'mode', { kind: 'text' }),
]
const ms = (time: number): number => time * 1000

async function openWith(
  context: TestContext,
  options: Partial<StorageOptions> = {},
): Promise<Storage & Query> {
  const folder = await makeFolder(context)
  const store = await openStorage({ folder, world: nodeWorld, options })
  context.after(() => store.close())
  const readings = Array.from({ length: 100 }, (_, at) => [
    { series: at % 2, timeUs: ms(at), value: at === 57 ? 1000 : at % 10 },
    { series: 2, timeUs: ms(at), value: at % 2 },
    { series: 3, timeUs: ms(at), value: at < 50 ? 0 : 1 },
  ]).flat()
  const texts: [number, string][] = [
    [0, 'eco'],
    [1, 'boost'],
  ]
  store.output(makeOutput({ offset: 0, series: DEFINITIONS, texts, readings }))
  return store
}

test('several series are merged in time order and listed; a dimension picks one', async (context) => {
  const store = await openWith(context)
  const both = await store.readings(ask({ startUs: ms(3), endUs: ms(6) }))
  assert.deepEqual(both.points, [
    [3, 3],
    [4, 4],
    [5, 5],
  ])
  assert.deepEqual(both.meta.series, [
    { metric: 'temperature', dimensions: { side: 'left' } },
    { metric: 'temperature', dimensions: { side: 'right' } },
  ])
  const right = ask({ startUs: ms(3), endUs: ms(6), dimensions: { side: 'right' } })
  assert.deepEqual((await store.readings(right)).points, [
    [3, 3],
    [5, 5],
  ])
  assert.deepEqual((await store.readings(ask({ metric: 'none' }))).points, [])
})

test('booleans and texts come back as what was sent', async (context) => {
  const store = await openWith(context)
  const answer = async (metric: string, aggregate: 'last' | 'count' | 'min' | undefined) =>
    (await store.readings(ask({ metric, aggregate, startUs: ms(48), endUs: ms(51) }))).points
  assert.deepEqual(await answer('running', undefined), [
    [48, false],
    [49, true],
    [50, false],
  ])
  assert.deepEqual(await answer('running', 'min'), [[48, false]])
  assert.deepEqual(await answer('mode', undefined), [
    [48, 'eco'],
    [49, 'eco'],
    [50, 'boost'],
  ])
  assert.deepEqual(await answer('mode', 'last'), [[48, 'boost']])
  assert.deepEqual(await answer('mode', 'count'), [[48, 3]])
  const wrong = store.readings(ask({ metric: 'mode', aggregate: 'avg' }))
  await assert.rejects(wrong, { code: 'API_PARAMETER_INVALID', message: /^agg: avg/ })
  assert.deepEqual(await store.latest('default', 'pump-1'), {
    temperature: { ts: 99, value: 9 },
    running: { ts: 99, value: true },
    mode: { ts: 99, value: 'boost' },
  })
})

test('what does not fit is downsampled and keeps its peak, in memory and in a segment', async (context) => {
  const store = await openWith(context)
  const check = async (tier: string): Promise<void> => {
    const { points, meta } = await store.readings(ask({ pointsMax: 10 }))
    assert.ok(points.length <= 10)
    assert.ok(points.some(([time, value]) => time === 57 && value === 1000))
    assert.ok(meta.resolution_ms > 0)
    assert.deepEqual(meta.tiers, [tier])
  }
  await check('memory')
  await store.commit({ offset: 0, parts: [] })
  await check('segments')
})

test('limits refuse aloud: stored rows and steps', async (context) => {
  const store = await openWith(context, { limits: { rowsMax: 50, windowsMax: 10 } })
  const refusal = { code: 'QUERY_LIMIT_EXCEEDED' }
  await assert.rejects(store.readings(ask()), refusal)
  await store.commit({ offset: 0, parts: [] })
  await assert.rejects(store.readings(ask()), refusal)
  const narrow = { startUs: 0, endUs: ms(20), aggregate: 'avg', stepUs: ms(1) } as const
  await assert.rejects(store.readings(ask({ ...narrow, pointsMax: 5 })), refusal)
  assert.equal((await store.readings(ask({ ...narrow, pointsMax: 20 }))).points.length, 20)
})

test('an aggregate comes from partials where they tell everything, and from readings elsewhere', async (context) => {
  const folder = await makeFolder(context)
  const store = await openStorage({ folder, world: nodeWorld })
  context.after(() => store.close())
  const temperature = defineSeries(0, 'temperature')
  const readings = [0, 1, 2, 3].map((minute) => ({
    series: 0,
    timeUs: minute * 60e6,
    value: minute,
  }))
  // The partials are made to differ from the readings, so that the answer shows where it is from.
  const partials = [0, 1, 2].map((minute) => {
    const startUs = minute * 60e6
    const value = minute + 100
    const sums = [1, value, value, value, value, 0]
    return [0, 60_000, startUs / 1000, 0, ...sums, value, startUs, value, startUs]
  })
  store.output(makeOutput({ offset: 0, series: [temperature], readings, partials }))
  await store.commit({ offset: 0, parts: [] })
  const question = ask({ endUs: 240e6, aggregate: 'max', stepUs: 60e6 })
  const answer = await store.readings(question)
  assert.deepEqual(
    answer.points.map(([, value]) => value),
    [100, 101, 102, 3],
  )
  assert.deepEqual(answer.meta.tiers, ['rollup-1m', 'segments'])
  store.output(makeOutput({ offset: 1, dirty: [{ series: 0, fromMs: 60_000, toMs: 120_000 }] }))
  const dirty = await store.readings(question)
  assert.deepEqual(
    dirty.points.map(([, value]) => value),
    [100, 1, 102, 3],
  )
  const finer = await store.readings({ ...question, stepUs: 30e6 })
  assert.deepEqual(finer.meta.tiers, ['segments'])
})
