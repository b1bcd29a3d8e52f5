/**
 * Alerts: what people are told, made of what rules say. A rule event is one *episode* of one rule
 * on one device; an *alert* is what a person deals with: episodes that follow each other closely
 * are one alert, with its acknowledgement, notes and history.
 *
 * A1 take() resolves once the events, the alerts that they change and the notifications that follow
 *    are durable, in one transaction. The same event again changes nothing, in whatever order.
 * A2 Every episode is in the history once. An alert's id is that of its first episode.
 * A3 A notification is durable before its first try, and tried until its receiver took it over,
 *    refused it for good, or its life is over; each try carries the same idempotency key. There is
 *    none for an episode that never was.
 * A4 A recipient gets at most as many messages as its rate limit says; what is beyond is told in a
 *    digest. The history has all alerts.
 * A5 One slow or dead endpoint delays nobody else.
 * A6 Definitions change only from the revision that their editor saw: CONTROL_REVISION_STALE.
 */
import type { QuietHours } from '../notify/notify.ts'
import type { RuleDefinition } from '../pipeline/pipeline.ts'
import type { RuleEvent } from '../stream/stream.ts'

/** The stage behind the stream: one process at a time. */
export interface AlertFeed {
  /** A1. Events in the order of the log. Errors: CONTROL_UNAVAILABLE, CONTROL_WRITE_FAILED. */
  take(events: readonly RuleEvent[]): Promise<void>
}

/** What API and command line ask. Any number of processes. */
export interface Alerts {
  readonly rules: RuleBook
  readonly recipients: Book<Recipient>
  readonly silences: Book<Silence>
  /** The newest first; of one time in the order of their ids. */
  list(tenant: string, filter: AlertFilter): Promise<AlertRecord[]>
  find(tenant: string, id: string): Promise<AlertRecord | undefined>
  /** In the order in which it happened. */
  history(tenant: string, id: string): Promise<HistoryEntry[]>
  /** The newest first: of an alert, of a recipient, or of a state. */
  deliveries(tenant: string, filter: DeliveryFilter): Promise<Delivery[]>
  /** The alert as it then is. Errors: ALERT_UNKNOWN. */
  act(tenant: string, id: string, action: AlertAction, by: string): Promise<AlertRecord>
  /** A dead letter is tried again from its beginning. Errors: ALERT_DELIVERY_UNKNOWN. */
  retry(tenant: string, deliveryId: string): Promise<Delivery>
  /** Sends a message that says that it is a test; throws as Channel.send() does. */
  test(tenant: string, recipientId: string): Promise<void>
}

export interface AlertFilter {
  deviceId?: string
  ruleId?: string
  state?: AlertState
  severity?: string
  /** The last one of the page before. */
  after?: Pick<AlertRecord, 'triggeredAtUs' | 'id'>
  limit: number
}

export type AlertState = 'firing' | 'resolved'

export interface AlertRecord {
  id: string
  tenant: string
  deviceId: string
  ruleId: string
  /** Of the newest episode, as all of what follows unless it says otherwise. */
  ruleVersion: number
  severity: string
  state: AlertState
  /** Of the first episode. */
  triggeredAtUs: number
  /** Of the first breach of the newest episode. */
  sinceUs: number
  resolvedAtUs: number | undefined
  /** Episodes so far. */
  occurrences: number
  /** It comes and goes so often that it is folded into one alert for longer. */
  isFlapping: boolean
  acknowledged: { by: string; atUs: number } | undefined
  snoozedUntilUs: number | undefined
  /** Why nobody is told: the id of a silence, or of the alert of the parent. */
  suppressedBy: { silence: string } | { parentAlert: string } | undefined
  /** What the newest event said. */
  reason: RuleEvent['reason']
  values: Record<string, number>
}

export type AlertAction =
  | { do: 'acknowledge'; note?: string }
  /** Nobody is told anything of it until then, unless it becomes graver. */
  | { do: 'snooze'; untilUs: number }
  | { do: 'wake' }
  | { do: 'note'; text: string }

