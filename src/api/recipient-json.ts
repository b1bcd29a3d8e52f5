/**
 * Recipients in the API's words. Secrets go in and never out: where a definition that comes back
 * lacks one, or has the mask in its place, the one that is kept stays.
 */
import { Type, type Static } from 'typebox'
import type { ChannelDefinition, Kept, Recipient as Kind } from '../alerts/alerts.ts'
import { formatDurationUs } from '../config/config.ts'
import { WeirError } from '../errors/errors.ts'
import { hoursJson, hoursOf } from './hours.ts'
import { Duration, Hours, Milliseconds } from './shapes.ts'
import { durationUsOf } from './times.ts'

const closed = { additionalProperties: false }
const Text = Type.Optional(Type.String({ maxLength: 2048 }))

/** What a channel has beside its type; the first is where it leads. */
const CHANNEL_KEYS: Record<ChannelDefinition['type'], readonly (keyof Static<typeof Channel>)[]> = {
  webhook: ['url', 'secret', 'has_secret'],
  slack: ['url'],
  email: ['to'],
  sns: ['topic_arn'],
  sms: ['phone_number'],
  sqs: ['queue_url'],
  mqtt: ['topic'],
}

const Channel = Type.Object(
  {
    type: Type.Enum(['webhook', 'slack', 'email', 'sns', 'sms', 'sqs', 'mqtt']),
    url: Text,
    secret: Type.Optional(
      Type.String({
        description:
          'Signs what is sent; 16 characters or more are wise. Never given out; without it, the ' +
          'one that is kept for this url stays.',
      }),
    ),
    has_secret: Type.Optional(Type.Boolean()),
    ...{ to: Text, topic_arn: Text, phone_number: Text, queue_url: Text, topic: Text },
  },
  {
    ...closed,
    description:
      'webhook: url, secret. slack: url, of which answers have the host alone. email: to. ' +
      'sns: topic_arn. sms: phone_number. sqs: queue_url. mqtt: topic.',
  },
)

const Names = Type.Optional(Type.Array(Type.String({ minLength: 1, maxLength: 128 })))

const RECIPIENT_KEYS = {
  name: Type.String(),
  channels: Type.Array(Channel),
  severities: Names,
  rules: Names,
  devices: Names,
  quiet_hours: Type.Optional(Hours),
  disturbing: Type.Optional(
    Type.Array(Type.String(), {
      description: 'Severities that quiet hours do not hold; critical without.',
    }),
  ),
  rate_limit: Type.Optional(
    Type.Object(
      { messages: Type.Integer(), per: Duration },
      { ...closed, description: 'What is beyond it comes as a digest.' },
    ),
  ),
  told_of_ends: Type.Optional(Type.Boolean({ description: 'Told when an alert ends, too.' })),
  escalation: Type.Optional(
    Type.Array(Type.Object({ after: Duration, recipients: Type.Array(Type.String()) }, closed), {
      description: 'Who is told in place of this one when nobody acknowledges.',
    }),
  ),
}

const READ_ONLY_KEYS = { id: Type.String(), revision: Type.Integer(), updated_at: Milliseconds }

export const Recipient = Type.Object({ ...READ_ONLY_KEYS, ...RECIPIENT_KEYS })

/** What an answer has besides may stay in it. */
export const RecipientBody = Type.Object(
  { ...Type.Partial(Type.Object(READ_ONLY_KEYS)).properties, ...RECIPIENT_KEYS },
  closed,
)

type Json = Static<typeof Recipient>
type Body = Static<typeof RecipientBody>
type ChannelJson = Static<typeof Channel>

