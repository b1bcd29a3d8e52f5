/**
 * The tables of alerts as rows, and back. What is asked by is a column, the rest is JSON in
 * `value`. Only the runner writes them, but for what people do to an alert or a dead letter.
 */
import type { Change, SqlRow } from '../control/control.ts'
import type { Notification } from '../notify/notify.ts'
import type { Delivery, DeliveryState, HistoryEntry } from './alerts.ts'
import { recordAt, type LiveAlert } from './alert-machine.ts'

/** `isActed`: a person changed it, and the runner has not seen it yet. */
export const alertChange = (alert: LiveAlert, nowUs: number, isActed = false): Change => {
  const { revision, lastUs } = alert
  const record = recordAt(alert, nowUs)
  const put = {
    ...{ tenant: record.tenant, id: record.id, revision: revision + 1 },
    ...{ rule_id: record.ruleId, device_id: record.deviceId, severity: record.severity },
    ...{ state: record.state, triggered_at_us: record.triggeredAtUs, last_us: lastUs },
    is_acted: isActed ? 1 : 0,
    value: JSON.stringify({ ...alert, record, revision: 0 }),
  }
  return { table: 'alert_state', put, expected: revision }
}

export const toLiveAlert = (row: SqlRow): LiveAlert => ({
  ...(JSON.parse(String(row['value'])) as LiveAlert),
  revision: Number(row['revision']),
})

export interface EpisodeRow {
  id: string
  alertId: string
  state: 'firing' | 'resolved'
  revision: number
}

export const episodeChange = (tenant: string, row: EpisodeRow, atUs: number): Change => ({
  table: 'alert_episode',
  put: {
    ...{ tenant, id: row.id, revision: row.revision + 1, alert_id: row.alertId },
    ...{ state: row.state, at_us: atUs },
  },
  expected: row.revision,
})

export const toEpisode = (row: SqlRow): EpisodeRow => ({
  id: String(row['id']),
  alertId: String(row['alert_id']),
  state: row['state'] === 'firing' ? 'firing' : 'resolved',
  revision: Number(row['revision']),
})

/** `number` counts the entries of the alert, from 1. */
export const historyChange = (
  { tenant, id }: { tenant: string; id: string },
  number: number,
  entry: HistoryEntry,
): Change => ({
  table: 'alert_history',
  put: { tenant, alert_id: id, number, at_us: entry.atUs, value: JSON.stringify(entry) },
})

export const toHistory = (row: SqlRow): HistoryEntry =>
  JSON.parse(String(row['value'])) as HistoryEntry

/** One change of one alert for one recipient: it waits, is in a message, or became none. */
export interface NoticeRow {
  tenant: string
  id: string
  revision: number
  recipientId: string
  state: 'waiting' | 'sent' | 'suppressed'
  /** Its message's. */
  groupId: string | undefined
  /** Not before that; 0: at once. */
  dueAtUs: number
  notification: Notification
  /** Why it was suppressed. */
  problem: string | undefined
}

export const noticeChange = (row: NoticeRow): Change => ({
  table: 'notification',
  put: {
    ...{ tenant: row.tenant, id: row.id, revision: row.revision + 1 },
    ...{ recipient_id: row.recipientId, alert_id: row.notification.alert.id, state: row.state },
    ...{ group_id: row.groupId ?? null, due_at_us: row.dueAtUs },
    created_at_us: row.notification.createdAtUs,
    value: JSON.stringify({ notification: row.notification, problem: row.problem }),
  },
  expected: row.revision,
})

export function toNotice(row: SqlRow): NoticeRow {
  const value = JSON.parse(String(row['value'])) as Pick<NoticeRow, 'notification' | 'problem'>
  return {
    ...{ tenant: String(row['tenant']), id: String(row['id']), revision: Number(row['revision']) },
    recipientId: String(row['recipient_id']),
    state: row['state'] as NoticeRow['state'],
    groupId: row['group_id'] === null ? undefined : String(row['group_id']),
    dueAtUs: Number(row['due_at_us']),
    notification: value.notification,
    problem: value.problem,
  }
}

