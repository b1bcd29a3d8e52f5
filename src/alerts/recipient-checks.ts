/** What a recipient must be so that it can be told: errors name the key and what it should be. */
import { WeirError } from '../errors/errors.ts'
import { isMailbox, refusalOfQuietHours, type RateLimit } from '../notify/notify.ts'
import type { ChannelDefinition, Recipient } from './alerts.ts'
import { isName, NAME_EXPECTED } from './names.ts'

const RECIPIENT_LIMITS = {
  nameCharacters: 128,
  channels: 10,
  /** Rules, devices and severities that are named. */
  names: 1000,
  escalationSteps: 10,
  secretCharacters: 1024,
  messages: 10_000,
} as const

const SECOND_US = 1_000_000
const DAY_US = 86_400 * SECOND_US

type CheckUrl = (url: string) => unknown

export interface RecipientContext {
  id: string
  /** Throws NOTIFY_ENDPOINT_INVALID, NOTIFY_ADDRESS_FORBIDDEN. */
  checkUrl: CheckUrl
}

/** Errors: ALERT_RECIPIENT_INVALID, and those of `checkUrl`. */
export function checkRecipient(recipient: Recipient, { id, checkUrl }: RecipientContext): void {
  const { name, channels, quietHours, rateLimit, escalation = [] } = recipient
  if (!isName(id)) throw invalid('id', NAME_EXPECTED)
  checkLength('name', name, RECIPIENT_LIMITS.nameCharacters)
  checkCount('channels', channels.length, { min: 1, max: RECIPIENT_LIMITS.channels })
  for (const [at, channel] of channels.entries()) checkChannel(channel, `channels.${at}`, checkUrl)
  for (const key of ['severities', 'disturbing', 'rules', 'devices'] as const)
    checkCount(key, recipient[key]?.length ?? 0, { min: 0, max: RECIPIENT_LIMITS.names })
  const refusal = quietHours === undefined ? undefined : refusalOfQuietHours(quietHours)
  if (refusal !== undefined) throw invalid('quiet_hours', refusal)
  if (rateLimit !== undefined) checkRateLimit(rateLimit)
  checkCount('escalation', escalation.length, { min: 0, max: RECIPIENT_LIMITS.escalationSteps })
  for (const [at, step] of escalation.entries()) checkStep(step, `escalation.${at}`, id)
}

function checkChannel(channel: ChannelDefinition, key: string, checkUrl: CheckUrl): void {
  switch (channel.type) {
    case 'webhook':
      checkUrl(channel.url)
      return checkLength(`${key}.secret`, channel.secret, RECIPIENT_LIMITS.secretCharacters)
    case 'slack':
      return void checkUrl(channel.url)
    case 'email':
      if (isMailbox(channel.to)) return
      throw invalid(`${key}.to`, 'expected one address such as me@example.org')
    case 'sns':
      return checkForm(`${key}.topic_arn`, channel.topicArn, /^arn:[\w-]+:sns:[\w-]+:\d+:[\w.-]+$/)
    case 'sms':
      return checkForm(`${key}.phone_number`, channel.phoneNumber, /^\+[1-9]\d{6,14}$/)
    case 'sqs':
      return checkForm(`${key}.queue_url`, channel.queueUrl, /^https?:\/\/[^\s@]{1,2000}$/)
    case 'mqtt':
      return checkForm(`${key}.topic`, channel.topic, /^[^+#\p{Cc}]{1,256}$/u)
  }
}

function checkRateLimit({ messages, perUs }: RateLimit): void {
  const isCount = Number.isInteger(messages) && messages >= 1
  if (!isCount || messages > RECIPIENT_LIMITS.messages)
    throw invalid('rate_limit.messages', `expected 1 to ${RECIPIENT_LIMITS.messages}`)
  if (perUs < SECOND_US || perUs > DAY_US) throw invalid('rate_limit.per', 'expected 1s to 1d')
}

type EscalationStep = NonNullable<Recipient['escalation']>[number]

function checkStep({ afterUs, recipientIds }: EscalationStep, key: string, id: string): void {
  if (afterUs < SECOND_US || afterUs > DAY_US) throw invalid(`${key}.after`, 'expected 1s to 1d')
  checkCount(`${key}.recipients`, recipientIds.length, {
    min: 1,
    max: RECIPIENT_LIMITS.channels,
  })
  // One who sleeps does not wake up because the same one is told again.
  if (recipientIds.includes(id)) throw invalid(`${key}.recipients`, 'expected others than itself')
}

function checkLength(key: string, text: string, max: number): void {
  if (text.length < 1 || text.length > max) throw invalid(key, `expected 1 to ${max} characters`)
}

function checkCount(key: string, count: number, { min, max }: { min: number; max: number }): void {
  if (count < min || count > max) throw invalid(key, `found ${count}, expected ${min} to ${max}`)
}

function checkForm(key: string, text: string, form: RegExp): void {
  if (!form.test(text)) throw invalid(key, `does not look like one (${form.source})`)
}

const invalid = (key: string, problem: string): WeirError =>
  new WeirError('ALERT_RECIPIENT_INVALID', `${key}: ${problem}`)
