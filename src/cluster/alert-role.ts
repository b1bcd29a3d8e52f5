/**
 * Alerts on a cluster. Every control process answers what people ask and edits what they edit; one
 * of them, by a lease, makes alerts of the events topic and sends what is due. When it ends, or
 * only its connection to PostgreSQL does, another one goes on from the rows and the offsets.
 */
import type { AlertFeed, Alerts } from '../alerts/alerts.ts'
import { openAlerts, type AlertParts, type OpenAlerts } from '../alerts/open-alerts.ts'
import type { PublishedRuleBook } from '../alerts/rule-book.ts'
import type { MetricSample } from '../observe/observe.ts'
import type { PostgresWriter } from '../postgres/postgres.ts'
import { openPostgresWriter } from '../postgres/writer.ts'
import type { RuleEvent } from '../stream/stream.ts'
import { nodeWorld } from '../world/node-world.ts'
import { postgresAccess } from './accesses.ts'
import { AlertTarget } from './alert-target.ts'
import type { Shared } from './cluster.ts'
import { metric } from './metrics.ts'
import type { TopicRulePublisher } from './rule-publisher.ts'
import { TopicWriter } from './topic-writer.ts'
import { steadyTopic, type Topics } from './topics.ts'

/** Between two looks for a next generation of the topics. */
const LOOK_MS = 1000
/** Offsets alone are written, one after the other. */
const CONNECTIONS = 1

export interface AlertRoleParts extends AlertParts {
  rules: PublishedRuleBook
  /** Ends with the role. */
  publisher: TopicRulePublisher
}

export class AlertRole {
  readonly alerts: Alerts
  /** Of any control process. */
  readonly erase: OpenAlerts['erase']
  readonly #parts: AlertRoleParts
  readonly #writer: PostgresWriter
  readonly #target: AlertTarget
  readonly #work: TopicWriter<RuleEvent[]>
  /** Set while this process has the lease: each time has one of its own. */
  #life: OpenAlerts | undefined
  #ended: Promise<void> = Promise.resolve()
  readonly #topics: Topics
  #endLooking: () => void = () => {}

  /** Errors: STORAGE_UNAVAILABLE, DATA_FORMAT_NEWER. */
  static async open(shared: Shared, parts: AlertRoleParts): Promise<AlertRole> {
    const writer = await openPostgresWriter({
      place: postgresAccess(shared.config),
      clock: nodeWorld.clock,
      connections: CONNECTIONS,
    })
    return new AlertRole(shared, parts, writer)
  }

  private constructor(shared: Shared, parts: AlertRoleParts, writer: PostgresWriter) {
    const { topics, events, config } = shared
    const { batchBytesMax: bytesMax, intervalUs } = config.writer
    this.#parts = parts
    this.#topics = topics
    this.#writer = writer
    // Asks and edits by the database alone: it is never started.
    const asked = openAlerts(parts)
    this.alerts = asked.alerts
    this.erase = (erasure) => asked.erase(erasure)
    this.#target = new AlertTarget({
      writer,
      begin: () => this.#begin(),
      end: () => this.#end(),
      malformed: (topic, offset, { code, message: detail }) =>
        events?.entryMalformed({ topic, offset, code, detail }),
    })
    this.#work = new TopicWriter({
      ...{ kafka: topics.kafka, clock: nodeWorld.clock, target: this.#target },
      topic: steadyTopic(topics, 'events'),
      options: { bytesMax, waitMs: intervalUs / 1000 },
      lost: (fields) => events?.entriesLost(fields),
      failed: (error) => events?.roleFailed({ role: 'alerts', problem: String(error) }),
    })
  }

  start(): void {
    this.#work.start()
  }

  metrics(): MetricSample[] {
    const isActive = this.#life === undefined ? 0 : 1
    return [
      metric('weir_alerts_is_active', '1 in the process that makes and sends alerts.', isActive),
      ...(this.#life?.metrics() ?? []),
    ]
  }

  async stop(): Promise<void> {
    this.#parts.rules.close()
    await this.#work.stop()
    await this.#ended
    await this.#parts.publisher.close()
    await this.#writer.close()
  }

  /** The log may know more or less of the rules than the store: what was cut off is made good. */
  async #begin(): Promise<AlertFeed> {
    await this.#ended
    // Counted first: partitions that come in between are told all once more.
    const { length } = await this.#topics.generations()
    await this.#parts.rules.publishAll()
    this.#endLooking = this.#lookForGrowth(length)
    const life = openAlerts(this.#parts)
    life.start()
    this.#life = life
    return life.feed
  }

  /** Partitions that are new know no rules: they are told all, before messages come to them. */
  #lookForGrowth(known: number): () => void {
    let count = known
    return nodeWorld.clock.every(LOOK_MS, () => {
      this.#topics.generations().then(
        async ({ length }) => {
          if (length === count) return
          count = length
          await this.#parts.rules.start()
        },
        // Kafka is away; it is asked again.
        () => undefined,
      )
    })
  }

  /** Nothing is sent from this moment on; what is on its way ends. */
  #end(): void {
    this.#endLooking()
    const life = this.#life
    this.#life = undefined
    if (life !== undefined) this.#ended = life.stop()
  }
}