export const recipientJson = ({ id, revision, updatedAtUs, value }: Kept<Kind>): Json => ({
  ...{ id, revision, updated_at: updatedAtUs / 1000, name: value.name },
  channels: value.channels.map(channelJson),
  ...(value.severities && { severities: value.severities }),
  ...(value.rules && { rules: value.rules }),
  ...(value.devices && { devices: value.devices }),
  ...(value.quietHours && { quiet_hours: hoursJson(value.quietHours) }),
  ...(value.disturbing && { disturbing: value.disturbing }),
  ...(value.rateLimit && {
    rate_limit: {
      messages: value.rateLimit.messages,
      per: formatDurationUs(value.rateLimit.perUs),
    },
  }),
  ...(value.isToldOfEnds !== undefined && { told_of_ends: value.isToldOfEnds }),
  ...(value.escalation && {
    escalation: value.escalation.map(({ afterUs, recipientIds }) => ({
      after: formatDurationUs(afterUs),
      recipients: recipientIds,
    })),
  }),
})

function channelJson(channel: ChannelDefinition): ChannelJson {
  switch (channel.type) {
    case 'webhook':
      return { type: channel.type, url: channel.url, has_secret: true }
    case 'slack':
      return { type: channel.type, url: maskUrl(channel.url) }
    case 'sns':
      return { type: channel.type, topic_arn: channel.topicArn }
    case 'sms':
      return { type: channel.type, phone_number: channel.phoneNumber }
    case 'sqs':
      return { type: channel.type, queue_url: channel.queueUrl }
    default:
      return channel
  }
}

/** The path of such an address is its only credential. */
const maskUrl = (url: string): string => `${new URL(url).origin}/***`

/** `before`: the one that is kept. Throws API_BODY_INVALID. */
export function recipientOf(body: Body, before: Kind | undefined): Kind {
  const { quiet_hours: hours, rate_limit: limit, told_of_ends: isToldOfEnds } = body
  return {
    name: body.name,
    channels: body.channels.map((channel, at) => channelOf(channel, `channels.${at}`, before)),
    ...(body.severities && { severities: body.severities }),
    ...(body.rules && { rules: body.rules }),
    ...(body.devices && { devices: body.devices }),
    ...(hours && { quietHours: hoursOf(hours) }),
    ...(body.disturbing && { disturbing: body.disturbing }),
    ...(limit && {
      rateLimit: { messages: limit.messages, perUs: durationUsOf(limit.per, 'rate_limit.per') },
    }),
    ...(isToldOfEnds !== undefined && { isToldOfEnds }),
    ...(body.escalation && {
      escalation: body.escalation.map(({ after, recipients }, at) => ({
        afterUs: durationUsOf(after, `escalation.${at}.after`),
        recipientIds: recipients,
      })),
    }),
  }
}

function channelOf(
  channel: ChannelJson,
  place: string,
  before: Kind | undefined,
): ChannelDefinition {
  const { type } = channel
  const keys = CHANNEL_KEYS[type]
  const foreign = Object.keys(channel).find(
    (key) => key !== 'type' && !keys.some((own) => own === key),
  )
  if (foreign !== undefined) throw invalid(`${place}.${foreign}`, `not a key of a ${type}`)
  const target = channel[keys[0]!]
  if (typeof target !== 'string') throw invalid(`${place}.${keys[0]}`, 'is required')
  switch (type) {
    case 'webhook':
      return { type, url: target, secret: channel.secret ?? keptSecret(target, place, before) }
    case 'slack':
      return { type, url: keptSlackUrl(target, before) ?? target }
    case 'email':
      return { type, to: target }
    case 'sns':
      return { type, topicArn: target }
    case 'sms':
      return { type, phoneNumber: target }
    case 'sqs':
      return { type, queueUrl: target }
    case 'mqtt':
      return { type, topic: target }
  }
}

/** Not for another url: who may edit a recipient could send the next signature to themselves. */
function keptSecret(url: string, place: string, before: Kind | undefined): string {
  for (const channel of before?.channels ?? [])
    if (channel.type === 'webhook' && channel.url === url) return channel.secret
  throw invalid(`${place}.secret`, 'is required')
}

function keptSlackUrl(masked: string, before: Kind | undefined): string | undefined {
  for (const channel of before?.channels ?? [])
    if (channel.type === 'slack' && maskUrl(channel.url) === masked) return channel.url
  return undefined
}

const invalid = (key: string, problem: string): WeirError =>
  new WeirError('API_BODY_INVALID', `${key}: ${problem}`)
