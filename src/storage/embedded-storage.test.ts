import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { test, type TestContext } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import type { DeadLetter } from '../batch/batch.ts'
import type { Query } from '../query/query.ts'
import {
  FATE_DUPLICATE,
  FATE_UNVERIFIED,
  type AnomalyEvent,
  type Checkpoint,
} from '../stream/stream.ts'
import { nodeWorld } from '../world/node-world.ts'
import type { Disk, World } from '../world/world.ts'
import { openStorage } from './open-storage.ts'
import type { StorageOptions } from './storage-options.ts'
import {
  type OutputParts,
  type Reading,
  ask,
  copyFolder,
  defineSeries,
  earlyWorld,
  makeFolder,
  makeOutput,
} from './storage-fixture.ts'
import type { Storage } from './storage.ts'

const TEMPERATURE = defineSeries(1, 'temperature')
const NOTHING = { parts: [] }

type Store = Storage & Query

function open(folder: string, options: Partial<StorageOptions> = {}): Promise<Store> {
  return openStorage({ folder, world: earlyWorld, options })
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
  copyFolder(folder, copy)
  const store = await open(copy)
  context.after(async () => {
    await store.close()
    await rm(copy, { recursive: true, force: true })
  })
  return store
}
let copies = 0

const put = (store: Store, parts: OutputParts): void => store.output(makeOutput(parts))

async function points(store: Store): Promise<unknown[]> {
  return (await store.readings(ask())).points
}

const ms = (value: number): number => value * 1000

test('until what was expected is output, answers say that something is missing', async (context) => {
  const { store } = await openFresh(context)
  assert.equal(await store.completeness(), 1)
  const completenessOf = async (): Promise<number[]> => {
    const { meta } = await store.readings(ask())
    return [meta.completeness, await store.completeness()]
  }
  store.expect(3)
  assert.deepEqual(await completenessOf(), [0, 0])
  put(store, { offset: 0, series: [TEMPERATURE], readings: [{ series: 1, timeUs: 1, value: 1 }] })
  assert.deepEqual(await completenessOf(), [0.333, 0.333])
  store.expect(4)
  assert.deepEqual(await completenessOf(), [0.25, 0.25])
  for (const offset of [1, 2]) put(store, { offset })
  assert.deepEqual(await completenessOf(), [0.75, 0.75])
  put(store, { offset: 3 })
  store.expect(2)
  assert.deepEqual(await completenessOf(), [1, 1])
  put(store, { offset: 4 })
  assert.deepEqual(await completenessOf(), [1, 1])
})

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

/** The real disk, with something done before each call. */
function withHook(before: (call: string) => Promise<void>): World {
  const disk: Disk = { ...nodeWorld.disk }
  const hooked = {
    open: async (path: string, mode: Parameters<Disk['open']>[1]) => {
      await before('open')
      const file = await nodeWorld.disk.open(path, mode)
      return {
        write: async (data: Uint8Array, position: number) => {
          await before('write')
          await file.write(data, position)
        },
        sync: async () => {
          await before('sync')
          await file.sync()
        },
        read: (into: Uint8Array, position: number) => file.read(into, position),
        allocate: (bytes: number) => file.allocate(bytes),
        truncate: (bytes: number) => file.truncate(bytes),
        size: () => file.size(),
        close: () => file.close(),
      }
    },
    rename: async (from: string, to: string) => {
      await before('rename')
      await nodeWorld.disk.rename(from, to)
    },
    syncFolder: async (path: string) => {
      await before('syncFolder')
      await nodeWorld.disk.syncFolder(path)
    },
  }
  return { ...earlyWorld, disk: Object.assign(disk, hooked) }
}

const ODD: AnomalyEvent = {
  ...{ id: 'odd-1', tenant: 'default', detectorId: 'odd', deviceId: 'pump-1' },
  ...{ metric: 'temperature', series: 1, eventTimeUs: ms(5), value: 90, score: 5.5 },
}
const LETTER: DeadLetter = {
  tenant: 'default',
  deviceId: 'pump-1',
  receivedAtUs: ms(7),
  code: 'TELEMETRY_JSON_INVALID',
  detail: 'no',
  payload: '{',
}
const letters = (length: number): DeadLetter[] => Array.from({ length }, () => LETTER)
const EVENTS = { tenant: 'default', deviceId: undefined, limit: 1000 }

test('T2 a power cut at any moment of a commit leaves all of it or nothing', async (context) => {
  const folder = await makeFolder(context)
  const copies: string[] = []
  let isWatching = false
  const world = withHook(async () => {
    if (!isWatching) return
    copies.push(`${folder}/cut-${copies.length}`)
    copyFolder(`${folder}/data`, copies.at(-1)!)
  })
  const store = await openStorage({ folder: `${folder}/data`, world })
  context.after(() => store.close())
  const first = { offset: 0, series: [TEMPERATURE], readings: [reading(1, 10)] }
  put(store, first)
  await store.commit({ offset: 0, parts: [part('a', 1), part('b', 1)] })
  const second = {
    offset: 1,
    readings: [reading(60_001, 20)],
    partials: [[1, 60_000, 0, 0, 1, 10, 10, 10, 10, 0, 10, 1000, 10, 1000]],
    anomalies: [ODD],
    deadLetters: [LETTER],
  }
  put(store, second)
  isWatching = true
  await store.commit({ offset: 1, parts: [part('b', 2)] })
  isWatching = false
  assert.ok(copies.length >= 8, `only ${copies.length} moments were seen`)
  for (const copy of copies) {
    const cut = await open(copy)
    assert.deepEqual(await look(cut), { nextOffset: 1, b: 1, points: 1, windows: 0, events: 0 })
    // What the log replays brings everything, once.
    put(cut, first)
    put(cut, second)
    await cut.commit({ offset: 1, parts: [part('b', 2)] })
    assert.deepEqual(await look(cut), { nextOffset: 2, b: 2, points: 2, windows: 1, events: 2 })
    await cut.close()
  }
  assert.deepEqual(await look(await reopenCopy(context, `${folder}/data`)), {
    ...{ nextOffset: 2, b: 2, points: 2, windows: 1, events: 2 },
  })
})

