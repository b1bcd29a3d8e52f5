/**
 * From what waits for one recipient to messages: as many as there are tokens, and a digest of what
 * is beyond. Pure, so that what was planned and could not be written is planned again.
 */
import { createHash } from 'node:crypto'
import {
  isUrgent,
  planMessages,
  toDigest,
  TokenBucket,
  type Notification,
  type RateLimit,
} from '../notify/notify.ts'
import type { ChannelDefinition, Recipient } from './alerts.ts'
import type { MessageRow, NoticeRow, PaceRow } from './alert-rows.ts'

/** Of a recipient that names none. */
const RATE_LIMIT: RateLimit = { messages: 10, perUs: 60_000_000 }

export interface PlanInput {
  recipient: Recipient
  pace: PaceRow
  /** Of this turn, and those from before; in the order in which they came. */
  fresh: readonly NoticeRow[]
  waiting: readonly NoticeRow[]
  nowUs: number
  /** For how long a message is tried. */
  lifeUs: number
  /** Where all alerts are seen; one alert behind it, by its id. */
  linkOf: (alertId: string | undefined) => string
}

export interface OutboxPlan {
  messages: MessageRow[]
  /** All of `fresh`, and those of `waiting` that changed. */
  notices: NoticeRow[]
  pace: PaceRow
  /** When to plan again; undefined: when something new comes. */
  againUs: number | undefined
}

export function planOutbox(input: PlanInput): OutboxPlan {
  const { recipient, pace, fresh, nowUs } = input
  const limit = recipient.rateLimit ?? RATE_LIMIT
  const bucket = new TokenBucket(limit, pace.takenUs)
  const toldUs = recentOf(pace.toldUs, nowUs - limit.perUs)
  const tokens = bucket.available(nowUs)
  const toldRules = rulesOf(toldUs, input.waiting)
  const candidates = candidatesOf(input, { tokens, limit, toldRules })
  const rowOf = new Map(candidates.map((row) => [row.notification, row]))
  const { messages: groups } = planMessages([...rowOf.keys()], {
    tokens,
    tokensMax: limit.messages,
    toldRules,
  })
  const sent = new Map<string, NoticeRow>()
  const messages = groups.flatMap((group) => {
    bucket.take(nowUs)
    const rows = group.map((notification) => rowOf.get(notification)!)
    const groupId = rows[0]!.id
    for (const row of rows) {
      toldUs[row.notification.alert.ruleId] = nowUs
      sent.set(row.id, { ...row, state: 'sent', groupId })
    }
    return messagesOf(contentOf(group, groupId, input), rows[0]!, input)
  })
  const left = [...input.waiting, ...fresh].filter(({ id }) => !sent.has(id))
  return {
    messages,
    notices: [...sent.values(), ...fresh.filter(({ id }) => !sent.has(id))],
    pace: { ...pace, takenUs: bucket.takenUs, toldUs },
    againUs: againUs(left, bucket, { limit, nowUs }),
  }
}

const recentOf = (toldUs: PaceRow['toldUs'], fromUs: number): Record<string, number> =>
  Object.fromEntries(Object.entries(toldUs).filter(([, us]) => us > fromUs))

/**
 * Rules that are no news. Of what waits none is, else the critical ones of many rules would take
 * each token that comes back, and the digest of all that waits would never go.
 */
const rulesOf = (toldUs: PaceRow['toldUs'], waiting: readonly NoticeRow[]): Set<string> =>
  new Set([...Object.keys(toldUs), ...waiting.map((row) => row.notification.alert.ruleId)])

/**
 * What may go now. While the token that is kept back is the last one, only what is new can be
 * urgent; so a storm does not sort all that waits with each of its alerts.
 */
function candidatesOf(
  { fresh, waiting, nowUs }: PlanInput,
  { tokens, limit, toldRules }: { tokens: number; limit: RateLimit; toldRules: Set<string> },
): NoticeRow[] {
  const isDue = ({ dueAtUs }: NoticeRow): boolean => dueAtUs <= nowUs
  if (tokens === 0) return []
  if (tokens > keptBack(limit) || fresh.length === 0) return [...waiting, ...fresh].filter(isDue)
  return fresh.filter((row) => isDue(row) && isUrgent(row.notification, toldRules))
}

/** As planMessages() keeps it. */
const keptBack = ({ messages }: RateLimit): number => (messages > 1 ? 1 : 0)

/** When quiet hours end, or enough tokens are back. */
function againUs(
  left: readonly NoticeRow[],
  bucket: TokenBucket,
  { limit, nowUs }: { limit: RateLimit; nowUs: number },
): number | undefined {
  if (left.length === 0) return undefined
  const dueUs = left.reduce((least, { dueAtUs }) => Math.min(least, dueAtUs), Infinity)
  const tokensUs = bucket.nextUs(nowUs, Math.min(limit.messages, keptBack(limit) + 1))
  return Math.max(dueUs, tokensUs)
}

function contentOf(
  group: readonly Notification[],
  id: string,
  { nowUs, linkOf }: PlanInput,
): Notification {
  return group.length === 1
    ? { ...group[0]!, id }
    : toDigest(group, { id, createdAtUs: nowUs, link: linkOf(undefined) })
}

/** One for each channel, each with a key of its own. */
function messagesOf(content: Notification, first: NoticeRow, input: PlanInput): MessageRow[] {
  const { recipient, nowUs, lifeUs } = input
  const { tenant, recipientId } = first
  return recipient.channels.map((definition, at) => ({
    ...{ tenant, id: `${content.id}-${at}`, revision: 0, groupId: content.id, recipientId },
    ...{ channel: definition.type, endpoint: endpointOf(definition), state: 'waiting' },
    ...{ createdAtUs: nowUs, nextTryAtUs: nowUs, lifeEndsAtUs: nowUs + lifeUs, attempts: 0 },
    ...{ deliveredAtUs: undefined, problem: undefined, notification: content, isDrawn: false },
  }))
}

/** Which channel it is, without its address: a path is often a secret. */
export function endpointOf(definition: ChannelDefinition): string {
  const { type } = definition
  return hashOf(type, addressOf(definition))
}

function addressOf(definition: ChannelDefinition): string {
  switch (definition.type) {
    case 'webhook':
    case 'slack':
      return definition.url
    case 'email':
      return definition.to
    case 'sns':
      return definition.topicArn
    case 'sms':
      return definition.phoneNumber
    case 'sqs':
      return definition.queueUrl
    case 'mqtt':
      return definition.topic
  }
}

/** 32 characters that are the same for the same words. */
export const hashOf = (...words: string[]): string =>
  createHash('sha256').update(JSON.stringify(words)).digest('hex').slice(0, 32)