export interface HistoryEntry {
  atUs: number
  what: 'fired' | 'reopened' | 'resolved' | 'flapping' | AlertAction['do'] | 'escalated'
  by?: string
  text?: string
  /** Of `fired`, `reopened` and `resolved`. */
  episodeId?: string
}

export type DeliveryState = 'waiting' | 'delivered' | 'dead' | 'suppressed'

/** One message to one channel of a recipient, or a notification that became none. */
export interface Delivery {
  /** Also the idempotency key. */
  id: string
  recipientId: string
  channel: string
  alertIds: readonly string[]
  change: string
  state: DeliveryState
  createdAtUs: number
  attempts: number
  nextTryAtUs: number | undefined
  deliveredAtUs: number | undefined
  /** The last refusal, or why it was suppressed. Holds no secret. */
  problem: string | undefined
}

export interface DeliveryFilter {
  alertId?: string
  recipientId?: string
  state?: DeliveryState
  limit: number
}

/** A definition as it is kept. */
export interface Kept<T> {
  id: string
  /** From 1 on; what an ETag says. Goes on over a removal. */
  revision: number
  updatedAtUs: number
  value: T
}

/** Definitions that people edit. Errors of all calls: CONTROL_UNAVAILABLE, CONTROL_WRITE_FAILED. */
export interface Book<T> {
  /** In the order of their ids' bytes. */
  list(tenant: string, page: { after?: string; limit: number }): Promise<Kept<T>[]>
  find(tenant: string, id: string): Promise<Kept<T> | undefined>
  /**
   * `expected`: the revision it must have, 0 for one that must not exist, undefined for any.
   * Resolves once durable. Errors: CONTROL_REVISION_STALE, with `details.current` (a Kept, or
   * null), and those of the definition's own checks.
   */
  put(tenant: string, id: string, value: T, expected?: number): Promise<Kept<T>>
  /** False when there was none. Errors: as put(). */
  remove(tenant: string, id: string, expected?: number): Promise<boolean>
}

/** A rule as people write it, without its id; a rule's version is its revision. */
export type RuleText = Omit<RuleDefinition, 'id' | 'version'>

/**
 * Rules that come and go while the pipeline runs. What is put is compiled against the plan's types
 * and takes effect at a place of the log, which it has when put() resolves.
 * Errors of put(): also PIPELINE_RULE_INVALID, PIPELINE_DEFINITION_INVALID, and
 * RULE_OF_DEFINITION for an id of the pipeline definition.
 */
export interface RuleBook extends Book<RuleText> {
  /** Those of the pipeline definition, which are edited there. */
  readonly ofDefinition: readonly RuleDefinition[]
}

export type ChannelDefinition =
  | { type: 'webhook'; url: string; secret: string }
  | { type: 'slack'; url: string }
  | { type: 'email'; to: string }
  | { type: 'sns'; topicArn: string }
  | { type: 'sms'; phoneNumber: string }
  | { type: 'sqs'; queueUrl: string }
  | { type: 'mqtt'; topic: string }

/** Who is told, how, and how often. Secrets are kept, and never given out. */
export interface Recipient {
  name: string
  channels: ChannelDefinition[]
  /** Those that are wanted; without, all. */
  severities?: string[]
  /** Only of these rules, or devices; without, of all. */
  rules?: string[]
  devices?: string[]
  quietHours?: QuietHours
  /** Severities that quiet hours do not hold; `critical` without. */
  disturbing?: string[]
  rateLimit?: { messages: number; perUs: number }
  /** Told when an alert ends, too. */
  isToldOfEnds?: boolean
  /** Who is told in place of this one when nobody acknowledges. */
  escalation?: { afterUs: number; recipientIds: string[] }[]
}

/**
 * Alerts that match are recorded, and nobody is told: a silence, or with a repetition a
 * maintenance window. What is left out matches all.
 */
export interface Silence {
  comment: string
  deviceId?: string
  ruleId?: string
  severity?: string
  fromUs: number
  untilUs: number
  /** Within these hours only, of these days (1 is Monday). */
  hours?: QuietHours
  days?: number[]
}
