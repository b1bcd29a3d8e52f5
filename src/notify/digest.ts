/**
 * What to send of what waits for one recipient, when there are fewer tokens than notifications: one
 * message about all of them. A token is kept back for a critical alert of a rule of which the
 * recipient has not heard yet, so a storm of one rule does not hide the fire beside it.
 */
import {
  DIGEST_IDS_MAX,
  DIGEST_NAMES_MAX,
  type Alert,
  type Digest,
  type Notification,
} from './notify.ts'

export interface WaitingState {
  /** Tokens there are now (token-bucket.ts), of how many. */
  tokens: number
  tokensMax: number
  /** Rules of which the recipient heard within the period of the limit. */
  toldRules: ReadonlySet<string>
}

/** Each message takes one token; every notification that waited is in exactly one or in `rest`. */
export interface SendPlan {
  messages: (readonly Notification[])[]
  rest: readonly Notification[]
}

/** Known severities, the gravest first; others stand between `warning` and `info`. */
const RANKS: Record<string, number> = { critical: 0, error: 1, warning: 2, info: 4 }
const rankOf = ({ severity }: Pick<Alert, 'severity'>): number => RANKS[severity] ?? 3

export const isGraver = (severity: string, than: string): boolean =>
  rankOf({ severity }) < rankOf({ severity: than })

/** `waiting` in the order in which they came; of one rank the first comes first. */
export function planMessages(waiting: readonly Notification[], state: WaitingState): SendPlan {
  const { tokensMax, toldRules } = state
  let { tokens } = state
  const messages: Notification[][] = []
  let rest = waiting.toSorted((one, other) => urgency(one, toldRules) - urgency(other, toldRules))
  const reserved = tokensMax > 1 ? 1 : 0
  const [first] = rest
  if (first !== undefined && tokens > 0 && isUrgent(first, toldRules)) {
    messages.push([first])
    rest = rest.slice(1)
    // It may have been the one that was kept back.
    tokens--
  }
  const free = Math.max(0, tokens - reserved)
  if (rest.length === 0 || free === 0) return { messages, rest }
  if (rest.length <= free) return { messages: [...messages, ...rest.map((one) => [one])], rest: [] }
  return { messages: [...messages, rest], rest: [] }
}

/** News of something critical, of a rule that is new to the recipient. */
export const isUrgent = (
  { alert, change }: Notification,
  toldRules: ReadonlySet<string>,
): boolean => alert.severity === 'critical' && change !== 'resolved' && !toldRules.has(alert.ruleId)

const urgency = (notification: Notification, toldRules: ReadonlySet<string>): number =>
  isUrgent(notification, toldRules) ? -1 : rankOf(notification.alert)

/** One message about all; the first, by planMessages() the gravest, is shown in full. */
export function toDigest(
  notifications: readonly Notification[],
  { id, createdAtUs, link }: Pick<Notification, 'id' | 'createdAtUs' | 'link'>,
): Notification {
  const [first] = notifications
  if (first === undefined) throw new TypeError('a digest of nothing')
  const alerts = notifications.map(({ alert }) => alert)
  const digest: Digest = {
    count: notifications.length,
    bySeverity: countBy(alerts, ({ severity }) => severity),
    byRule: countBy(alerts, ({ ruleId }) => ruleId),
    byDevice: countBy(alerts, ({ deviceId }) => deviceId),
    alertIds: alerts.slice(0, DIGEST_IDS_MAX).map((alert) => alert.id),
  }
  return { ...first, id, createdAtUs, link, digest }
}

/** The largest counts. A device may be called `__proto__`: it becomes a property like others. */
function countBy(alerts: Alert[], nameOf: (alert: Alert) => string): Record<string, number> {
  const counts = new Map<string, number>()
  for (const alert of alerts) counts.set(nameOf(alert), (counts.get(nameOf(alert)) ?? 0) + 1)
  const largest = [...counts].sort(([, one], [, other]) => other - one).slice(0, DIGEST_NAMES_MAX)
  return Object.fromEntries(largest)
}
