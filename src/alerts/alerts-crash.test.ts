/**
 * Random events, repeats and acts of people against processes that die at any write, before it or
 * behind it: what is in the history and what was told is as if none had died.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { ControlDatabase } from '../control/control.ts'
import type { RuleEvent } from '../stream/stream.ts'
import type { HistoryEntry } from './alerts.ts'
import {
  endOf,
  eventOf,
  openAlertBench,
  recipient,
  TENANT,
  during,
  type AlertBench,
  type Process,
} from './alerts-fixture.ts'

/** How a process ends at one of its next writes. */
interface Death {
  atWrite: number
  isWritten: boolean
}

type Step =
  | { do: 'fire' | 'end' | 'endUnheard'; device: number }
  | { do: 'repeat'; from: number }
  | { do: 'wait'; seconds: number }
  | { do: 'acknowledge'; device: number }
  | { do: 'die'; death: Death }

const device = fc.nat(2)
const steps = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.record({ do: fc.constant('fire' as const), device }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant('end' as const), device }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('endUnheard' as const), device }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('repeat' as const), from: fc.nat(5) }) },
    {
      weight: 2,
      arbitrary: fc.record({ do: fc.constant('wait' as const), seconds: fc.nat(400) }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('acknowledge' as const), device }) },
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constant('die' as const),
        death: fc.record({ atWrite: fc.nat(4), isWritten: fc.boolean() }),
      }),
    },
  ),
  { maxLength: 40 },
)

/** What happened, and what is known of it from the words of the issue alone. */
class Story {
  readonly events: RuleEvent[] = []
  /** Before that nothing is sent again: the stream's checkpoint. */
  checkpoint = 0
  readonly #firing = new Map<number, RuleEvent>()
  readonly unheard = new Set<string>()
  #count = 0

  fire(which: number, nowUs: number): RuleEvent {
    const event = eventOf(this.#count++, nowUs, { deviceId: `d-${which}` })
    this.#firing.set(which, event)
    return event
  }

  end(which: number, nowUs: number): RuleEvent | undefined {
    const event = this.#firing.get(which)
    this.#firing.delete(which)
    return event && endOf(event, nowUs)
  }

  endUnheard(which: number, nowUs: number): RuleEvent {
    this.#firing.delete(which)
    const event = eventOf(this.#count++, nowUs, { deviceId: `d-${which}` })
    this.unheard.add(event.id)
    return endOf(event, nowUs)
  }
}

class Driver {
  readonly story = new Story()
  bench!: AlertBench
  #death: Death | undefined
  #process: Process | undefined

  wrap = (database: ControlDatabase, process: Process): ControlDatabase => {
    this.#process = process
    return {
      select: (...asked) => database.select(...asked),
      count: (...asked) => database.count(...asked),
      insert: (...asked) => database.insert(...asked),
      close: () => database.close(),
      write: async (changes) => {
        const death = this.#death
        if (death === undefined || death.atWrite-- > 0) return database.write(changes)
        this.#death = undefined
        // What is said too early gets out before that.
        if (!death.isWritten) {
          await new Promise<void>((resolve) => void this.bench.clock.after(5, resolve))
          process.isDead = true
        }
        const isDone = death.isWritten && (await database.write(changes))
        process.isDead = true
        return isDone
      },
    }
  }

  async step(step: Step): Promise<void> {
    const { story } = this
    const nowUs = this.bench.clock.nowUs()
    switch (step.do) {
      case 'fire':
        return this.#give([story.end(step.device, nowUs), story.fire(step.device, nowUs)])
      case 'end':
        return this.#give([story.end(step.device, nowUs)])
      case 'endUnheard':
        return this.#give([story.end(step.device, nowUs), story.endUnheard(step.device, nowUs)])
      case 'repeat':
        return this.#give(story.events.slice(-step.from), true)
      case 'wait':
        return this.wait(step.seconds * 1000)
      case 'acknowledge':
        return this.#acknowledge(step.device)
      case 'die':
        this.#death = step.death
    }
  }

  async #give(events: readonly (RuleEvent | undefined)[], isRepeat = false): Promise<void> {
    const given = events.filter((event) => event !== undefined)
    if (!isRepeat) this.story.events.push(...given)
    this.bench.opened.feed.take(given).catch(() => undefined)
    await this.wait(100)
    // The stream goes on from here only when all was taken.
    this.story.checkpoint = this.story.events.length
  }

  async #acknowledge(which: number): Promise<void> {
    const found = this.bench.opened.alerts
      .list(TENANT, { deviceId: `d-${which}`, limit: 1 })
      .then(([alert]) =>
        alert === undefined
          ? undefined
          : this.bench.opened.alerts.act(TENANT, alert.id, { do: 'acknowledge' }, 'ada'),
      )
    found.catch(() => undefined)
    await this.wait(100)
  }

