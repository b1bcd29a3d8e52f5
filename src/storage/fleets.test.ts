import assert from 'node:assert/strict'
import { readdirSync, rmSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Objects } from '../objects/objects.ts'
import type { GroupsQuestion } from '../query/query.ts'
import { nodeWorld } from '../world/node-world.ts'
import type { EmbeddedStorage } from './embedded-storage.ts'
import { LATENESS_US, NaiveStream, statsOf, type SaidReading } from './naive-stream-fixture.ts'
import { openStorage } from './open-storage.ts'
import { repairCatalogue } from './repair.ts'
import { copyFolder, defineSeries, makeOutput } from './storage-fixture.ts'

const MINUTE_US = 60e6
const HOUR_US = 3_600e6
const DAY_US = 24 * HOUR_US
const START_US = Date.UTC(2026, 3, 6, 20) * 1000
/** A small fleet, and one that tells of hours without readings. */
const DEVICES = 'abcdefghijklmnopqrst'.split('')
const TYPES = DEVICES.map((_, at) => (at < 3 ? 'pump' : 'fan'))
const SERIES = DEVICES.map((deviceId, series) => ({
  ...defineSeries(series, 'temperature', { deviceId }),
  deviceType: TYPES[series]!,
}))
const NO_OBJECTS = new Proxy({} as Objects, { get: () => assert.fail('the store was asked') })

const reading = fc.record({
  series: fc.nat(DEVICES.length - 1),
  /** Minutes behind the clock: mostly now, sometimes hours or days. */
  behind: fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: 0, max: 200 }) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 5000 }) },
  ),
  value: fc.integer({ min: -50, max: 50 }),
  /** So many in a row, so that an hour of them is worth a row. */
  burst: fc.oneof(
    { weight: 4, arbitrary: fc.constant(1) },
    { weight: 1, arbitrary: fc.constant(170) },
  ),
})
const step = fc.record({
  hours: fc.integer({ min: 1, max: 12 }),
  readings: fc.array(reading, { minLength: 1, maxLength: 15 }),
  next: fc.constantFrom('nothing', 'commit', 'commit', 'commit', 'crash', 'erase', 'ask', 'repair'),
})

interface Asked {
  groups: GroupsQuestion['groups']
  deviceTypes?: string[]
}
const QUESTIONS: Asked[] = [
  { groups: 'all' },
  { groups: 'type' },
  { groups: 'type', deviceTypes: ['fan'] },
  { groups: 'device' },
  {
    groups: new Map([
      ['a', 'x'],
      ['c', 'x'],
      ['d', 'y'],
    ]),
  },
]
const NAMES = ['count', 'sum', 'avg', 'p50', 'min', 'max', 'p95'] as const

function groupOf(series: number, { groups, deviceTypes }: Asked): string | undefined {
  const type = TYPES[series]!
  if (deviceTypes?.includes(type) === false) return undefined
  if (groups === 'all') return ''
  if (groups === 'type') return type
  return groups === 'device' ? DEVICES[series]! : groups.get(DEVICES[series]!)
}

/** What may be answered: of quantiles from sketches all that is near a value of the rank. */
function rangeOf(
  readings: readonly { value: number }[],
  aggregate: (typeof NAMES)[number],
  error: number | undefined,
): { least: number; most: number } {
  if (aggregate !== 'p50' && aggregate !== 'p95') {
    const exact = statsOf(readings)[aggregate]
    return { least: exact, most: exact }
  }
  const sorted = readings.map(({ value }) => value).toSorted((a, b) => a - b)
  const rank = (Number(aggregate.slice(1)) / 100) * (sorted.length - 1)
  const [low, high] = [sorted[Math.floor(rank)]!, sorted[Math.ceil(rank)]!]
  const exact = low + (high - low) * (rank - Math.floor(rank))
  if (error === 0) return { least: exact, most: exact }
  return { least: low - Math.abs(low) * error!, most: high + Math.abs(high) * error! }
}

/** Of questions: each asks another aggregate than the one before. */
let turn = 0

interface Look {
  startUs: number
  endUs: number
  stepUs: number
}

