/** Who hears of an alert, and whether now: what recipients want, and what rules say. Pure. */
import { decide, type Change, type Notification } from '../notify/notify.ts'
import type { AlertRecord, Kept, Recipient, Silence } from './alerts.ts'

/** What people defined, of one tenant, as of one moment. */
export interface Directory {
  recipients: ReadonlyMap<string, Recipient>
  silences: readonly Kept<Silence>[]
}

export interface Hearer {
  id: string
  recipient: Recipient
  /** The rule or a chain names this one: what it wants to hear otherwise does not count. */
  isNamed: boolean
}

/** Those whom the rule names; without, all who want to hear of this rule and device. */
export function hearersOf(record: AlertRecord, change: Change, directory: Directory): Hearer[] {
  const { notify } = record.reason
  const hearers =
    notify === undefined
      ? [...directory.recipients]
          .filter(([, recipient]) => wants(recipient, record))
          .map(([id, recipient]) => ({ id, recipient, isNamed: false }))
      : named(notify, directory)
  if (change !== 'resolved') return hearers
  return hearers.filter(({ recipient }) => recipient.isToldOfEnds === true)
}

/** Of these ids, whoever there is. */
export function named(ids: readonly string[], { recipients }: Directory): Hearer[] {
  return [...new Set(ids)].flatMap((id) => {
    const recipient = recipients.get(id)
    return recipient === undefined ? [] : [{ id, recipient, isNamed: true }]
  })
}

const wants = ({ rules, devices }: Recipient, { ruleId, deviceId }: AlertRecord): boolean =>
  (rules?.includes(ruleId) ?? true) && (devices?.includes(deviceId) ?? true)

/** `dueAtUs`: when quiet hours end; 0 for now. */
export function whenToTell(
  { recipient, isNamed }: Hearer,
  notification: Notification,
  nowUs: number,
): { dueAtUs: number } | { suppressed: string } {
  const { quietHours, disturbing, severities } = recipient
  const preferences = {
    ...(quietHours && { quietHours }),
    ...(disturbing && { disturbing }),
    ...(severities && !isNamed && { severities }),
  }
  const decision = decide(notification, preferences, nowUs)
  if (decision.when === 'suppressed') return { suppressed: decision.reason }
  return { dueAtUs: decision.when === 'later' ? decision.atUs : 0 }
}
