/** Alerts on a real database, with people's definitions, a clock that is moved and one receiver. */
import { openControl, type SqliteControl } from '../control/sqlite-control.ts'
import type { ControlDatabase } from '../control/control.ts'
import type { RuleEvent } from '../stream/stream.ts'
import { createSeededRandom } from '../world/memory-disk.ts'
import { SimulatedClock } from '../world/simulated-clock.ts'
import type { Book, Recipient, RuleBook, Silence } from './alerts.ts'
import { openRecipients, openSilences } from './books.ts'
import { openAlerts, type AlertOptions, type AlertParts, type OpenAlerts } from './open-alerts.ts'

export const TENANT = 'default'
export const SECOND_US = 1_000_000
export const MINUTE_US = 60_000_000

/** An event of a rule on a device; `n` makes it another episode. */
export function eventOf(
  n: number | string,
  atUs: number,
  change: Partial<RuleEvent> = {},
): RuleEvent {
  return {
    ...{ id: `e-${n}`, tenant: TENANT, ruleId: 'hot', ruleVersion: 1, severity: 'warning' },
    ...{ deviceId: 'pump-01', state: 'firing', triggeredAtUs: atUs, resolvedAtUs: undefined },
    ...{ breachEventTimeUs: atUs, values: { temperature: 93 } },
    reason: { kind: 'condition', condition: 'temperature > 80', metric: 'temperature', value: 93 },
    ...change,
  }
}

export const endOf = (event: RuleEvent, atUs: number): RuleEvent => ({
  ...event,
  ...{ state: 'resolved', resolvedAtUs: atUs },
})

export interface Told {
  topic: string
  atUs: number
  id: string
  change: string
  alert: { id: string; device_id: string; rule_id: string; severity: string; state: string }
  digest?: { count: number; alert_ids: string[] }
}

/** To a topic of the recipient's own name; what it is sent stands in `told`. */
export const recipient = (topic: string, change: Partial<Recipient> = {}): Recipient => ({
  name: topic,
  channels: [{ type: 'mqtt', topic }],
  ...change,
})

export interface AlertBench {
  clock: SimulatedClock
  control: SqliteControl
  recipients: Book<Recipient>
  silences: Book<Silence>
  parents: Map<string, string>
  told: Told[]
  opened: OpenAlerts
  /** Instead of taking what is sent. */
  refuse: (topic: string) => Error | undefined
  /** As after a crash: of the process before nothing more is heard. */
  restart(): Promise<void>
  close(): Promise<void>
}

export interface BenchOptions {
  path?: string
  options?: Partial<AlertOptions>
  /** What a process sees of the database; it may die of it. */
  wrap?: (database: ControlDatabase, process: Process) => ControlDatabase
}

/** One that is dead hears and says nothing more. */
export interface Process {
  isDead: boolean
}

const never = <T>(): Promise<T> => new Promise(() => undefined)

/** Nothing of a dead process gets through. */
function ofProcess(database: ControlDatabase, process: Process): ControlDatabase {
  const alive = async <T>(asked: () => Promise<T>): Promise<T> => {
    if (process.isDead) return never()
    const answer = await asked()
    return process.isDead ? never() : answer
  }
  return {
    select: (...asked) => alive(() => database.select(...asked)),
    count: (...asked) => alive(() => database.count(...asked)),
    insert: (...asked) => alive(() => database.insert(...asked)),
    write: (changes) => alive(() => database.write(changes)),
    close: () => database.close(),
  }
}

export async function openAlertBench(given: BenchOptions = {}): Promise<AlertBench> {
  const clock = new SimulatedClock()
  const random = createSeededRandom(7)
  const world = { clock, random }
  const control = openControl({ path: given.path ?? ':memory:', world })
  let process: Process = { isDead: false }
  const parts = (own: Process): AlertParts => ({
    database: ofProcess(given.wrap?.(control.database, own) ?? control.database, own),
    ...{ world, recipients: bench.recipients, silences: bench.silences },
    rules: undefined as unknown as RuleBook,
    options: {
      ...{ publicUrl: 'https://weir.example', retentionUs: 90 * 86_400 * SECOND_US },
      allowPrivateWebhooks: false,
      async publish(topic, payload) {
        if (own.isDead) return never()
        const refusal = bench.refuse(topic)
        if (refusal !== undefined) throw refusal
        bench.told.push({ topic, atUs: clock.nowUs(), ...(JSON.parse(payload) as object) } as Told)
      },
      ...given.options,
    },
    parentOf: async (_, deviceId) => bench.parents.get(deviceId),
  })
  const bench: AlertBench = {
    ...{ clock, control },
    recipients: openRecipients({ database: control.database, clock, endpoint: {} }),
    silences: openSilences({ database: control.database, clock }),
    ...{ parents: new Map(), told: [], refuse: () => undefined },
    opened: undefined as unknown as OpenAlerts,
    async restart() {
      process.isDead = true
      process = { isDead: false }
      bench.opened = openAlerts(parts(process))
      bench.opened.start()
      await clock.run(1)
    },
    async close() {
      const stopped = bench.opened.stop()
      await clock.run(5000)
      await stopped
      await control.close()
    },
  }
  await bench.restart()
  return bench
}

/** Takes them, and lets what follows at once happen. */
export const take = (bench: AlertBench, ...events: RuleEvent[]): Promise<void> =>
  during(bench, bench.opened.feed.take(events))

/** Flushes need the clock to go on. */
export async function during<T>({ clock }: AlertBench, asked: Promise<T>): Promise<T> {
  // Whoever asked hears of a failure.
  asked.catch(() => undefined)
  await clock.run(20)
  return asked
}