const reading = (atMs: number, value: number): Reading => ({ series: 1, timeUs: ms(atMs), value })
const part = (name: string, byte: number): Checkpoint['parts'][number] => ({
  name,
  bytes: new Uint8Array(5000).fill(byte),
})

async function look(store: Store): Promise<Record<string, number | undefined>> {
  const { nextOffset, state } = await store.recover()
  const windows = { ...ask(), windowMs: 60_000 }
  const events = [await store.anomalies(EVENTS), await store.deadLetters(EVENTS)]
  assert.equal(state.find(({ name }) => name === 'a')?.bytes[4999], 1)
  return {
    nextOffset,
    b: state.find(({ name }) => name === 'b')?.bytes[4999],
    points: (await points(store)).length,
    windows: (await store.windows(windows)).windows.length,
    events: events.flat().length,
  }
}

test('T1 a commit that failed loses nothing: the next takes it along', async (context) => {
  const folder = await makeFolder(context)
  let isBroken = false
  const world = withHook(async (call) => {
    if (isBroken && call === 'sync') throw new Error('no space left on device')
  })
  const store = await openStorage({ folder: `${folder}/data`, world })
  context.after(() => store.close())
  put(store, { offset: 0, series: [TEMPERATURE], readings: [reading(1, 10)] })
  isBroken = true
  const failing = store.commit({ offset: 0, parts: [part('a', 1), part('b', 1)] })
  await assert.rejects(failing, { code: 'STORAGE_COMMIT_FAILED' })
  assert.deepEqual(await points(store), [[1, 10]])
  isBroken = false
  put(store, { offset: 1, readings: [reading(2, 20)] })
  await store.commit({ offset: 1, parts: [part('b', 2)] })
  const again = await reopenCopy(context, `${folder}/data`)
  const expected = { nextOffset: 2, b: 2, points: 2, windows: 0, events: 0 }
  assert.deepEqual(await look(again), expected)
})

test('T1 a commit that is tried again holds what its checkpoint stands for, and nothing since', async (context) => {
  const folder = await makeFolder(context)
  let isBroken = true
  const world = withHook(async (call) => {
    if (isBroken && call === 'sync') throw new Error('no space left on device')
  })
  const store = await openStorage({ folder: `${folder}/data`, world })
  context.after(() => store.close())
  put(store, { offset: 0, series: [TEMPERATURE], readings: [reading(1, 10)] })
  const checkpoint = { offset: 0, parts: [part('a', 1), part('b', 1)] }
  await assert.rejects(store.commit(checkpoint), { code: 'STORAGE_COMMIT_FAILED' })
  put(store, { offset: 1, readings: [reading(2, 20)] })
  isBroken = false
  await store.commit(checkpoint)
  const visible = [
    [1, 10],
    [2, 20],
  ]
  assert.deepEqual(await points(store), visible)
  const again = await reopenCopy(context, `${folder}/data`)
  const expected = { nextOffset: 1, b: 1, points: 1, windows: 0, events: 0 }
  assert.deepEqual(await look(again), expected)
  put(again, { offset: 1, readings: [reading(2, 20)] })
  assert.deepEqual(await points(again), visible)
})

test('T3 events and dead letters are visible at once, once, newest first, and bounded', async (context) => {
  const { store, folder } = await openFresh(context)
  put(store, { offset: 0, anomalies: [ODD], deadLetters: letters(600) })
  assert.equal((await store.anomalies(EVENTS))[0]?.ts, 5)
  await store.commit({ offset: 0, ...NOTHING })
  const newer = { ...ODD, id: 'odd-2', eventTimeUs: ms(9) }
  put(store, { offset: 1, anomalies: [newer, ODD], deadLetters: letters(600) })
  const check = async (one: Store): Promise<void> => {
    const anomalies = await one.anomalies(EVENTS)
    assert.deepEqual(
      anomalies.map((row) => [row.id, row.ts, row.score]),
      [
        ['odd-2', 9, 5.5],
        ['odd-1', 5, 5.5],
      ],
    )
    const kept = await one.deadLetters({ ...EVENTS, deviceId: 'pump-1' })
    assert.equal(kept.length, 1000)
    assert.equal(kept[0]?.id, '1-599')
    assert.equal(kept.at(-1)?.id, '0-200')
    assert.deepEqual(await one.deadLetters({ ...EVENTS, tenant: 'other' }), [])
  }
  await check(store)
  await store.commit({ offset: 1, ...NOTHING })
  await check(store)
  const again = await reopenCopy(context, folder)
  await check(again)
  assert.equal(again.statistics().deadLetters, 1000)
})
