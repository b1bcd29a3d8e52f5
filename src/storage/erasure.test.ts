import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { openFolderObjects } from '../objects/folder-objects.ts'
import type { Query } from '../query/query.ts'
import { FATE_FRESH, FATE_UNVERIFIED } from '../stream/stream.ts'
import { nodeWorld } from '../world/node-world.ts'
import type { EmbeddedStorage } from './embedded-storage.ts'
import type { Erasure } from './erasure-tables.ts'
import { openStorage } from './open-storage.ts'
import {
  ask,
  copyFolder,
  defineSeries,
  makeFolder,
  makeOutput,
  type Reading,
} from './storage-fixture.ts'

const HOUR_US = 3_600e6
const DAY_US = 24 * HOUR_US
const START_US = Date.UTC(2026, 0, 20) * 1000
/** Two devices of two series each, one of them text. */
const DEVICES = ['one', 'two']
const SERIES = DEVICES.flatMap((deviceId, at) => [
  { ...defineSeries(2 * at, 'temperature'), deviceId, device: at },
  { ...defineSeries(2 * at + 1, 'mode', { kind: 'text' }), deviceId, device: at },
])
const TEXTS: [number, string][] = [
  [0, 'a'],
  [1, 'b'],
]

class Bench {
  now = START_US
  offset = -1
  store!: EmbeddedStorage
  readonly outputs: { readings: Reading[] }[] = []

  async open(folder: string): Promise<this> {
    const clock = {
      ...nodeWorld.clock,
      ...{ nowUs: () => this.now, monotonicMs: () => this.now / 1000 },
    }
    this.store = await openStorage({
      folder,
      world: { ...nodeWorld, clock },
      options: {
        mergeFanIn: 3,
        aging: {
          objects: await openFolderObjects({ ...nodeWorld, folder: join(folder, 'cold') }),
          ...{ intervalMs: 1, isExportedFirst: false },
          agesOf: () => ({ hotUs: DAY_US, warmUs: 5 * DAY_US, coldUs: 1e17 }),
        },
      },
    })
    return this
  }

  output(readings: Reading[]): void {
    this.offset++
    this.outputs.push({ readings })
    this.#give(this.offset)
  }

  #give(offset: number): void {
    const { readings } = this.outputs[offset]!
    this.store.output(makeOutput({ offset, readings, series: SERIES, texts: TEXTS }))
  }

  async commit(): Promise<void> {
    await this.store.commit({ offset: this.offset, parts: [] })
    await this.store.settle()
  }

  /** After a crash: what the log holds comes again, and a little more. */
  async replay(): Promise<void> {
    const { nextOffset } = await this.store.recover()
    for (let at = Math.max(0, nextOffset - 2); at <= this.offset; at++) this.#give(at)
  }

  erasure(id: string, deviceIds: string[], fromUs: number, toUs: number): Erasure {
    const common = { tenant: 'default', requestedAtUs: this.now, events: 0, receipt: undefined }
    return { id, deviceIds, fromUs, toUs, ...common }
  }
}

async function pointsOf(store: Query, deviceId: string, metric: string) {
  const span = { startUs: -1e16, endUs: 4e15, pointsMax: 1e6 }
  return (await store.readings({ ...ask(span), deviceId, metric })).points
}

/** Times in µs. */
async function fleetOf(store: Query) {
  const any = { deviceType: undefined, afterDeviceId: undefined, limit: 10 }
  const question = { tenant: 'default', metric: 'temperature', ...any }
  const { deviceIds, timesMs } = await store.latestOfMetric(question)
  return deviceIds.map((id, at) => [id, timesMs[at]! * 1000] as const)
}

/** A reading of each series every three hours. */
function dayOf(startUs: number): Reading[] {
  return Array.from({ length: 8 }, (_, at) =>
    SERIES.map(({ series, kind }) => ({
      ...{ series, timeUs: startUs + at * 3 * HOUR_US, fate: FATE_FRESH },
      value: kind === 'text' ? at % 2 : at + series / 10,
    })),
  ).flat()
}

