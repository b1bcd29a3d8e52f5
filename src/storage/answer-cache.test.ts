import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { partialOf } from '../query/query-fixture.ts'
import type { GroupsQuestion, Query, ReadingsAnswer, ReadingsQuestion } from '../query/query.ts'
import { FATE_DUPLICATE, FATE_FRESH, FATE_UNVERIFIED } from '../stream/stream.ts'
import { nodeWorld } from '../world/node-world.ts'
import { AnswerCache, type Asked } from './answer-cache.ts'
import type { EmbeddedStorage } from './embedded-storage.ts'
import { openStorage } from './open-storage.ts'
import { ask, defineSeries, makeOutput, type OutputParts } from './storage-fixture.ts'

const START_US = Date.UTC(2026, 0, 10) * 1000
const STEP_US = 20e6
const HOUR_US = 3600e6
const DEVICES = ['pump-0', 'pump-1', 'pump-2']
const METRICS = ['temperature', 'flow']
/** So many series are defined when they first speak. */
const SERIES = DEVICES.flatMap((deviceId, device) =>
  METRICS.map((metric, at) => ({
    ...defineSeries(device * METRICS.length + at, metric, { deviceId }),
    deviceType: device === 0 ? 'old' : 'new',
  })),
)

type Operation =
  | {
      kind: 'output'
      readings: { series: number; at: number; value: number; isUnsure: boolean }[]
    }
  | { kind: 'window' | 'late'; series: number; at: number; value: number }
  | { kind: 'commit' }
  | { kind: 'erase'; device: number; at: number; steps: number }
  | { kind: 'wait'; hours: number }
  | { kind: 'ask' }

/** Few, so that the same is asked again and again. */
const spans = [0, 5, 20].flatMap((from) =>
  [6, 40].map((steps) => ({
    startUs: START_US + from * STEP_US,
    endUs: START_US + (from + steps) * STEP_US,
  })),
)
const SINGLE: ReadingsQuestion[] = spans.flatMap((span, at) => [
  ask({ ...span, deviceId: DEVICES[at % 3]! }),
  ask({ ...span, deviceId: DEVICES[at % 3]!, aggregate: 'sum', stepUs: 60e6 }),
  ask({ ...span, startUs: 0, deviceId: DEVICES[at % 3]!, aggregate: 'max' }),
])
const MANY: GroupsQuestion[] = spans.flatMap((span) => [
  { ...ask(span), aggregate: 'sum', groups: 'type', stepUs: 60e6 },
  { ...ask(span), aggregate: 'count', groups: new Map([['pump-1', 'mine']]), deviceTypes: ['new'] },
])

/** All that can be asked, at once; values in tenths, as sums may differ in their last bit. */
async function answers(store: Query): Promise<unknown[]> {
  const rounded = (points: [number, unknown][]) =>
    points.map(([ms, value]) => [ms, typeof value === 'number' ? Math.round(value * 10) : value])
  const single = SINGLE.map(async (question) => {
    const { points, meta } = await store.readings(question)
    return [rounded(points), meta.series]
  })
  const many = MANY.map(async (question) => {
    const { groups, meta } = await store.groups(question)
    return [groups.map(({ group, points }) => [group, rounded(points)]), meta.series]
  })
  const windows = spans.map(async (span, at) => {
    const question = { ...ask({ ...span, deviceId: DEVICES[at % 3]! }), windowMs: 60_000 }
    return (await store.windows(question)).windows
  })
  return Promise.all([...single, ...many, ...windows])
}

const series = fc.integer({ min: 0, max: SERIES.length - 1 })
const at = fc.integer({ min: 0, max: 50 })
const value = fc.integer({ min: -20, max: 20 })
const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('output' as const),
      readings: fc.array(fc.record({ ...{ series, at, value }, isUnsure: fc.boolean() }), {
        minLength: 1,
        maxLength: 4,
      }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      ...{ kind: fc.constantFrom('window' as const, 'late' as const), series, at, value },
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('commit' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('erase' as const),
      device: fc.integer({ min: 0, max: 2 }),
      at,
      steps: fc.integer({ min: 1, max: 10 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('wait' as const), hours: fc.constantFrom(1, 12) }),
  },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('ask' as const) }) },
)

const WINDOW_US = 60e6
const startOf = (timeUs: number): number => Math.floor(timeUs / WINDOW_US) * WINDOW_US

interface Reading {
  series: number
  timeUs: number
  value: number
}

/** Says of operations what the stream would: partials and dirty ranges that fit the readings. */
class Script {
  readonly #defined = new Set<number>()
  readonly #identities = new Set<string>()
  readonly #open: number[][] = []
  /** By series and window: its late readings; undefined: its partial tells nothing any more. */
  readonly #windows = new Map<string, Reading[] | undefined>()