async function check(store: EmbeddedStorage, said: SaidReading[], look: Look): Promise<string[]> {
  const { startUs, endUs, stepUs } = look
  const inSpan = said
    .filter(({ timeUs }) => startUs <= timeUs && timeUs < endUs)
    .toSorted((a, b) => a.timeUs - b.timeUs)
  const tiers: string[] = []
  for (const [at, asked] of QUESTIONS.entries()) {
    const aggregate = NAMES[(at + turn++) % NAMES.length]!
    const answer = await store.groups({
      ...{ tenant: 'default', metric: 'temperature', dimensions: {}, pointsMax: 10_000 },
      ...{ ...look, ...asked, aggregate },
    })
    tiers.push(...answer.meta.tiers)
    const { relative_error: error } = answer.meta
    if (error !== undefined) tiers.push(`${aggregate} within ${error}`)
    const own = inSpan.filter(({ series }) => groupOf(series, asked) !== undefined)
    const expected = [...Map.groupBy(own, ({ series }) => groupOf(series, asked)!)]
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([group, readings]) => ({
        group,
        points: [
          ...Map.groupBy(readings, ({ timeUs }) => Math.floor(timeUs / stepUs) * stepUs),
        ].map(([us, inStep]) => ({ ms: us / 1000, ...rangeOf(inStep, aggregate, error) })),
      }))
    const told = `${aggregate} ${answer.meta.tiers.join()} ${error}`
    assert.deepEqual(
      answer.groups.map(({ group, points }) => [group, points.map(([ms]) => ms)]),
      expected.map(({ group, points }) => [group, points.map(({ ms }) => ms)]),
      told,
    )
    for (const [place, { points }] of answer.groups.entries()) {
      for (const [step, [ms, value]] of points.entries()) {
        const { least, most } = expected[place]!.points[step]!
        const isRight = least - 1e-6 <= Number(value) && Number(value) <= most + 1e-6
        assert.ok(isRight, `${told} at ${ms}: ${value}, not ${least} to ${most}`)
      }
    }
  }
  return tiers
}

class Run {
  readonly seen: Set<string>
  #folders = 0
  #folder: string
  #nowUs = START_US
  #store!: EmbeddedStorage
  readonly #stream: NaiveStream
  #erased: { series: number; untilUs: number }[] = []

  constructor(root: string, windowsMs: readonly number[], seen: Set<string>) {
    this.#stream = new NaiveStream(SERIES, windowsMs)
    this.seen = seen
    this.#folder = join(root, `${Math.random()}`)
  }

