/** For tests: a store of two fleets, what it is told, and naive answers to questions about it. */
import assert from 'node:assert/strict'
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Objects } from '../objects/objects.ts'
import type { GroupsQuestion } from '../query/query.ts'
import { nodeWorld } from '../world/node-world.ts'
import type { EmbeddedStorage } from './embedded-storage.ts'
import { LATENESS_US, NaiveStream, statsOf, type SaidReading } from './naive-stream-fixture.ts'
import { openStorage } from './open-storage.ts'
import { repairCatalogue } from './repair.ts'
import { copyFolder, defineSeries, makeOutput } from './storage-fixture.ts'

export const MINUTE_US = 60e6
export const HOUR_US = 3_600e6
export const DAY_US = 24 * HOUR_US
export const START_US = Date.UTC(2026, 3, 6, 20) * 1000
/** A small fleet, and one that tells of hours without readings. */
export const DEVICES = 'abcdefghijklmnopqrst'.split('')
export const TYPES = DEVICES.map((_, at) => (at < 3 ? 'pump' : 'fan'))
const SERIES = DEVICES.map((deviceId, series) => ({
  ...defineSeries(series, 'temperature', { deviceId }),
  deviceType: TYPES[series]!,
}))
const NO_OBJECTS = new Proxy({} as Objects, { get: () => assert.fail('the store was asked') })

interface Asked {
  groups: GroupsQuestion['groups']
  deviceTypes?: string[]
}
const QUESTIONS: readonly Asked[] = [
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
const NAMES = ['count', 'sum', 'avg', 'p50', 'min', 'max', 'stddev', 'p95'] as const

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
  if (aggregate === 'stddev') return stddevOf(readings)
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

/** Null, of one reading, is as good as 0 here. */
function stddevOf(readings: readonly { value: number }[]): { least: number; most: number } {
  const { avg, count } = statsOf(readings)
  const squares = readings.reduce((sum, { value }) => sum + (value - avg) ** 2, 0)
  const exact = count > 1 ? Math.sqrt(squares / (count - 1)) : 0
  return { least: exact, most: exact }
}

/** Of questions: each asks another aggregate than the one before. */
let turn = 0

export interface Look {
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

export class FleetRun {
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

  async commit(): Promise<void> {
    await this.#store.commit({ offset: this.#stream.outputs.length - 1, parts: [] })
    await this.#store.settle()
  }

  get nowUs(): number {
    return this.#nowUs
  }

  get store(): EmbeddedStorage {
    return this.#store
  }

  pass(us: number): void {
    this.#nowUs += us
  }

  say(readings: readonly SaidReading[]): void {
    this.#store.output(makeOutput(this.#stream.output(readings)))
  }

  async crash(): Promise<void> {
    const copy = `${this.#folder}-${this.#folders++}`
    copyFolder(this.#folder, copy)
    await this.#store.close()
    this.#folder = copy
    await this.#goOn()
  }

  /** The catalogue is lost, and made again from files alone. */
  async repair(): Promise<void> {
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

  async erase(series: number, untilUs: number): Promise<void> {
    const id = `e${this.#erased.length}`
    await this.#store.erasures.begin({
      ...{ id, tenant: 'default', deviceIds: [DEVICES[series]!], fromUs: 0, toUs: untilUs },
      ...{ requestedAtUs: this.#nowUs, events: 0, receipt: undefined },
    })
    this.#erased.push({ series, untilUs })
    await this.check({ startUs: 0, endUs: 4e15, stepUs: HOUR_US })
    await this.commit()
    // What was renewed by now is without it, too.
    await this.check({ startUs: 0, endUs: 4e15, stepUs: HOUR_US })
    await this.#store.erasures.run(id)
    await this.#store.erasures.finish(id, 'done')
    await this.check({ startUs: 0, endUs: 4e15, stepUs: DAY_US })
  }

  /** Each question against what was said. */
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
}
