/**
 * The running half of alerts. Events, and what is due by itself, are worked out (`turn.ts`),
 * planned as messages (`outbox.ts`) and written as one; only then are they delivered. What waits
 * while a write is under way goes into the next one, so a storm costs a flush for many alerts.
 *
 * There is one engine to a database. What other processes change (a person acknowledges) shows by
 * its row's revision: then the turn is worked out again.
 */
import { WeirError } from '../errors/errors.ts'
import type { Clock } from '../world/world.ts'
import type { RuleEvent } from '../stream/stream.ts'
import type { AlertFeed, AlertRecord, Book, Recipient, Silence } from './alerts.ts'
import type { AlertTimes, LiveAlert } from './alert-machine.ts'
import { AlertMemory, deviceKeyOf, keyOf } from './alert-memory.ts'
import type { AlertMetrics } from './alert-metrics.ts'
import { messageChange, noticeChange, paceChange, type EpisodeRow } from './alert-rows.ts'
import type { AlertStore } from './alert-store.ts'
import { readDirectory } from './directory.ts'
import type { Dispatcher } from './dispatcher.ts'
import { OutboxLanes, type PlannedLane } from './outbox-lanes.ts'
import type { Directory } from './recipients.ts'
import { dueOf, Turn, type TurnParts } from './turn.ts'

export interface EngineParts {
  clock: Clock
  store: AlertStore
  dispatcher: Dispatcher
  metrics: AlertMetrics
  recipients: Book<Recipient>
  silences: Book<Silence>
  /** Asked of devices that are silent. */
  parentOf: (tenant: string, deviceId: string) => Promise<string | undefined>
  times: AlertTimes
  /** For how long a message is tried. */
  lifeUs: number
  linkOf: (alertId: string | undefined) => string
  /** Alerts as they now are, once that is durable. */
  changed: (alerts: readonly AlertRecord[]) => void
}

/** Of one write. */
const EVENTS_MAX = 1000
const DUES_MAX = 500
/** How soon what another process did to an alert is seen. */
const POLL_MS = 5000
/** After a write that failed. */
const AGAIN_MS = 1000
/** Each time, what others changed is read anew; more than this, many people at once do not do. */
const STALE_MAX = 100
const HOUR_US = 3_600_000_000

interface Taken {
  events: readonly RuleEvent[]
  /** How many of them are durable. */
  done: number
  result: PromiseWithResolvers<void>
}

interface Work {
  events: RuleEvent[]
  keys: string[]
  acted: string[]
  nowUs: number
}

export class AlertEngine implements AlertFeed {
  readonly #parts: EngineParts
  readonly #memory = new AlertMemory()
  readonly #lanes = new OutboxLanes()
  readonly #queue: Taken[] = []
  #isLoaded = false
  #isStopped = false
  #mustPoll = true
  #running: Promise<void> | undefined
  #cancel: () => void = () => undefined
  #cancelPolling: () => void = () => undefined

  constructor(parts: EngineParts) {
    this.#parts = parts
    parts.metrics.watch({
      alerts: this.#memory.counts,
      notices: () => this.#lanes.waiting,
    })
  }

  start(): void {
    this.#cancelPolling = this.#parts.clock.every(POLL_MS, () => this.poll())
    this.poll()
  }

  /** What is under way ends; what is not durable then is not taken. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.#cancel()
    this.#cancelPolling()
    await this.#running
    this.#fail([...this.#queue], stopped())
  }

  take(events: readonly RuleEvent[]): Promise<void> {
    return events.length === 0 ? Promise.resolve() : this.#enqueue(events)
  }

  #enqueue(events: readonly RuleEvent[]): Promise<void> {
    if (this.#isStopped) return Promise.reject(stopped())
    const result = Promise.withResolvers<void>()
    this.#queue.push({ events, done: 0, result })
    this.#wake()
    return result.promise
  }

  /** Looks for what people did; its own process need not wait for the next time. */
  poll(): void {
    this.#mustPoll = true
    this.#wake()
  }

  /** The state of the stream was lost at `atUs`, so no end of what fired before will come. */
  async resolveAll(tenant: string, atUs: number): Promise<void> {
    // All that was given before is taken then, and what was kept is loaded.
    await this.#enqueue([])
    const firing = [...this.#memory.all()].filter(
      ({ record: { tenant: own, state }, newest }) =>
        own === tenant && state === 'firing' && newest.triggeredAtUs <= atUs,
    )
    await this.take(firing.map((alert) => endOf(alert, atUs)))
  }