  async open(): Promise<void> {
    const nowUs = (): number => this.#nowUs
    const clock = { ...nodeWorld.clock, nowUs, monotonicMs: () => this.#nowUs / 1000 }
    this.#store = await openStorage({
      folder: this.#folder,
      world: { ...nodeWorld, clock },
      options: {
        ...{ mergeFanIn: 3, allowedLatenessMs: LATENESS_US / 1000 },
        aging: {
          agesOf: () => ({ hotUs: DAY_US, warmUs: Infinity, coldUs: Infinity }),
          ...{ isExportedFirst: false, intervalMs: 0, objects: NO_OBJECTS },
        },
      },
    })
  }

  close(): Promise<void> {
    return this.#store.close()
  }

  async #commit(): Promise<void> {
    await this.#store.commit({ offset: this.#stream.outputs.length - 1, parts: [] })
    await this.#store.settle()
  }

  async step({ hours, readings, next }: typeof step extends fc.Arbitrary<infer S> ? S : never) {
    this.#nowUs += hours * HOUR_US
    const said = readings.flatMap(({ series, behind, value, burst }) =>
      Array.from({ length: burst }, (_, at) => ({
        series,
        timeUs: this.#nowUs - behind * MINUTE_US - at * 17e6,
        value: value + (at % 11) / 4,
      })),
    )
    this.#store.output(makeOutput(this.#stream.output(said)))
    if (next === 'commit') await this.#commit()
    if (next === 'ask') await this.check({ startUs: 0, endUs: 4e15, stepUs: HOUR_US })
    if (next === 'erase') await this.#erase(readings[0]!.series)
    if (next === 'crash') await this.#crash()
    if (next === 'repair') await this.#repair()
  }

  async #crash(): Promise<void> {
    const copy = `${this.#folder}-${this.#folders++}`
    copyFolder(this.#folder, copy)
    await this.#store.close()
    this.#folder = copy
    await this.#goOn()
  }

  /** The catalogue is lost, and made again from files alone. */
  async #repair(): Promise<void> {
    const copy = `${this.#folder}-${this.#folders++}`
    copyFolder(this.#folder, copy)
    await this.#store.close()
    this.#folder = copy
    for (const file of readdirSync(copy)) {
      if (file.startsWith('catalogue.db')) rmSync(join(copy, file))
    }
    const parts = { folder: copy, world: nodeWorld, objects: undefined, logFirstOffset: 0 }
    const repair = await repairCatalogue(parts)
    assert.deepEqual(repair.lost, [])
    await this.#goOn()
    await this.check({ startUs: 0, endUs: 4e15, stepUs: HOUR_US })
  }

  async #goOn(): Promise<void> {
    await this.open()
    const { nextOffset } = await this.#store.recover()
    for (const output of this.#stream.outputs.slice(Math.max(0, nextOffset - 1))) {
      this.#store.output(makeOutput(output))
    }
  }

  async #erase(series: number): Promise<void> {
    const untilUs = this.#nowUs - 3 * HOUR_US
    const id = `e${this.#erased.length}`
    await this.#store.erasures.begin({
      ...{ id, tenant: 'default', deviceIds: [DEVICES[series]!], fromUs: 0, toUs: untilUs },
      ...{ requestedAtUs: this.#nowUs, events: 0, receipt: undefined },
    })
    this.#erased.push({ series, untilUs })
    await this.check({ startUs: 0, endUs: 4e15, stepUs: HOUR_US })
    await this.#commit()
    // What was renewed by now is without it, too.
    await this.check({ startUs: 0, endUs: 4e15, stepUs: HOUR_US })
    await this.#store.erasures.run(id)
    await this.#store.erasures.finish(id, 'done')
    await this.check({ startUs: 0, endUs: 4e15, stepUs: DAY_US })
  }

  async check(look: Look): Promise<void> {
    const said = [...this.#stream.stored].flatMap(([series, own]) =>
      [...own]
        .map(([timeUs, value]) => ({ series, timeUs, value }))
        .filter(({ timeUs }) => {
          return !this.#erased.some((one) => one.series === series && timeUs < one.untilUs)
        }),
    )
    for (const tier of await check(this.#store, said, look)) this.seen.add(tier)
  }

  async checkAll(offsetHours: number): Promise<void> {
    const all = { startUs: START_US - 10 * DAY_US, endUs: this.#nowUs + DAY_US }
    const part = { startUs: START_US + offsetHours * HOUR_US + 1234, endUs: this.#nowUs - 777 }
    for (const stepUs of [HOUR_US, 2 * HOUR_US, DAY_US, 7 * DAY_US]) {
      await this.check({ ...all, stepUs })
      await this.check({ ...part, stepUs })
    }
  }
}

test('questions about many devices have the answers of their readings, whatever is late or erased', async () => {
  const root = await mkdtemp(join(tmpdir(), 'weir-fleets-'))
  const seen = new Set<string>()
  const property = fc.asyncProperty(
    fc.array(step, { minLength: 6, maxLength: 20 }),
    fc.integer({ min: 0, max: 60 }),
    fc.constantFrom([60_000], [3_600_000], [60_000, 3_600_000]),
    async (steps, offsetHours, windowsMs) => {
      const run = new Run(root, windowsMs, seen)
      await run.open()
      try {
        for (const one of steps) await run.step(one)
        await run.checkAll(offsetHours)
      } finally {
        await run.close()
      }
    },
  )
  await fc
    .assert(property, { numRuns: 4, endOnFailure: true })
    .finally(() => rm(root, { recursive: true, force: true }))
  for (const one of ['fleet-1h', 'p50 within 0.005', 'p50 within 0']) {
    assert.ok(seen.has(one), [...seen].join())
  }
})
