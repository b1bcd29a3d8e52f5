/** Damage of what is stored: found, named, and its neighbours served. */
import assert from 'node:assert/strict'
import {
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { Query } from '../query/query.ts'
import { FATE_UNVERIFIED, type AnomalyEvent } from '../stream/stream.ts'
import { createSeededRandom } from '../world/memory-disk.ts'
import { Catalogue } from './catalogue.ts'
import { openStorage } from './open-storage.ts'
import { NOBODY, type StorageOptions } from './storage-options.ts'
import {
  ask,
  copyFolder,
  defineSeries,
  earlyWorld,
  makeFolder,
  makeOutput,
} from './storage-fixture.ts'
import type { Storage } from './storage.ts'

type Store = Storage & Query

const COMMITS = 3
const READINGS_PER_COMMIT = 100
const MINUTE_US = 60_000_000
const EVENTS = { tenant: 'default', deviceId: undefined, limit: 100 }
const WINDOWS = { ...ask(), windowMs: 60_000 }

const ODD: AnomalyEvent = {
  ...{ id: 'odd-1', tenant: 'default', detectorId: 'odd', deviceId: 'pump-1' },
  ...{ metric: 'temperature', series: 1, eventTimeUs: 5000, value: 99, score: 5.5 },
}

/** One minute a commit: readings of each second half, and the window that they fill. */
function outputOf(commit: number) {
  const values = Array.from({ length: READINGS_PER_COMMIT }, (_, at) => commit * 1000 + at)
  const startUs = commit * MINUTE_US
  const timeUs = (at: number): number => startUs + at * 1000
  const sum = values.reduce((total, value) => total + value, 0)
  const mean = sum / values.length
  const squares = values.reduce((total, value) => total + (value - mean) ** 2, 0)
  const [first, last] = [values[0]!, values.at(-1)!]
  return makeOutput({
    offset: commit,
    series: commit === 0 ? [defineSeries(1, 'temperature')] : [],
    readings: values.map((value, at) => ({ series: 1, timeUs: timeUs(at), value })),
    partials: [
      [
        ...[1, 60_000, startUs / 1000, 0, values.length, sum, first, last, mean, squares],
        ...[first, timeUs(0), last, timeUs(values.length - 1)],
      ],
    ],
    anomalies: commit === 0 ? [ODD] : [],
  })
}

const part = (byte: number) => ({ name: 'windows', bytes: new Uint8Array(5000).fill(byte) })

async function makeStored(context: TestContext): Promise<string> {
  const folder = await makeFolder(context)
  const store = await open(join(folder, 'data'))
  for (let commit = 0; commit < COMMITS; commit++) {
    store.output(outputOf(commit))
    await store.commit({ offset: commit, parts: [part(commit)] })
  }
  await store.close()
  return folder
}

const open = (folder: string, options: Partial<StorageOptions> = {}): Promise<Store> =>
  openStorage({ folder, world: earlyWorld, options })

function flipBit(path: string, position: number, bit = 0): void {
  const bytes = readFileSync(path)
  bytes[position]! ^= 1 << bit
  writeFileSync(path, bytes)
}

function segmentsOf(folder: string, kind: 'readings' | 'rollup'): string[] {
  const segments = join(folder, 'segments')
  const names = readdirSync(segments).filter((name) => name.startsWith(kind))
  return names.toSorted().map((name) => join(segments, name))
}

/** Opens with a listener that collects what it is told. */
async function openHeard(
  context: TestContext,
  folder: string,
  options: Partial<StorageOptions> = {},
) {
  const heard: string[] = []
  const lost: string[] = []
  const store = await open(folder, {
    ...options,
    listener: {
      ...NOBODY,
      mergeFailed: (cause) => heard.push(`merge: ${String(cause)}`),
      segmentDamaged: ({ file, problem }) => heard.push(`${file}: ${problem}`),
      stateLost: (problem) => lost.push(problem),
      eventDamaged: (problem) => heard.push(problem),
    },
  })
  let isOpen = true
  const close = async (): Promise<void> => {
    if (isOpen) await store.close()
    isOpen = false
  }
  context.after(close)
  return { store, heard, lost, close }
}

const DAMAGES: Record<string, { damage: (path: string) => void; problem: RegExp }> = {
  'a flipped bit': { damage: (path) => flipBit(path, 60, 3), problem: /its checksum differs/ },
  'a lost end': { damage: (path) => truncateSync(path, 90), problem: /it has 90 bytes, not \d+/ },
  'a missing file': { damage: (path) => rmSync(path), problem: /the file is missing/ },
}

test('T3 a damaged readings segment is named and left out, its neighbours answer', async (context) => {
  const folder = await makeStored(context)
  for (const [name, { damage, problem }] of Object.entries(DAMAGES)) {
    const copy = join(folder, name)
    copyFolder(join(folder, 'data'), copy)
    const [, path = ''] = segmentsOf(copy, 'readings')
    damage(path)
    const { store, heard, close } = await openHeard(context, copy)
    const { points, meta } = await store.readings(ask())
    assert.equal(points.length, 2 * READINGS_PER_COMMIT, name)
    assert.ok(points.every(([, value]) => Math.floor(Number(value) / 1000) !== 1))
    assert.equal(meta.completeness, 2 / 3, name)
    assert.equal(meta.segments_damaged, 1)
    assert.equal(heard.length, 1, `${name}: told once`)
    assert.match(heard[0]!, problem)
    assert.ok(heard[0]!.includes(path.split('/').at(-1)!))
    const beside = await store.readings(ask({ endUs: MINUTE_US }))
    assert.equal(beside.meta.completeness, 1, 'what does not need it is whole')
    // Its window is in a rollup, and whole.
    const counts = await store.readings(ask({ aggregate: 'count', stepUs: MINUTE_US }))
    assert.deepEqual(
      counts.points.map(([, count]) => count),
      [100, 100, 100],
    )
    assert.equal(counts.meta.completeness, 1)
    assert.equal(store.statistics().segmentsDamaged, 1)
    await close()
  }
})

test('a damaged rollup: its windows are computed from the readings, all of them', async (context) => {
  const folder = await makeStored(context)
  const whole = await open(join(folder, 'data'))
  const expected = await whole.windows(WINDOWS)
  assert.equal(expected.windows.length, COMMITS)
  await whole.close()
  for (const [name, { damage, problem }] of Object.entries(DAMAGES)) {
    const copy = join(folder, name)
    copyFolder(join(folder, 'data'), copy)
    damage(segmentsOf(copy, 'rollup')[1]!)
    const { store, heard, close } = await openHeard(context, copy)
    const { windows, meta } = await store.windows(WINDOWS)
    assert.deepEqual(
      windows.map(({ window_start, count, min, max }) => [window_start, count, min, max]),
      expected.windows.map(({ window_start, count, min, max }) => [window_start, count, min, max]),
      name,
    )
    assert.equal(meta.completeness, 1)
    const counts = await store.readings(ask({ aggregate: 'count', stepUs: MINUTE_US }))
    assert.deepEqual(
      counts.points.map(([, count]) => count),
      [100, 100, 100],
    )
    assert.match(heard.join('\n'), problem)
    await close()
  }
})

test('damage is not merged into a new segment under a right checksum', async (context) => {
  const folder = join(await makeStored(context), 'data')
  flipBit(segmentsOf(folder, 'readings')[1]!, 60)
  const { store, heard } = await openHeard(context, folder, { mergeFanIn: 2 })
  for (let commit = COMMITS; commit < COMMITS + 4; commit++) {
    store.output(outputOf(commit))
    await store.commit({ offset: commit, parts: [] })
  }
  while (store.statistics().mergeDebt > 0) await delay(5)
  const { points, meta } = await store.readings(ask())
  assert.equal(points.length, 6 * READINGS_PER_COMMIT)
  assert.ok(meta.completeness < 1)
  assert.equal(heard.length, 1)
})

test('the scrubber finds damage that nobody asks for', async (context) => {
  const folder = join(await makeStored(context), 'data')
  flipBit(segmentsOf(folder, 'readings')[2]!, 60)
  const scrub = { delayMs: 0, intervalMs: 1, bytesPerSecond: 1 << 30 }
  const { store, heard } = await openHeard(context, folder, { scrub })
  while (heard.length === 0) await delay(5)
  assert.match(heard[0]!, /readings-.*: its checksum differs/)
  assert.equal(store.statistics().segmentsDamaged, 1)
})

test('a segment that was put back counts again from the next start on', async (context) => {
  const folder = await makeStored(context)
  const [path = ''] = segmentsOf(join(folder, 'data'), 'readings')
  copyFileSync(path, join(folder, 'backup'))
  rmSync(path)
  const { store, close } = await openHeard(context, join(folder, 'data'))
  assert.ok((await store.readings(ask())).meta.completeness < 1)
  await close()
  copyFileSync(join(folder, 'backup'), path)
  const again = await openHeard(context, join(folder, 'data'))
  assert.equal((await again.store.readings(ask())).meta.completeness, 1)
  assert.deepEqual(again.heard, [])
})

test('without its catalogue a folder is refused, and nothing in it is removed', async (context) => {
  const folder = join(await makeStored(context), 'data')
  const files = segmentsOf(folder, 'readings')
  for (const damage of [rmSync, (path: string) => truncateSync(path, 0)]) {
    damage(join(folder, 'catalogue.db'))
    await assert.rejects(open(folder), {
      code: 'DATA_FILE_DAMAGED',
      message: /is missing or empty/,
    })
    assert.deepEqual(segmentsOf(folder, 'readings'), files)
  }
})

test('the catalogue of a folder that is opened again maps no file: a full disk would end us', async (context) => {
  const folder = join(await makeStored(context), 'data')
  const store = await open(folder)
  store.output(outputOf(COMMITS))
  await store.commit({ offset: COMMITS, parts: [] })
  assert.ok(!existsSync(join(folder, 'catalogue.db-shm')))
  await store.close()
})

test('an older catalogue from a backup removes no younger segment', async (context) => {
  const folder = join(await makeStored(context), 'data')
  copyFileSync(join(folder, 'catalogue.db'), join(folder, 'backup'))
  const store = await open(folder)
  store.output(outputOf(COMMITS))
  await store.commit({ offset: COMMITS, parts: [] })
  await store.close()
  const files = segmentsOf(folder, 'readings')
  copyFileSync(join(folder, 'backup'), join(folder, 'catalogue.db'))
  const { store: older } = await openHeard(context, folder)
  assert.equal((await older.recover()).nextOffset, COMMITS)
  assert.deepEqual(segmentsOf(folder, 'readings'), files, 'the log may not have these any more')
})

/** Everything that the catalogue says, or the error with which it refuses. */
function contentsOf(path: string, heard: string[]): unknown {
  const catalogue = Catalogue.open(path, { mustExist: true })
  catalogue.events.onDamage = (problem) => void heard.push(problem)
  try {
    const { segments, definitions, stateParts, dirtyRanges, coverage } = {
      segments: catalogue.segments(),
      definitions: catalogue.definitions(),
      stateParts: catalogue.stateParts(),
      dirtyRanges: catalogue.dirtyRanges(),
      coverage: catalogue.coverage(),
    }
    const { coveredOffset, committedAtUs, events } = catalogue
    const lists = [events.anomalies(EVENTS), events.deadLetters(EVENTS)]
    const structure = { segments, definitions, stateParts, dirtyRanges, coverage }
    return { ...structure, coveredOffset, committedAtUs, lists: heard.length > 0 ? [] : lists }
  } finally {
    catalogue.close()
  }
}

test('any flipped bit of the catalogue changes nothing, or is named', async (context) => {
  const folder = await makeStored(context)
  const path = join(folder, 'data', 'catalogue.db')
  const expected = contentsOf(path, [])
  const bytes = readFileSync(path)
  // Not found: a flip in a key of an event's index, which may hide that event (`checkStructure`).
  // These flips hit none; others do.
  const random = createSeededRandom(12)
  // Half of the file is empty space; where something stands, it is tried more often.
  const used = [...bytes.keys()].filter((at) => bytes[at] !== 0)
  let refused = 0
  let leftOut = 0
  for (let round = 0; round < 400; round++) {
    const from = round % 4 === 0 ? [...bytes.keys()] : used
    const at = from[Math.floor(random.unit() * from.length)]!
    const bit = Math.floor(random.unit() * 8)
    const copy = join(folder, 'flipped.db')
    const flipped = Uint8Array.from(bytes)
    flipped[at]! ^= 1 << bit
    writeFileSync(copy, flipped)
    const heard: string[] = []
    let found: unknown
    try {
      found = contentsOf(copy, heard)
    } catch (error) {
      const { code = '' } = error as { code?: string }
      assert.match(code, /^DATA_F/, `bit ${bit} of byte ${at}: ${String(error)}`)
      refused++
      continue
    }
    if (heard.length > 0) leftOut++
    const wanted = heard.length > 0 ? { ...(expected as object), lists: [] } : expected
    assert.deepEqual(found, wanted, `bit ${bit} of byte ${at}: another answer, and nobody said so`)
  }
  context.diagnostic(`${refused} refused, ${leftOut} with a damaged event left out`)
  assert.ok(refused > 50)
})

test('a damaged state: windows come from the readings, repeats are resolved', async (context) => {
  const folder = await makeStored(context)
  for (const [name, damage] of Object.entries({
    // Of the two places that commits take in turn, one holds what counts.
    flipped: (path: string) => [0, 4096].forEach((at) => flipBit(path, at, 1)),
    cut: (path: string) => truncateSync(path, 0),
    missing: (path: string) => rmSync(path),
  })) {
    const copy = join(folder, name)
    copyFolder(join(folder, 'data'), copy)
    damage(join(copy, 'state.bin'))
    const { store, heard, lost, close } = await openHeard(context, copy)
    const { state, floors, nextOffset } = await store.recover()
    assert.deepEqual(state, [], name)
    assert.deepEqual(heard, [])
    assert.equal(lost.length, 1, `${name}: told once`)
    assert.match(lost[0]!, /state part windows/)
    const lastUs = (COMMITS - 1) * MINUTE_US + (READINGS_PER_COMMIT - 1) * 1000
    assert.deepEqual([...floors!.subarray(0, 3)], [NaN, lastUs, NaN])
    assert.equal((await store.latest('default', 'pump-1'))['temperature']?.ts, lastUs / 1000)
    assert.equal((await store.anomalies(EVENTS)).length, 1)
    // A repeat, which the stream now takes for unverified, and what is new.
    const readings = [
      { series: 1, timeUs: 0, value: 77, fate: FATE_UNVERIFIED },
      { series: 1, timeUs: lastUs + 1000, value: 5 },
    ]
    store.output(makeOutput({ offset: nextOffset, readings }))
    const counts = async (one: Store): Promise<number[]> =>
      (await one.windows(WINDOWS)).windows.map(({ count }) => count)
    assert.deepEqual(await counts(store), [100, 100, 101])
    await store.commit({ offset: nextOffset, parts: [part(9)] })
    await close()
    const again = await openHeard(context, copy)
    const recovered = await again.store.recover()
    assert.equal(recovered.floors, undefined)
    assert.deepEqual(again.lost, [], 'told at the start that lost it, and at no later one')
    assert.deepEqual(recovered.state, [part(9)], 'the new state, and nothing of the damaged one')
    assert.deepEqual(await counts(again.store), [100, 100, 101])
    await again.close()
  }
})

test('a lost state is told where floors are handed out, and nowhere else', async (context) => {
  const folder = await makeStored(context)
  const cases: Record<string, { damage: (data: string) => void; isLost: boolean }> = {
    nothing: { damage: () => undefined, isLost: false },
    'of a fresh folder': { damage: (data) => rmSync(data, { recursive: true }), isLost: false },
    'a segment': { damage: (data) => rmSync(segmentsOf(data, 'readings')[0]!), isLost: false },
    'the latest values': { damage: (data) => flipPart(data, /last-values/), isLost: false },
    'a part of the stream': { damage: (data) => flipPart(data, /^windows/), isLost: true },
  }
  for (const [name, { damage, isLost }] of Object.entries(cases)) {
    const copy = join(folder, name)
    copyFolder(join(folder, 'data'), copy)
    damage(copy)
    const { store, lost, close } = await openHeard(context, copy)
    assert.deepEqual(lost, [], `${name}: by recover() alone`)
    const { floors } = await store.recover()
    assert.equal(floors !== undefined, isLost, name)
    assert.equal(lost.length, Number(isLost), name)
    await close()
    if (!isLost) continue
    // Nothing was committed since: it is lost anew, for whoever did not get to end the alerts.
    const again = await openHeard(context, copy)
    await again.store.recover()
    assert.equal(again.lost.length, 1, name)
    await again.close()
  }
})

function flipPart(folder: string, name: RegExp): void {
  const catalogue = Catalogue.open(join(folder, 'catalogue.db'), { mustExist: true })
  const part = catalogue.stateParts().find((one) => name.test(one.name))!
  catalogue.close()
  flipBit(join(folder, 'state.bin'), part.position, 1)
}
