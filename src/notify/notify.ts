/**
 * The sending half of notifications: channels that bring one message to one receiver, and the
 * policy of when to send (`backoff.ts` to `escalation.ts`, pure). Who gets what, episodes of alerts
 * and the durable outbox are in `src/alerts/`.
 *
 * What a channel promises:
 *
 * N1 send() resolves once the receiver has taken the notification over, and not before: an answer
 *    of 2xx, an SMTP server's 250, a message id of SNS or SQS.
 * N2 Errors are NOTIFY_ENDPOINT_INVALID, NOTIFY_ADDRESS_FORBIDDEN, NOTIFY_REFUSED (another try of
 *    the same cannot help) and NOTIFY_UNAVAILABLE (it can: no answer, too late, too busy);
 *    `retryAfterMsOf()` tells how long the receiver asked us to wait.
 * N3 A notification may arrive twice, never half. Each try of one carries the same idempotency key
 *    to where its receiver can see it.
 * N4 send() ends within the channel's time-out, whatever the receiver does, and holds nothing of it
 *    afterwards.
 * N5 No error holds a secret: not a password, a signing secret, nor the path of an address, which
 *    often is one.
 * N6 What devices and rules say stays text: it becomes no header, no markup, no other receiver.
 */
import { WeirError } from '../errors/errors.ts'

export { BACKOFF, backoffMs } from './backoff.ts'
export { CircuitBreaker } from './circuit-breaker.ts'
export { isGraver, isUrgent, planMessages, toDigest } from './digest.ts'
export { checkEndpoint, type EndpointRules, type Resolve } from './endpoint.ts'
export { escalate } from './escalation.ts'
export { isMailbox } from './mailbox.ts'
export { decide } from './preferences.ts'
export { refusalOfQuietHours, type QuietHours } from './quiet-hours.ts'
export { TokenBucket, type RateLimit } from './token-bucket.ts'

export { notificationBody } from './body.ts'

export interface Channel {
  /** N1 to N6. `idempotencyKey` is printable ASCII without spaces, of at most 128 characters. */
  send(notification: Notification, idempotencyKey: string): Promise<void>
  /** What is under way ends as if the receiver had gone away. */
  close(): void
}

/** Why somebody is told now. */
export type Change = 'opened' | 'reopened' | 'escalated' | 'reminded' | 'resolved'

/** A value that a rule looked at. */
export type Value = number | boolean | string

export interface Alert {
  id: string
  deviceId: string
  ruleId: string
  /** `critical`, `warning`, `info` or whatever a rule says. */
  severity: string
  state: 'firing' | 'resolved'
  /** The first breach: what "since" means. At most as late as `triggeredAtUs`. */
  sinceUs: number
  triggeredAtUs: number
  resolvedAtUs?: number
  /** Times that it fired in this episode, from 1. */
  occurrences: number
  /** The rule's text: `temperature > 80`. */
  condition: string
  metric?: string
  unit?: string
  value?: Value
  threshold?: Value
  /** The last value that was no breach. */
  valueBefore?: Value
}

/** Many alerts in one message; `alert` of the notification is the gravest of them. */
export interface Digest {
  /** All alerts of it, the shown one included. */
  count: number
  bySeverity: Record<string, number>
  /** The largest counts, at most DIGEST_NAMES_MAX of each. */
  byRule: Record<string, number>
  byDevice: Record<string, number>
  /** The first ones, at most DIGEST_IDS_MAX; all of them are in the history. */
  alertIds: readonly string[]
}

export const DIGEST_IDS_MAX = 20
export const DIGEST_NAMES_MAX = 10

/** Readings around the breach, in the order of their times. */
export interface ChartReadings {
  timesUs: readonly number[]
  values: readonly number[]
}

export interface Notification {
  id: string
  change: Change
  /** When it was written, which is what "for so long" counts up to. */
  createdAtUs: number
  alert: Alert
  digest?: Digest
  /** Where a person sees and acknowledges it. */
  link: string
  chart?: ChartReadings
}

/** Undefined when the receiver named no time. */
export function retryAfterMsOf(error: unknown): number | undefined {
  if (!(error instanceof WeirError)) return undefined
  const { retryAfterMs } = error.details
  return typeof retryAfterMs === 'number' ? retryAfterMs : undefined
}

const KEY = /^[\x21-\x7e]{1,128}$/

/** A key goes into headers of several protocols; a bad one is a bug of ours. */
export function checkKey(idempotencyKey: string): void {
  if (!KEY.test(idempotencyKey)) throw new WeirError('INTERNAL_FAULT', 'a bad idempotency key')
}