  /** Each death is followed by a start, and what is behind the checkpoint comes again. */
  async wait(ms: number): Promise<void> {
    await this.bench.clock.run(ms)
    while (this.#process?.isDead === true) {
      await this.bench.restart()
      this.bench.opened.feed
        .take(this.story.events.slice(this.story.checkpoint))
        .catch(() => undefined)
      await this.bench.clock.run(100)
    }
  }

  async finish(): Promise<void> {
    this.#death = undefined
    await this.wait(100)
    await this.bench.restart()
    // From the first checkpoint that there ever was.
    await during(this.bench, this.bench.opened.feed.take(this.story.events))
    await this.wait(1_900_000)
  }
}

async function check({ bench, story }: Driver): Promise<void> {
  const { opened, told } = bench
  const alerts = await opened.alerts.list(TENANT, { limit: 1000 })
  const histories = new Map<string, HistoryEntry[]>()
  for (const { id } of alerts) histories.set(id, await opened.alerts.history(TENANT, id))
  const entries = [...histories.values()].flat()
  const countOf = (id: string, ...what: string[]): number =>
    entries.filter((entry) => entry.episodeId === id && what.includes(entry.what)).length
  const bodies = new Map<string, string>()
  for (const { atUs: _, topic: __, ...body } of told) {
    const text = JSON.stringify(body)
    assert.equal(bodies.get(body.id) ?? text, text, 'one key, the same bytes')
    bodies.set(body.id, text)
  }
  const ids = new Set(story.events.map(({ id }) => id))
  for (const id of ids) {
    assert.equal(countOf(id, 'fired', 'reopened'), 1, `${id} is in the history once`)
    const hasEnded = story.events.some((event) => event.id === id && event.state === 'resolved')
    assert.equal(countOf(id, 'resolved'), hasEnded ? 1 : 0, `the end of ${id}`)
  }
  assert.equal(
    alerts.reduce((sum, { occurrences }) => sum + occurrences, 0),
    ids.size,
  )
  for (const { alert } of told) {
    const episodes = histories.get(alert.id)!.flatMap(({ episodeId = [] }) => episodeId)
    assert.ok(
      episodes.some((id) => !story.unheard.has(id)),
      'one of its episodes was heard of',
    )
  }
  // One whose first episode was heard of when it fired was told.
  for (const { id } of alerts) {
    if (!story.unheard.has(id))
      assert.ok(
        told.some(({ alert }) => alert.id === id),
        `${id} is told`,
      )
  }
}

test('A2 A3 whatever dies whenever: each episode is in the history once, and told with one key', async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (all) => {
      const driver = new Driver()
      driver.bench = await openAlertBench({ wrap: driver.wrap })
      const { bench } = driver
      const rateLimit = { messages: 1000, perUs: 1_000_000 }
      await during(bench, bench.recipients.put(TENANT, 'ada', recipient('ada', { rateLimit })))
      for (const step of all) await driver.step(structuredClone(step))
      await driver.finish()
      await check(driver)
      await bench.close()
    }),
    { numRuns: 60 },
  )
})