test('what is erased is in no file of any tier, and its neighbours are as they were', async (context) => {
  const folder = join(await makeFolder(context), 'data')
  const bench = await new Bench().open(folder)
  context.after(() => bench.store.close())
  const { store } = bench
  for (let day = 0; day < 40; day++) {
    bench.output(dayOf(bench.now))
    bench.now += DAY_US
    await bench.commit()
  }
  const before = await pointsOf(store, 'two', 'temperature')
  const tiers = (await store.readings({ ...ask({ startUs: 0, endUs: 4e15 }), deviceId: 'one' }))
    .meta
  assert.ok(tiers.tiers.includes('cold') && tiers.tiers.includes('hot'), tiers.tiers.join())
  // In memory, too.
  bench.output(dayOf(bench.now))
  const fromUs = START_US + 10 * DAY_US
  const toUs = bench.now + DAY_US
  await store.erasures.begin(bench.erasure('e1', ['one'], fromUs, toUs))
  const left = (await pointsOf(store, 'one', 'temperature')).map(([ms]) => ms * 1000)
  assert.equal(left.length, 10 * 8)
  assert.ok(
    left.every((timeUs) => timeUs < fromUs),
    'hidden at once',
  )
  const shown = (await fleetOf(store)).map(([id]) => id)
  assert.deepEqual(shown, ['two'], 'until it is known what is left')
  await bench.commit()
  const { files } = await store.erasures.run('e1')
  assert.deepEqual(new Set(files.map(({ place }) => place)), new Set(['disk', 'cold']))
  for (const { fileAfter, crcAfter, file, place } of files) {
    const at = place === 'cold' ? join(folder, 'cold') : join(folder, 'segments')
    if (fileAfter !== undefined) assert.equal(crc32(await readFile(join(at, fileAfter))), crcAfter)
    await assert.rejects(readFile(join(at, file)), { code: 'ENOENT' })
  }
  assert.equal((await pointsOf(store, 'one', 'temperature')).length, 10 * 8)
  assert.deepEqual((await pointsOf(store, 'two', 'temperature')).slice(0, before.length), before)
  const { temperature } = await store.latest('default', 'one')
  assert.equal(temperature!.ts * 1000, left.at(-1))
  assert.deepEqual(await fleetOf(store), [
    ['one', left.at(-1)],
    ['two', before.at(-1)![0] * 1000 + DAY_US],
  ])
  // The backlog comes again, with what is new.
  bench.output([...dayOf(fromUs), ...dayOf(toUs)])
  await bench.commit()
  assert.equal((await pointsOf(store, 'one', 'temperature')).length, 10 * 8 + 8)
  const again = await store.erasures.run('e1')
  assert.deepEqual(again.files, files, 'nothing of it was stored again')
  await store.erasures.finish('e1', '{}')
  assert.equal(store.erasures.find('e1')?.receipt, '{}')
})

test('no stored file mentions a device that was erased whole', async (context) => {
  const folder = join(await makeFolder(context), 'data')
  const bench = await new Bench().open(folder)
  context.after(() => bench.store.close())
  for (let day = 0; day < 40; day++) {
    bench.output(dayOf(bench.now))
    bench.now += DAY_US
    await bench.commit()
  }
  await bench.store.erasures.begin(bench.erasure('e1', ['one'], -9e15, bench.now))
  await bench.store.erasures.run('e1')
  for (const metric of ['temperature', 'mode']) {
    assert.deepEqual(await pointsOf(bench.store, 'one', metric), [])
    assert.equal((await pointsOf(bench.store, 'two', metric)).length, 40 * 8)
  }
  assert.deepEqual(await bench.store.latest('default', 'one'), {})
  assert.deepEqual(
    (await fleetOf(bench.store)).map(([id]) => id),
    ['two'],
  )
  const cold = await readdir(join(folder, 'cold'), { recursive: true, withFileTypes: true })
  const files = cold.filter(({ name }) => name.endsWith('.parquet'))
  assert.ok(files.length > 0)
  for (const { parentPath, name } of files) {
    const bytes = await readFile(join(parentPath, name))
    // Names stand in the statistics of the footer, which is not compressed.
    assert.ok(!bytes.includes('one'), name)
    assert.ok(bytes.includes('two'), name)
  }
})