  #closeWindows(): Omit<OutputParts, 'offset'> | undefined {
    const partials = this.#open.splice(0)
    return partials.length === 0 ? undefined : { series: [], readings: [], partials }
  }

  outputOf(one: Operation): Omit<OutputParts, 'offset'> | undefined {
    if (one.kind === 'output') return this.#output(one.readings)
    if (one.kind === 'window') return this.#window(one)
    if (one.kind === 'commit') return this.#closeWindows()
    return one.kind === 'late' ? this.#late(one) : undefined
  }

  /** A backlog's: windows are to be computed from it. */
  #output(given: readonly { series: number; at: number; value: number; isUnsure: boolean }[]) {
    const readings = given.map(({ series, at, value, isUnsure }) => {
      const timeUs = START_US + at * STEP_US
      const isKnown = !this.#isNew({ series, timeUs })
      const fate = isKnown && !isUnsure ? FATE_DUPLICATE : isUnsure ? FATE_UNVERIFIED : FATE_FRESH
      this.#windows.set(keyOf({ series, timeUs }), undefined)
      return { series, timeUs, value, fate }
    })
    const dirty = readings.map(({ series, timeUs }) => {
      const fromMs = startOf(timeUs) / 1000
      return { series, fromMs, toMs: fromMs + WINDOW_US / 1000 }
    })
    return { series: this.#define(given), readings, dirty }
  }

  /** It closes before the next commit. */
  #window({ series, at, value }: { series: number; at: number; value: number }) {
    const startUs = startOf(START_US + at * STEP_US)
    const readings = [0, 1, 2].map((add) => ({
      ...{ series, timeUs: startUs + add * STEP_US, value: value + add },
    }))
    const key = keyOf(readings[0]!)
    if (this.#windows.has(key)) return undefined
    this.#windows.set(key, [])
    for (const one of readings) this.#isNew(one)
    this.#open.push(partialOf(readings, { windowMs: WINDOW_US / 1000, isLate: false }))
    return { series: this.#define([{ series }]), readings }
  }

  #late({ series, at, value }: { series: number; at: number; value: number }) {
    const reading = { series, timeUs: START_US + at * STEP_US + 1000, value }
    const late = this.#windows.get(keyOf(reading))
    if (late === undefined || !this.#isNew(reading)) return undefined
    late.push(reading)
    const inOrder = late.toSorted((a, b) => a.timeUs - b.timeUs)
    const partials = [partialOf(inOrder, { windowMs: WINDOW_US / 1000, isLate: true })]
    return { series: [], readings: [reading], partials }
  }

  #isNew({ series, timeUs }: { series: number; timeUs: number }): boolean {
    const identity = `${series}:${timeUs}`
    const isNew = !this.#identities.has(identity)
    this.#identities.add(identity)
    return isNew
  }

  #define(used: readonly { series: number }[]) {
    const fresh = [...new Set(used.map((one) => one.series))].filter((id) => !this.#defined.has(id))
    for (const id of fresh) this.#defined.add(id)
    return fresh.map((id) => SERIES[id]!)
  }
}

const keyOf = ({ series, timeUs }: { series: number; timeUs: number }): string =>
  `${series}:${startOf(timeUs)}`

test('E1 random writes, late partials, erasures and ages: kept answers are those of now', async () => {
  const root = await mkdtemp(join(tmpdir(), 'weir-answers-'))
  let runs = 0
  let hits = 0
  const property = fc.asyncProperty(
    fc.array(operation, { minLength: 10, maxLength: 40 }),
    async (operations) => {
      let nowUs = START_US + HOUR_US
      const world = { ...nodeWorld, clock: { ...nodeWorld.clock, nowUs: () => nowUs } }
      const open = (answersBytesMax: number): Promise<EmbeddedStorage> =>
        openStorage({
          ...{ folder: join(root, String(runs++)), world },
          options: { answersBytesMax },
        })
      const stores = [await open(32 << 20), await open(0)] as const
      const script = new Script()
      let offset = 0
      let erasures = 0
      try {
        for (const one of [...operations, { kind: 'ask' } as const]) {
          const output = script.outputOf(one)
          if (output !== undefined) {
            // Some answers are under way when it comes.
            const under = answers(stores[0])
            for (const store of stores) store.output(makeOutput({ ...output, offset }))
            offset++
            const after = answers(stores[0])
            await under
            assert.deepEqual(await after, await answers(stores[1]))
          }
          if (one.kind === 'wait') nowUs += one.hours * HOUR_US
          if (one.kind === 'commit' && offset > 0) {
            for (const store of stores) await store.commit({ offset: offset - 1, parts: [] })
          }
          if (one.kind === 'erase') {
            const fromUs = START_US + one.at * STEP_US
            const erasure = {
              ...{ id: String(erasures++), tenant: 'default', deviceIds: [DEVICES[one.device]!] },
              ...{ fromUs, toUs: fromUs + one.steps * STEP_US, requestedAtUs: nowUs, events: 0 },
            }
            for (const store of stores) {
              await store.erasures.begin({ ...erasure, receipt: undefined })
            }
          }
          if (one.kind !== 'ask') continue
          const [kept, computed] = await Promise.all(stores.map((store) => answers(store)))
          assert.deepEqual(kept, computed)
        }
        hits += stores[0].statistics().answers.hits
        assert.equal(stores[1].statistics().answers.hits, 0)
      } finally {
        for (const store of stores) await store.close()
      }
    },
  )
  await fc
    .assert(property, { numRuns: 15, endOnFailure: true })
    .finally(() => rm(root, { recursive: true, force: true }))
  assert.ok(hits > 100, `${hits} answers came from the cache`)
})