  #wake(): void {
    if (this.#running !== undefined || this.#isStopped) return
    this.#running = this.#run().finally(() => {
      this.#running = undefined
      this.#arm()
    })
  }

  async #run(): Promise<void> {
    // What is given in one turn of the event loop is written as one.
    await Promise.resolve()
    while (!this.#isStopped && (await this.#step()));
  }

  /** For what is due by itself. */
  #arm(): void {
    this.#cancel()
    if (this.#isStopped) return
    if (this.#queue.length > 0 || this.#mustPoll) return this.#wakeSoon(0)
    const nextUs = Math.min(this.#memory.nextUs, this.#lanes.nextUs)
    if (nextUs === Infinity) return
    this.#wakeSoon((nextUs - this.#parts.clock.nowUs()) / 1000)
  }

  #wakeSoon(delayMs: number): void {
    // A timer beyond 2^31 ms would be called at once.
    const waitMs = Math.min(Math.max(delayMs, 1), 3_600_000)
    this.#cancel = this.#parts.clock.after(waitMs, () => this.#wake())
  }

  /** One write. False when there is nothing to do, or the database is away. */
  async #step(): Promise<boolean> {
    const taken: Taken[] = []
    try {
      if (!this.#isLoaded) await this.#load()
      const acted = this.#mustPoll ? await this.#readActed() : []
      const work = this.#collect(taken, acted)
      if (work === undefined) return false
      await this.#write(work)
      this.#settle(taken)
      return true
    } catch (error) {
      // It may have been written even so: what is remembered is read anew.
      this.#isLoaded = false
      this.#fail(taken.length > 0 ? taken : [...this.#queue], error)
      this.#parts.metrics.failed()
      await this.#pause()
      return false
    }
  }

  #pause(): Promise<void> {
    this.#mustPoll = true
    return new Promise((resolve) => void this.#parts.clock.after(AGAIN_MS, resolve))
  }

  #collect(taken: Taken[], acted: string[]): Work | undefined {
    const nowUs = this.#parts.clock.nowUs()
    const events: RuleEvent[] = []
    for (const one of this.#queue) {
      if (events.length >= EVENTS_MAX) break
      taken.push(one)
      events.push(...one.events.slice(one.done, one.done + EVENTS_MAX - events.length))
    }
    const keys = this.#memory.due(nowUs, DUES_MAX)
    const isIdle = taken.length + keys.length + acted.length === 0
    return isIdle && this.#lanes.nextUs > nowUs ? undefined : { events, keys, acted, nowUs }
  }

  #settle(taken: readonly Taken[]): void {
    let left = EVENTS_MAX
    for (const one of taken) {
      const more = Math.min(left, one.events.length - one.done)
      one.done += more
      left -= more
      if (one.done < one.events.length) break
      this.#queue.shift()
      one.result.resolve()
    }
  }

  #fail(taken: readonly Taken[], error: unknown): void {
    for (const one of taken) {
      this.#queue.splice(this.#queue.indexOf(one), 1)
      one.result.reject(error)
    }
  }

  async #write(work: Work): Promise<void> {
    for (let tries = 0; tries < STALE_MAX; tries++) {
      const parts = await this.#gather(work)
      const turn = new Turn(parts)
      for (const event of work.events) turn.take(event)
      for (const key of work.keys) turn.look(key)
      for (const key of work.acted) turn.look(key, true)
      const planned = this.#plan(turn, parts)
      if (await this.#parts.store.write(changesOf(turn, planned))) {
        this.#apply(turn, planned, work)
        return
      }
      await this.#refresh(turn.records)
    }
    throw new Error('the rows of alerts are not as they were written: two engines run')
  }

  async #gather({ events, keys, acted, nowUs }: Work): Promise<TurnParts> {
    const { recipients, silences, times, linkOf } = this.#parts
    const alerts = [...keys, ...acted].map((key) => this.#memory.find(key)?.record)
    const tenants = new Set([
      ...[...events, ...alerts].flatMap((one) => (one === undefined ? [] : [one.tenant])),
      ...this.#lanes.dueTenants(nowUs),
    ])
    const directories = new Map<string, Directory>()
    const episodes = new Map<string, EpisodeRow>()
    for (const tenant of tenants) {
      directories.set(tenant, await readDirectory(tenant, { recipients, silences }))
      const ids = events.filter((event) => event.tenant === tenant).map(({ id }) => id)
      const known = await this.#parts.store.episodes(tenant, [...new Set(ids)])
      for (const row of known) episodes.set(keyOf({ tenant, id: row.id }), row)
      await this.#remember(tenant, known)
    }
    const parents = await this.#parentsOf(events)
    return { memory: this.#memory, directories, episodes, parents, nowUs, times, linkOf }
  }

  /** An episode may end of an alert that was forgotten. */
  async #remember(tenant: string, episodes: readonly EpisodeRow[]): Promise<void> {
    const ids = episodes
      .filter(({ state, alertId }) => state === 'firing' && !this.#has(tenant, alertId))
      .map(({ alertId }) => alertId)
    for (const alert of await this.#parts.store.alerts(tenant, [...new Set(ids)])) {
      this.#memory.put(alert, undefined)
    }
  }

  #has(tenant: string, id: string): boolean {
    return this.#memory.find(keyOf({ tenant, id })) !== undefined
  }

  async #parentsOf(events: readonly RuleEvent[]): Promise<Map<string, string | undefined>> {
    const silent = new Map(
      events
        .filter(({ reason, state }) => reason.kind === 'silence' && state === 'firing')
        .map((event) => [deviceKeyOf(event.tenant, event.deviceId), event]),
    )
    const asked = [...silent].map(async ([key, { tenant, deviceId }]) => {
      const parent = await this.#parts.parentOf(tenant, deviceId)
      return [key, parent] as const
    })
    return new Map(await Promise.all(asked))
  }

  #plan({ fresh }: Turn, { directories, nowUs, linkOf }: TurnParts): PlannedLane[] {
    const { lifeUs } = this.#parts
    const snoozed = new Set(
      [...this.#memory.snoozed].filter(
        (key) => (this.#memory.find(key)?.record.snoozedUntilUs ?? 0) > nowUs,
      ),
    )
    return this.#lanes.plan(fresh, { directories, nowUs, lifeUs, linkOf, snoozed })
  }

  #apply(turn: Turn, planned: readonly PlannedLane[], { events, acted }: Work): void {
    const { metrics, dispatcher } = this.#parts
    turn.apply()
    this.#lanes.apply(planned)
    metrics.took(events.length)
    this.#parts.changed(turn.changedRecords)
    const notices = [...turn.suppressed, ...planned.flatMap((lane) => lane.notices)]
    for (const { state, problem } of notices) {
      if (state === 'suppressed') metrics.suppressed(problem ?? '')
    }
    dispatcher.add(planned.flatMap(({ messages }) => messages))
    if (acted.length > 0) dispatcher.poll()
    this.#memory.prune(this.#keptUs())
  }

  /** Events come in the order of the log, but not those of devices that lag behind others. */
  #keptUs(): number {
    const { times } = this.#parts
    return Math.max(HOUR_US, 2 * times.flapWithinUs, 2 * times.reopenUs)
  }

  async #readActed(): Promise<string[]> {
    const { store, dispatcher } = this.#parts
    this.#mustPoll = false
    dispatcher.poll()
    const acted = await store.actedAlerts()
    for (const alert of acted) this.#memory.put(alert, undefined)
    return acted.map(({ record }) => keyOf(record))
  }

  async #refresh(ids: readonly { tenant: string; id: string }[]): Promise<void> {
    for (const tenant of new Set(ids.map((one) => one.tenant))) {
      const own = ids.filter((one) => one.tenant === tenant).map(({ id }) => id)
      for (const alert of await this.#parts.store.alerts(tenant, own)) this.#memory.put(alert, 0)
    }
  }

  async #load(): Promise<void> {
    const { store, dispatcher, times } = this.#parts
    const alerts = await store.openAlerts(this.#keptUs())
    const [notices, paces] = [await store.waitingNotices(), await store.paces()]
    await dispatcher.load()
    this.#memory.clear()
    for (const alert of alerts) {
      const isHeld = alert.pending !== undefined
      this.#memory.put(alert, isHeld ? 0 : dueOf(alert, undefined, times))
    }
    this.#lanes.load(notices, paces)
    this.#isLoaded = true
  }
}

const changesOf = (turn: Turn, planned: readonly PlannedLane[]) => [
  ...turn.changes(),
  ...[...turn.suppressed, ...planned.flatMap(({ notices }) => notices)]
    .toSorted((one, other) => Number(one.revision > 0) - Number(other.revision > 0))
    .map(noticeChange),
  ...planned.flatMap(({ messages }) => messages).map((row) => messageChange(row)),
  ...planned.map(({ pace }) => paceChange(pace)),
]

const stopped = (): WeirError => new WeirError('CONTROL_UNAVAILABLE', 'the stage of alerts ended')

/** As the stream would have said it. */
function endOf({ record, newest }: LiveAlert, atUs: number): RuleEvent {
  const { tenant, ruleId, ruleVersion, severity, deviceId, sinceUs, values, reason } = record
  return {
    ...{ id: newest.id, tenant, ruleId, ruleVersion, severity, deviceId, state: 'resolved' },
    triggeredAtUs: newest.triggeredAtUs,
    resolvedAtUs: Math.max(atUs, newest.triggeredAtUs),
    ...{ breachEventTimeUs: sinceUs, values, reason },
  }
}
