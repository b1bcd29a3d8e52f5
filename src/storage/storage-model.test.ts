import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { AGGREGATES, type Aggregate, type Quantile, type Query } from '../query/query.ts'
import { FATE_DUPLICATE, FATE_FRESH, FATE_UNVERIFIED } from '../stream/stream.ts'
import { nodeWorld } from '../world/node-world.ts'
import { openStorage } from './open-storage.ts'
import {
  ask,
  copyFolder,
  defineSeries,
  makeOutput,
  type OutputParts,
  type Reading,
} from './storage-fixture.ts'
import type { Storage } from './storage.ts'

const WINDOW_US = 60e6
/** Five minutes before a month is over. */
const START_US = Date.UTC(2026, 0, 31, 23, 55) * 1000
const SERIES = [0, 1].map((series) =>
  defineSeries(series, 'temperature', { dimensions: [['side', String(series)]] }),
)

interface Put {
  series: number
  timeUs: number
  value: number
  /** What a stream would do with a late or repeated one: either is right. */
  choice: boolean
}
type Operation =
  | { kind: 'output'; readings: Put[] }
  | { kind: 'commit' }
  | { kind: 'crash' }
  | { kind: 'wait'; hours: number }
  | { kind: 'ask'; startUs: number; spanUs: number; stepUs: number | undefined; side: number }

const stats = (readings: Reading[]): Record<Aggregate, number | null> => {
  const inOrder = readings.toSorted((a, b) => a.timeUs - b.timeUs || a.series - b.series)
  const values = inOrder.map(({ value }) => value)
  const count = values.length
  const sum = values.reduce((total, value) => total + value, 0)
  const avg = sum / count
  const squares = values.reduce((total, value) => total + (value - avg) ** 2, 0)
  return {
    ...{ count, sum, avg, min: Math.min(...values), max: Math.max(...values) },
    stddev: count > 1 ? Math.sqrt(squares / (count - 1)) : null,
    first: values[0]!,
    last: values.at(-1)!,
    ...changesOf(inOrder),
    ...quantilesOf(values),
  }
}

function changesOf(inOrder: Reading[]): Record<'delta' | 'rate', number | null> {
  const [first, last] = [inOrder[0]!, inOrder.at(-1)!]
  const delta = last.value - first.value
  const spanUs = last.timeUs - first.timeUs
  return { delta, rate: spanUs > 0 ? delta / (spanUs / 1e6) : null }
}

function quantilesOf(values: number[]): Record<Quantile, number> {
  const sorted = values.toSorted((a, b) => a - b)
  const names = AGGREGATES.filter((name): name is Quantile => /^p\d/.test(name))
  const at = (name: Quantile): number => {
    const rank = (Number(name.slice(1)) / 100) * (sorted.length - 1)
    const low = Math.floor(rank)
    return sorted[low]! + ((sorted[low + 1] ?? sorted[low]!) - sorted[low]!) * (rank - low)
  }
  return Object.fromEntries(names.map((name) => [name, at(name)])) as Record<Quantile, number>
}

/** Knows every reading by identity, and emits partials and dirty ranges as the stream would. */
class Model {
  readonly stored = new Map<string, Reading>()
  readonly outputs: OutputParts[] = []
  closedUs = 0
  readonly #onTime = new Map<string, Reading[]>()
  readonly #late = new Map<string, Reading[]>()