function setUp(bytesMax = 1 << 20) {
  const state = { nowUs: 0, isWhole: true, damaged: 0, computed: 0 }
  const cache = new AnswerCache({
    ...{ bytesMax, nowUs: () => state.nowUs, isWhole: () => state.isWhole },
    damagedCount: () => state.damaged,
  })
  const waits: Promise<void>[] = []
  const asked = (more: Partial<Asked<ReadingsAnswer>> & { points?: number } = {}) => ({
    ...{ key: 'one', tenant: 'default', metric: 'temperature', deviceId: 'pump-0' },
    ...{ startUs: 0, endUs: 1000, series: [SERIES[0]!], untilUs: Infinity },
    async compute(): Promise<ReadingsAnswer> {
      const value = ++state.computed
      await waits.shift()
      const points = Array.from({ length: more.points ?? 1 }, (_, ms): [number, number] => [
        ms,
        value,
      ])
      const counts = { segments_read: 0, segments_skipped: 0, segments_damaged: 0 }
      const meta = { series: [], tiers: [], resolution_ms: 0, completeness: 1, cached: false }
      return { points, meta: { ...meta, ...counts } }
    },
    ...more,
  })
  const ask = async (...how: Parameters<typeof asked>) => {
    const { points, meta } = await cache.ask(asked(...how), undefined)
    return [points[0]![1], meta.cached]
  }
  return { ...{ state, cache, waits, ask, asked } }
}

test('E2, E3 no longer than it is shown, and only while the store is whole and undamaged', async () => {
  const { state, ask } = setUp()
  assert.deepEqual(await ask({ untilUs: 10 }), [1, false])
  assert.deepEqual(await ask(), [1, true])
  state.nowUs = 10
  assert.deepEqual(await ask(), [2, false])
  state.isWhole = false
  assert.deepEqual(await ask(), [3, false])
  state.isWhole = true
  assert.deepEqual(await ask(), [2, true])
  state.damaged++
  assert.deepEqual(await ask(), [4, false])
  assert.deepEqual(await ask(), [4, true])
})

test('E4 what is kept is bounded in bytes, and answers of one series in number', async () => {
  const { cache, ask, state } = setUp(100_000)
  for (let at = 0; at < 200; at++) {
    await ask({ key: String(at), points: 50 })
    assert.ok(cache.bytes <= 100_000)
  }
  assert.deepEqual(await ask({ key: '199' }), [200, true])
  assert.deepEqual(await ask({ key: 'large', points: 1000 }), [201, false])
  assert.deepEqual(await ask({ key: 'large', points: 1000 }), [202, false])
  for (let at = 0; at < 65; at++) await ask({ key: `small ${at}` })
  state.computed = 0
  assert.deepEqual(await ask({ key: 'small 0' }), [1, false])
  cache.spanChanged(0, { startUs: 0, endUs: 1 })
  assert.equal(cache.bytes, 0)
})

test('equal questions at once are computed once; who goes leaves the others theirs', async () => {
  const { cache, waits, asked, state } = setUp()
  const held = Promise.withResolvers<void>()
  waits.push(held.promise)
  const gone = new AbortController()
  const first = cache.ask(asked(), gone.signal)
  const others = [1, 2].map(() => cache.ask(asked(), new AbortController().signal))
  const reason = new Error('gone')
  gone.abort(reason)
  await assert.rejects(first, reason)
  held.resolve()
  for (const one of others) assert.equal((await one).points[0]![1], 1)
  assert.equal(state.computed, 1)
})

test('the last one that goes ends the work, and the next one begins anew', async () => {
  const { cache, asked } = setUp()
  const signals: AbortSignal[] = []
  const endless = asked({
    compute: (signal) =>
      new Promise((_, reject) => {
        signals.push(signal)
        signal.addEventListener('abort', () => reject(signal.reason))
      }),
  })
  const askers = [new AbortController(), new AbortController()]
  const answers = askers.map(({ signal }) => cache.ask(endless, signal))
  askers[0]!.abort(new Error('one'))
  await assert.rejects(answers[0]!, /one/)
  assert.equal(signals[0]!.aborted, false)
  askers[1]!.abort(new Error('other'))
  await assert.rejects(answers[1]!, /other/)
  assert.equal(signals[0]!.aborted, true)
  assert.equal((await cache.ask(asked(), undefined)).points[0]![1], 1)
})