export const deliveryOfNotice = (row: NoticeRow): Delivery => ({
  ...{ id: row.id, recipientId: row.recipientId, channel: '' },
  ...{ alertIds: [row.notification.alert.id], change: row.notification.change },
  state: row.state === 'suppressed' ? 'suppressed' : 'waiting',
  ...{ createdAtUs: row.notification.createdAtUs, attempts: 0 },
  nextTryAtUs: row.state === 'waiting' && row.dueAtUs > 0 ? row.dueAtUs : undefined,
  ...{ deliveredAtUs: undefined, problem: row.problem },
})

/**
 * One message to one channel. Its body is made of `notification` alone, so each try has the same.
 */
export interface MessageRow {
  tenant: string
  /** Also the idempotency key. */
  id: string
  revision: number
  groupId: string
  recipientId: string
  /** The channel's type, and which of the recipient's it is: no address, which may be a secret. */
  channel: string
  endpoint: string
  state: Exclude<DeliveryState, 'suppressed'>
  createdAtUs: number
  nextTryAtUs: number
  /** It is dead after that. */
  lifeEndsAtUs: number
  attempts: number
  deliveredAtUs: number | undefined
  problem: string | undefined
  notification: Notification
  /** Its chart was asked for. */
  isDrawn: boolean
}

/** `isActed`: a person wants it to be tried again, and the runner has not seen it. */
export const messageChange = (row: MessageRow, isActed = false): Change => {
  const { tenant, id, revision, groupId, recipientId, channel, state, ...rest } = row
  const { createdAtUs, nextTryAtUs, ...value } = rest
  const put = {
    ...{ tenant, id, revision: revision + 1, group_id: groupId, recipient_id: recipientId },
    ...{ channel, state, created_at_us: createdAtUs, next_try_at_us: nextTryAtUs },
    ...{ is_acted: isActed ? 1 : 0, value: JSON.stringify(value) },
  }
  return { table: 'message', put, expected: revision }
}

export const toMessage = (row: SqlRow): MessageRow => ({
  ...(JSON.parse(String(row['value'])) as MessageRow),
  ...{ tenant: String(row['tenant']), id: String(row['id']), revision: Number(row['revision']) },
  ...{ groupId: String(row['group_id']), recipientId: String(row['recipient_id']) },
  ...{ channel: String(row['channel']), state: row['state'] as MessageRow['state'] },
  createdAtUs: Number(row['created_at_us']),
  nextTryAtUs: Number(row['next_try_at_us']),
})

export const deliveryOfMessage = (row: MessageRow): Delivery => ({
  ...{ id: row.id, recipientId: row.recipientId, channel: row.channel },
  alertIds: row.notification.digest?.alertIds ?? [row.notification.alert.id],
  ...{ change: row.notification.change, state: row.state, createdAtUs: row.createdAtUs },
  attempts: row.attempts,
  nextTryAtUs: row.state === 'waiting' ? row.nextTryAtUs : undefined,
  ...{ deliveredAtUs: row.deliveredAtUs, problem: row.problem },
})

/** What a recipient got of late. */
export interface PaceRow {
  tenant: string
  recipientId: string
  revision: number
  takenUs: readonly number[]
  /** When it last heard of a rule. */
  toldUs: Readonly<Record<string, number>>
}

export const paceChange = ({ tenant, recipientId, revision, ...value }: PaceRow): Change => ({
  table: 'recipient_pace',
  put: {
    ...{ tenant, recipient_id: recipientId, revision: revision + 1 },
    value: JSON.stringify(value),
  },
  expected: revision,
})

export const toPace = (row: SqlRow): PaceRow => ({
  ...(JSON.parse(String(row['value'])) as Pick<PaceRow, 'takenUs' | 'toldUs'>),
  ...{ tenant: String(row['tenant']), recipientId: String(row['recipient_id']) },
  revision: Number(row['revision']),
})