  next(puts: Put[]): OutputParts {
    const output = {
      offset: this.outputs.length,
      series: this.outputs.length === 0 ? SERIES : [],
      readings: [] as Reading[],
      partials: [] as number[][],
      dirty: [] as NonNullable<OutputParts['dirty']>,
    }
    for (const { choice, ...reading } of puts) {
      output.readings.push({ ...reading, fate: this.#take(reading, choice, output) })
    }
    const latestUs = Math.max(...[...this.stored.values()].map(({ timeUs }) => timeUs))
    this.closedUs = Math.max(this.closedUs, Math.floor(latestUs / WINDOW_US) * WINDOW_US)
    for (const [key, readings] of this.#onTime) {
      if (startOf(readings[0]!) >= this.closedUs) continue
      output.partials.push(partialOf(readings, 0))
      this.#onTime.delete(key)
    }
    const closed = [{ windowMs: WINDOW_US / 1000, beforeMs: this.closedUs / 1000 }]
    this.outputs.push({ ...output, closed: this.closedUs === 0 ? [] : closed })
    return this.outputs.at(-1)!
  }

  #take(
    reading: Reading,
    choice: boolean,
    output: { partials: number[][]; dirty: NonNullable<OutputParts['dirty']> },
  ): number {
    const id = `${reading.series}:${reading.timeUs}`
    if (this.stored.has(id)) return choice ? FATE_DUPLICATE : FATE_UNVERIFIED
    this.stored.set(id, reading)
    const startUs = startOf(reading)
    const key = `${reading.series}:${startUs}`
    if (startUs >= this.closedUs) {
      this.#onTime.set(key, [...(this.#onTime.get(key) ?? []), reading])
      return FATE_FRESH
    }
    if (choice) {
      const late = [...(this.#late.get(key) ?? []), reading]
      this.#late.set(key, late)
      output.partials.push(partialOf(late, 1))
      return FATE_FRESH
    }
    const fromMs = startUs / 1000
    output.dirty.push({ series: reading.series, fromMs, toMs: fromMs + 60_000 })
    return FATE_UNVERIFIED
  }

  between(startUs: number, endUs: number, side: number): Reading[] {
    return [...this.stored.values()]
      .filter(({ series }) => side < 0 || series === side)
      .filter(({ timeUs }) => startUs <= timeUs && timeUs < endUs)
      .toSorted((a, b) => a.timeUs - b.timeUs || a.series - b.series)
  }
}

const startOf = ({ timeUs }: Reading): number => Math.floor(timeUs / WINDOW_US) * WINDOW_US

function partialOf(readings: Reading[], isLate: number): number[] {
  const inOrder = readings.toSorted((a, b) => a.timeUs - b.timeUs)
  const { count, sum, min, max, avg, first, last } = stats(inOrder) as Record<Aggregate, number>
  const squares = inOrder.reduce((total, { value }) => total + (value - avg) ** 2, 0)
  const key = [inOrder[0]!.series, WINDOW_US / 1000, startOf(inOrder[0]!) / 1000, isLate]
  const ends = [first, inOrder[0]!.timeUs, last, inOrder.at(-1)!.timeUs]
  return [...key, count, sum, min, max, avg, squares, ...ends]
}

function assertClose(actual: unknown, expected: unknown, place: string): void {
  if (typeof expected !== 'number') return assert.equal(actual, expected, place)
  assert.equal(typeof actual, 'number', place)
  const tolerance = 1e-9 * Math.max(1, Math.abs(expected))
  assert.ok(
    Math.abs((actual as number) - expected) <= tolerance,
    `${place}: ${String(actual)} ${expected}`,
  )
}

async function check(
  store: Query,
  model: Model,
  { startUs, spanUs, stepUs, side }: Extract<Operation, { kind: 'ask' }>,
): Promise<void> {
  const endUs = startUs + spanUs
  const dimensions: Record<string, string> = side < 0 ? {} : { side: String(side) }
  const question = ask({ startUs, endUs, dimensions })
  const expected = model.between(startUs, endUs, side)
  const { points } = await store.readings(question)
  assert.deepEqual(
    points,
    expected.map(({ timeUs, value }) => [timeUs / 1000, value]),
  )
  const stepOf = (timeUs: number): number =>
    stepUs === undefined ? startUs : Math.floor(timeUs / stepUs) * stepUs
  const steps = Map.groupBy(expected, ({ timeUs }) => stepOf(timeUs))
  for (const aggregate of AGGREGATES) {
    const answer = await store.readings({ ...question, aggregate, stepUs })
    assert.deepEqual(
      answer.points.map(([time]) => time),
      [...steps.keys()].map((time) => time / 1000),
    )
    for (const [time, value] of answer.points) {
      assertClose(value, stats(steps.get(time * 1000)!)[aggregate], `${aggregate} at ${time}`)
    }
  }
  await checkWindows(store, model, side)
}

async function checkWindows(store: Query, model: Model, side: number): Promise<void> {
  const dimensions: Record<string, string> = side < 0 ? {} : { side: String(side) }
  const { windows: rows } = await store.windows({
    ...ask({ dimensions }),
    windowMs: WINDOW_US / 1000,
  })
  const closed = Map.groupBy(model.between(0, model.closedUs, side), startOf)
  assert.deepEqual(
    rows.map((row) => row.window_start),
    [...closed.keys()].map((time) => time / 1000),
  )
  for (const { window_start, ...row } of rows) {
    const expected = stats(closed.get(window_start * 1000)!)
    for (const [name, value] of Object.entries(row)) {
      assertClose(value, expected[name as Aggregate], `${name} of window ${window_start}`)
    }
  }
}

const time = fc.integer({ min: 0, max: 100 }).map((step) => START_US + step * 7e6)
const put = fc.record({
  series: fc.integer({ min: 0, max: 1 }),
  timeUs: time,
  value: fc.integer({ min: -50, max: 50 }),
  choice: fc.boolean(),
})
const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('output' as const),
      readings: fc.array(put, { minLength: 1, maxLength: 12 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('commit' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('crash' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('wait' as const),
      hours: fc.constantFrom(1, 3, 24, 24 * 31),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('ask' as const),
      startUs: fc.oneof(fc.constant(0), time),
      spanUs: fc.integer({ min: 1, max: 120 }).map((step) => step * 7e6),
      stepUs: fc.constantFrom(undefined, 30e6, 60e6, 120e6),
      side: fc.integer({ min: -1, max: 1 }),
    }),
  },
)

test('T1-T4 random outputs, commits, merges and crashes answer as a naive model does', async () => {
  const root = await mkdtemp(join(tmpdir(), 'weir-model-'))
  let runs = 0
  let nowUs = START_US
  const world = { ...nodeWorld, clock: { ...nodeWorld.clock, nowUs: () => nowUs } }
  const options = { mergeFanIn: 2, segmentRows: 20 }
  const open = (folder: string): Promise<Storage & Query> => openStorage({ folder, world, options })
  const property = fc.asyncProperty(
    fc.array(operation, { minLength: 5, maxLength: 25 }),
    async (operations) => {
      let folder = join(root, String(runs++))
      let store = await open(folder)
      const model = new Model()
      nowUs = START_US
      try {
        for (const one of operations) {
          if (one.kind === 'output') store.output(makeOutput(model.next(one.readings)))
          if (one.kind === 'commit') {
            await store.commit({ offset: model.outputs.length - 1, parts: [] })
          }
          if (one.kind === 'wait') nowUs += one.hours * 3_600e6
          if (one.kind === 'ask') await check(store, model, one)
          if (one.kind !== 'crash') continue
          const copy = join(root, String(runs++))
          copyFolder(folder, copy)
          await store.close()
          folder = copy
          store = await open(folder)
          const { nextOffset } = await store.recover()
          for (const output of model.outputs.slice(Math.max(0, nextOffset - 2))) {
            store.output(makeOutput(output))
          }
        }
        const all = {
          kind: 'ask',
          startUs: START_US,
          spanUs: 1e9,
          stepUs: 120e6,
          side: -1,
        } as const
        await check(store, model, all)
      } finally {
        await store.close()
      }
    },
  )
  await fc
    // No time limit: an interrupted run would go on behind the clean-up.
    .assert(property, { numRuns: 25, endOnFailure: true })
    .finally(() => rm(root, { recursive: true, force: true }))
})
