/**
 * Random scripts through a job of a real Flink, each in a partition of its own, and through the
 * stream stage of TypeScript: the same answers, also when a TaskManager dies in the middle of them.
 * `functions.test.ts` has many more scripts, without Flink.
 */
import { test } from 'node:test'
import fc from 'fast-check'
import type { ReadEntry } from '../../../src/kafka/kafka.ts'
import { anyScript, PLAN_OF_ALL } from '../../../src/stream/script.ts'
import { killService, restartService } from '../../cluster/cluster.ts'
import {
  buildJar,
  openInstallation,
  readTopics,
  skip,
  TASK_MANAGER,
} from '../../cluster/flink-fixture.ts'
import type { Installation } from '../../cluster/flink-fixture.ts'
import { embedded } from './embedded.ts'
import { entriesOf } from './entries.ts'
import { assertSame, outcomeOf, type Given, type Topics } from './outcome.ts'

const SCRIPTS = 12
const LARGEST_MS = PLAN_OF_ALL.windowsMs.at(-1)!
/** Who waits for what does not come is looked at every ten seconds; and a job takes its time. */
const DEADLINE_MS = 120_000
const AGAIN_MS = 2000

const jar = skip === undefined ? buildJar() : ''

for (const isKilled of [false, true]) {
  const name = isKilled ? ', with a TaskManager killed between them' : ''
  test(`random scripts give the same in a job of Flink${name}`, { skip }, async (t) => {
    const seed = Number(process.env['WEIR_SEED'] ?? Date.now())
    t.diagnostic(`WEIR_SEED=${seed}`)
    const scripts = fc.sample(anyScript, { seed, numRuns: SCRIPTS })
    await using at = await openInstallation(jar, { partitions: SCRIPTS })
    const spec = at.spec('version: 1')
    await at.jobs.submit({ ...spec, plan: { ...spec.plan, ...PLAN_OF_ALL } })
    const all = scripts.map((script, one) => entriesOf(script, { suffix: `-${one}` }))
    const append = (part: (entries: ReadEntry[]) => ReadEntry[]): Promise<unknown> =>
      at.append(
        all.flatMap((entries, partition) =>
          part(entries).map(({ key, value }) => ({ partition, value, ...(key && { key }) })),
        ),
      )
    await append((entries) => entries.slice(0, entries.length / 2))
    if (isKilled) {
      await killService('flink', TASK_MANAGER)
      await restartService('flink')
    }
    await append((entries) => entries.slice(entries.length / 2))
    // Scripts end in ticks, which say nothing when they are said again.
    await untilSame(at, () => append((entries) => entries.slice(-1)))
  })
}

/** Both engines read what is in Kafka. Flink's time goes on with what is read. */
async function untilSame(at: Installation, tick: () => Promise<unknown>): Promise<void> {
  const telemetry = await at.read('telemetry')
  const expected = telemetry.map((entries) =>
    outcomeOf(withoutSources(embedded(PLAN_OF_ALL, entries)), LARGEST_MS),
  )
  const untilMs = performance.now() + DEADLINE_MS
  for (;;) {
    try {
      for (const [script, topics] of (await topicsOfScripts(at)).entries())
        assertSame(outcomeOf(topics, LARGEST_MS), expected[script]!)
      return
    } catch (error) {
      if (performance.now() > untilMs) throw error
      await tick()
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS))
    }
  }
}

const text = new TextDecoder()

/** Devices of a script lie in any partition behind telemetry. */
async function topicsOfScripts(at: Installation): Promise<Topics[]> {
  const topics = await readTopics(at)
  const of = (given: readonly Given[], script: number): Given[] =>
    given.filter(({ key }) => text.decode(key).endsWith(`-${script}`))
  const [readings, windows] = [topics.readings.flat(), topics.windows.flat()]
  const [events, deadLetters] = [topics.events.flat(), topics.deadLetters.flat()]
  return Array.from({ length: SCRIPTS }, (_, script) => ({
    readings: numbered(of(readings, script)),
    windows: of(windows, script),
    events: of(events, script),
    deadLetters: of(deadLetters, script),
  }))
}

const withoutSources = (topics: Topics): Topics => ({
  ...topics,
  readings: numbered(topics.readings),
})

/**
 * A message by what it is, instead of by its place: a device's readings come in one order, those of
 * a partition do not; said again after a crash it is the same.
 */
function numbered(readings: readonly Given[]): Given[] {
  const order = new Map<string, number>()
  const unique = new Set(
    readings.map(({ key, value, source }) => {
      const name = text.decode(key)
      return `${name} ${source} ${Buffer.from(value).toString('base64')}`
    }),
  )
  return [...unique]
    .map((one) => one.split(' ') as [string, string, string])
    .toSorted(([a, x], [b, y]) => (a < b ? -1 : a > b ? 1 : Number(x) - Number(y)))
    .map(([name, , value]) => {
      const source = order.size
      order.set(`${name} ${source}`, source)
      return { key: Buffer.from(name), value: Buffer.from(value, 'base64'), source }
    })
}
