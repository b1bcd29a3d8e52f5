/**
 * Alerts of the embedded engine, on the main thread: rule events come from the stream, which makes
 * no checkpoint before they are durable here; rules go into the log by the gateway.
 */
import type { AlertRecord, Alerts } from '../alerts/alerts.ts'
import { openAlerts, type OpenAlerts } from '../alerts/open-alerts.ts'
import type { PublishedRuleBook } from '../alerts/rule-book.ts'
import type { Config } from '../config/config.ts'
import type { SqliteControl } from '../control/sqlite-control.ts'
import type { Events, MetricSample } from '../observe/observe.ts'
import type { Plan } from '../pipeline/pipeline.ts'
import { nodeWorld } from '../world/node-world.ts'
import { alertParts } from './alert-parts.ts'
import { RuleEventQueue } from './rule-event-queue.ts'
import type { Threads } from './start-threads.ts'
import type { RuleEventsMessage } from './threads.ts'

export interface AlertStageParts {
  config: Config
  plan: Plan
  control: SqliteControl
  threads: Pick<Threads, 'gateway' | 'stream' | 'storage'>
  tenant: string
  events: Events | undefined
  /** Alerts as they now are, for those who watch. */
  changed: (alerts: readonly AlertRecord[]) => void
}

export class AlertStage {
  readonly alerts: Alerts
  readonly #tenant: string
  readonly #open: OpenAlerts
  readonly #rules: PublishedRuleBook
  readonly #queue: RuleEventQueue

  constructor({ config, plan, control, threads, tenant, events, changed }: AlertStageParts) {
    const parts = alertParts({
      ...{ config, plan, control, database: control.database, query: threads.storage },
      publisher: { publish: (changes) => threads.gateway.changeRules([...changes]) },
      onProblem: (problem) => events?.roleFailed({ role: 'rules', problem }),
    })
    this.#tenant = tenant
    this.#rules = parts.rules
    this.#open = openAlerts({ ...parts, changed })
    this.alerts = this.#open.alerts
    this.#queue = new RuleEventQueue({
      clock: nodeWorld.clock,
      take: (ruleEvents) => this.#open.feed.take(ruleEvents),
      taken: (offset) => void threads.stream.alertsTaken(offset),
      failed: (error) => {
        void threads.stream.alertsFailing()
        events?.roleFailed({ role: 'alerts', problem: String(error) })
      },
    })
  }

  /** Once the gateway takes rules. */
  start(): Promise<void> {
    this.#open.start()
    return this.#rules.start()
  }

  /** From the stream. */
  take(message: RuleEventsMessage): void {
    this.#queue.push(message)
  }

  /**
   * The stream has lost its state: the end of what fired until `atUs`, the last commit, will never
   * come. What fired since is replayed. Call it before the replay.
   */
  loseState(atUs: number): Promise<void> {
    return this.#open.resolveAll(this.#tenant, atUs)
  }

  erase(...[erasure]: Parameters<OpenAlerts['erase']>): ReturnType<OpenAlerts['erase']> {
    return this.#open.erase(erasure)
  }

  metrics(): MetricSample[] {
    return this.#open.metrics()
  }

  stop(): Promise<void> {
    this.#rules.close()
    return this.#open.stop()
  }
}
