/**
 * Stream and storage together: whatever stretch of what was accepted comes again, as new entries
 * and in any order, the answers stay those of the first time. The stages' own properties are tested
 * beside them; this is what they promise together.
 */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Rule } from '../../src/pipeline/pipeline.ts'
import type { Query } from '../../src/query/query.ts'
import { openStorage } from '../../src/storage/open-storage.ts'
import type { Storage } from '../../src/storage/storage.ts'
import { StreamProcessor } from '../../src/stream/processor.ts'
import {
  anyScript,
  frameOf,
  LIMITS,
  PLAN,
  SERIES,
  type ScriptFrame,
} from '../../src/stream/script.ts'
import type { RuleEvent } from '../../src/stream/stream.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { seededRandom } from '../system/crash-reference.ts'

const RUNS = Number(process.env['WEIR_REPLAY_RUNS'] ?? 15)
const TIMES = 3
const TICK_US = 1e6
const MINUTES_US = 60e6
/** Behind them every window is closed: half an hour in steps that no clock was set by. */
const TICKS_AT_END = 4
const TICK_AT_END_US = 9 * MINUTES_US

class Stages {
  readonly store: Storage & Query
  readonly #processor = new StreamProcessor({ plan: PLAN, limits: LIMITS })
  readonly #random: () => number
  /** By id, as the alerts know them: resolved stays resolved. */
  readonly #episodes = new Map<string, RuleEvent['state']>()
  #offset = 0
  nowUs = 0

  constructor(store: Storage & Query, random: () => number) {
    this.store = store
    this.#random = random
  }

  /** One more entry, now and then with a checkpoint behind it. */
  async take(frame: ScriptFrame): Promise<void> {
    this.nowUs = frame.baseUs
    const offset = this.#offset++
    const output = this.#processor.process(offset, frameOf(frame, offset === 0))
    for (const { id, state } of output.ruleEvents) {
      if (this.#episodes.get(id) !== 'resolved') this.#episodes.set(id, state)
    }
    this.store.output(output)
    if (this.#random() < 0.15) await this.store.commit(this.#processor.checkpoint(offset))
  }

  async closeWindows(): Promise<void> {
    for (let tick = 0; tick < TICKS_AT_END; tick++) {
      await this.take({ baseUs: this.nowUs + TICK_AT_END_US, messages: [] })
    }
  }

  async answers(): Promise<unknown> {
    const episodes = [...this.#episodes].map(([id, state]) => `${id} ${state}`).toSorted()
    return { ...(await answersOf(this.store)), episodes }
  }
}

/**
 * Everything that can be asked of storage. Sums are in the order of the readings: six decimals are
 * told.
 */
async function answersOf(store: Query): Promise<Record<string, unknown>> {
  const told: Record<string, unknown> = {}
  for (const { deviceId, metric, kind } of SERIES) {
    const question = {
      ...{ tenant: 'default', deviceId, metric, dimensions: {} },
      ...{ startUs: 0, endUs: 4e15 },
    }
    const raw = { ...question, aggregate: undefined, stepUs: undefined, pointsMax: 10_000 }
    told[`${deviceId} ${metric}`] = (await store.readings(raw)).points
    if (kind === 'text') continue
    for (const windowMs of PLAN.windowsMs) {
      const { windows } = await store.windows({ ...question, windowMs })
      told[`${deviceId} ${metric} ${windowMs}`] = windows.map(({ avg, sum, stddev, ...exact }) => ({
        ...exact,
        ...{ avg: avg.toFixed(6), sum: sum.toFixed(6) },
        stddev: stddev?.toFixed(6),
      }))
    }
  }
  const filter = { tenant: 'default', deviceId: undefined, limit: 1000 }
  told['anomalies'] = (await store.anomalies(filter)).map(({ id }) => id).toSorted()
  return told
}

/**
 * The script without rules on silence: those go by what arrives, and a device that repeats what it
 * said is not silent.
 */
const withoutSilence = (script: ScriptFrame[]): ScriptFrame[] =>
  script.map(({ rules = [], ...frame }) => ({
    ...frame,
    rules: rules.filter((change) => !('put' in change && (change.put as Rule).on === 'silence')),
  }))

/** A stretch of the script, its frames in any order, as they come in from now on. */
function again(script: ScriptFrame[], nowUs: number, random: () => number): ScriptFrame[] {
  const from = Math.floor(random() * script.length)
  const to = from + 1 + Math.floor(random() * (script.length - from))
  return script
    .slice(from, to)
    .map((frame) => ({ frame, rank: random() }))
    .toSorted((a, b) => a.rank - b.rank)
    .map(({ frame: { messages } }, at) => ({ baseUs: nowUs + (at + 1) * TICK_US, messages }))
}

test('any stretch of the log fed three times more, in any order, changes no answer', async () => {
  await fc.assert(
    fc.asyncProperty(anyScript.map(withoutSilence), fc.nat(), async (script, seed) => {
      const random = seededRandom(seed)
      const folder = await mkdtemp(join(tmpdir(), 'weir-replay-'))
      const store = await openStorage({
        ...{ folder: join(folder, 'data'), world: nodeWorld },
        options: { mergeFanIn: 3 },
      })
      try {
        const stages = new Stages(store, random)
        for (const frame of script) await stages.take(frame)
        await stages.closeWindows()
        const once = await stages.answers()
        for (let time = 1; time <= TIMES; time++) {
          for (const frame of again(script, stages.nowUs, random)) await stages.take(frame)
          await stages.closeWindows()
          assert.deepEqual(await stages.answers(), once, `fed ${time} times more`)
        }
      } finally {
        await store.close()
        await rm(folder, { recursive: true, force: true })
      }
    }),
    { numRuns: RUNS },
  )
})