type Operation =
  | { kind: 'output'; readings: { series: number; hour: number }[] }
  | { kind: 'commit' | 'crash' | 'finish' }
  | { kind: 'wait'; days: number }
  | { kind: 'erase'; device: number; from: number; hours: number }

const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('output' as const),
      readings: fc.array(
        fc.record({
          series: fc.integer({ min: 0, max: 3 }),
          hour: fc.integer({ min: 0, max: 60 }),
        }),
        { minLength: 1, maxLength: 10 },
      ),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('commit' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constantFrom('crash' as const, 'finish' as const) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('wait' as const), days: fc.constantFrom(1, 12, 40) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('erase' as const),
      device: fc.integer({ min: 0, max: 1 }),
      from: fc.integer({ min: 0, max: 60 }),
      hours: fc.integer({ min: 1, max: 40 }),
    }),
  },
)

test('random outputs, commits, moves, erasures and crashes answer as a naive model does', async () => {
  const root = await mkdtemp(join(tmpdir(), 'weir-erasure-'))
  let runs = 0
  const property = fc.asyncProperty(
    fc.array(operation, { minLength: 5, maxLength: 30 }),
    async (operations) => {
      let folder = join(root, String(runs++))
      const bench = await new Bench().open(folder)
      const stored = new Map<string, { series: number; timeUs: number; value: number }>()
      const erased: { device: number; fromUs: number; toUs: number }[] = []
      const isErased = (series: number, timeUs: number): boolean =>
        erased.some(
          ({ device, fromUs, toUs }) => series >> 1 === device && fromUs <= timeUs && timeUs < toUs,
        )
      let started = 0
      let finished = 0
      const check = async (): Promise<void> => {
        for (const { series, deviceId, metric, kind } of SERIES) {
          const expected = [...stored.values()]
            .filter((one) => one.series === series)
            .toSorted((a, b) => a.timeUs - b.timeUs)
            .map(({ timeUs, value }) => [timeUs / 1000, kind === 'text' ? TEXTS[value]![1] : value])
          assert.deepEqual(await pointsOf(bench.store, deviceId, metric), expected)
        }
      }
      try {
        for (const one of operations) {
          if (one.kind === 'output') {
            const readings = one.readings.map(({ series, hour }, at) => {
              const timeUs = START_US + hour * HOUR_US
              return { series, timeUs, value: at % 2, fate: FATE_UNVERIFIED }
            })
            for (const { series, timeUs, value } of readings) {
              const key = `${series}:${timeUs}`
              if (!stored.has(key) && !isErased(series, timeUs))
                stored.set(key, { series, timeUs, value })
            }
            bench.output(readings)
          }
          if (one.kind === 'commit' && bench.offset >= 0) await bench.commit()
          if (one.kind === 'wait') bench.now += one.days * DAY_US
          if (one.kind === 'erase') {
            const fromUs = START_US + one.from * HOUR_US
            const toUs = fromUs + one.hours * HOUR_US
            erased.push({ device: one.device, fromUs, toUs })
            for (const [key, { series, timeUs }] of stored) {
              if (isErased(series, timeUs)) stored.delete(key)
            }
            const name = DEVICES[one.device]!
            await bench.store.erasures.begin(bench.erasure(`e${started++}`, [name], fromUs, toUs))
          }
          if (one.kind === 'finish' && finished < started) {
            if (bench.offset >= 0) await bench.commit()
            await bench.store.erasures.run(`e${finished++}`)
          }
          if (one.kind === 'crash') {
            const copy = join(root, String(runs++))
            copyFolder(folder, copy)
            await bench.store.close()
            folder = copy
            await bench.open(folder)
            await bench.replay()
          }
          await check()
        }
      } finally {
        await bench.store.close()
      }
    },
  )
  await fc
    .assert(property, { numRuns: 25, endOnFailure: true })
    .finally(() => rm(root, { recursive: true, force: true }))
})
