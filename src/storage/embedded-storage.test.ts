import assert from 'node:assert/strict'
import { cp } from 'node:fs/promises'
import { test, type TestContext } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import type { Query } from '../query/query.ts'
import { FATE_DUPLICATE, FATE_UNVERIFIED } from '../stream/stream.ts'
import { nodeWorld } from '../world/node-world.ts'
import { openStorage, type StorageOptions } from './embedded-storage.ts'
import { ask, defineSeries, makeFolder, makeOutput, type OutputParts } from './storage-fixture.ts'
import type { Storage } from './storage.ts'

const TEMPERATURE = defineSeries(1, 'temperature')
const NOTHING = { parts: [] }

type Store = Storage & Query

function open(folder: string, options: Partial<StorageOptions> = {}): Promise<Store> {
  return openStorage({ folder, world: nodeWorld, options })
}

async function openFresh(
  context: TestContext,
  options: Partial<StorageOptions> = {},
): Promise<{ store: Store; folder: string }> {
  const folder = await makeFolder(context)
  const store = await open(folder, options)
  context.after(() => store.close())
  return { store, folder }
}

/** What a power cut would leave: the folder as it is, without a close. */
async function reopenCopy(context: TestContext, folder: string): Promise<Store> {
  const copy = `${folder}-copy-${copies++}`
  await cp(folder, copy, { recursive: true })
  const store = await open(copy)
  context.after(async () => {
    await store.close()
  })
  return store
}
let copies = 0

const put = (store: Store, parts: OutputParts): void => store.output(makeOutput(parts))

async function points(store: Store): Promise<unknown[]> {
  return (await store.readings(ask())).points
}

const ms = (value: number): number => value * 1000

test('T1 what was output before a commit is there after a restart, with the checkpoint', async (context) => {
  const { store, folder } = await openFresh(context)
  const readings = [
    { series: 1, timeUs: ms(2), value: 20 },
    { series: 1, timeUs: ms(1), value: 10 },
  ]
  put(store, { offset: 0, series: [TEMPERATURE], readings })
  await store.commit({ offset: 0, parts: [{ name: 'windows', bytes: new Uint8Array([1, 2, 3]) }] })
  const again = await reopenCopy(context, folder)
  const recovered = await again.recover()
  assert.equal(recovered.nextOffset, 1)
  assert.deepEqual(recovered.state, [{ name: 'windows', bytes: new Uint8Array([1, 2, 3]) }])
  assert.deepEqual(recovered.definitions.series, [TEMPERATURE])
  assert.deepEqual(await points(again), [
    [1, 10],
    [2, 20],
  ])
  assert.deepEqual(await again.latest('default', 'pump-1'), { temperature: { ts: 2, value: 20 } })
})

test('T3 a reading is visible at once, and once, while and after it moves, and when output again', async (context) => {
  const { store } = await openFresh(context)
  const first: OutputParts = {
    offset: 0,
    series: [TEMPERATURE],
    readings: [{ series: 1, timeUs: ms(1), value: 10 }],
  }
  put(store, first)
  assert.deepEqual(await points(store), [[1, 10]])
  const committing = store.commit({ offset: 0, ...NOTHING })
  put(store, first)
  let hasEnded = false
  void committing.finally(() => (hasEnded = true))
  while (!hasEnded) {
    assert.deepEqual(await points(store), [[1, 10]])
    await setImmediate()
  }
  put(store, first)
  assert.deepEqual(await points(store), [[1, 10]])
})

test('T4 of equal identities the lowest offset wins, within memory, across segments and merged', async (context) => {
  const { store } = await openFresh(context, { mergeFanIn: 2 })
  const write = (offset: number, value: number, fate?: number): void =>
    put(store, {
      offset,
      series: [TEMPERATURE],
      readings: [{ series: 1, timeUs: ms(1), value, ...(fate === undefined ? {} : { fate }) }],
    })
  write(0, 1)
  write(1, 2, FATE_UNVERIFIED)
  write(2, 3, FATE_DUPLICATE)
  assert.deepEqual(await points(store), [[1, 1]])
  await store.commit({ offset: 2, ...NOTHING })
  write(3, 4, FATE_UNVERIFIED)
  assert.deepEqual(await points(store), [[1, 1]])
  await store.commit({ offset: 3, ...NOTHING })
  assert.deepEqual(await points(store), [[1, 1]])
  while (store.statistics().segmentCount > 1) {
    assert.deepEqual(await points(store), [[1, 1]])
    await setImmediate()
  }
  assert.equal(store.statistics().segmentCount, 1)
  assert.equal(store.statistics().readingsStored, 1)
})
