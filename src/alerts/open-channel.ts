/** A channel of a recipient, opened. */
import { WeirError } from '../errors/errors.ts'
import {
  checkKey,
  notificationBody,
  type Channel,
  type EndpointRules,
  type Resolve,
} from '../notify/notify.ts'
import { openSlack } from '../notify/slack.ts'
import { openWebhook } from '../notify/webhook.ts'
import type { Clock } from '../world/world.ts'
import type { ChannelDefinition } from './alerts.ts'

export interface ChannelOptions {
  clock: Clock
  /** Webhooks to private addresses, and by http. */
  allowPrivateWebhooks: boolean
  /** `url` as `email.ts` has it; without, nobody gets email. */
  smtp?: { url: string; from: string; allowPlain: boolean }
  /** Without, SNS, SMS and SQS are refused. */
  aws?: {
    region: string
    endpoint?: string
    credentials?: { accessKey: string; secretKey: string }
  }
  /** To the operator's broker (`openMqttPublish`); without, MQTT is refused. */
  publish?: (topic: string, payload: string, idempotencyKey: string) => Promise<void>
  /** Instead of the system's resolver and certificates. */
  resolve?: Resolve
  ca?: string
  timeoutMs?: number
}

/** Errors: NOTIFY_ENDPOINT_INVALID, NOTIFY_ADDRESS_FORBIDDEN. */
export async function openChannel(
  definition: ChannelDefinition,
  options: ChannelOptions,
): Promise<Channel> {
  switch (definition.type) {
    case 'webhook':
      return openWebhook({ ...definition, ...httpOptions(options) })
    case 'slack':
      return openSlack({ ...definition, ...httpOptions(options) })
    case 'email':
      return openEmail(definition.to, options)
    case 'mqtt':
      return openMqtt(definition.topic, options.publish)
    default:
      return openAws(definition, options)
  }
}

function httpOptions({ clock, allowPrivateWebhooks, resolve, ca, timeoutMs }: ChannelOptions) {
  const rules: EndpointRules = { allowPrivate: allowPrivateWebhooks }
  return {
    ...{ clock, ...rules },
    ...(resolve && { resolve }),
    ...(ca !== undefined && { ca }),
    ...(timeoutMs !== undefined && { timeoutMs }),
  }
}

/** Loaded when somebody wants email, as nodemailer is. */
async function openEmail(to: string, { smtp, clock, ca, timeoutMs }: ChannelOptions) {
  if (smtp === undefined) throw unset('email', 'alerts.smtpUrl')
  const { openEmail: open } = await import('../notify/email.ts')
  const limits = { ...(ca !== undefined && { ca }), ...(timeoutMs !== undefined && { timeoutMs }) }
  return open({ ...smtp, to, clock, ...limits })
}

type AwsDefinition = Extract<ChannelDefinition, { type: 'sns' | 'sms' | 'sqs' }>

async function openAws(definition: AwsDefinition, { aws, clock, timeoutMs }: ChannelOptions) {
  if (aws === undefined) throw unset(definition.type, 'alerts.awsRegion')
  const { openSms, openSnsTopic, openSqs } = await import('../notify/aws.ts')
  const access = { ...aws, clock, ...(timeoutMs !== undefined && { timeoutMs }) }
  if (definition.type === 'sns') return openSnsTopic({ ...access, topicArn: definition.topicArn })
  if (definition.type === 'sms') return openSms({ ...access, phoneNumber: definition.phoneNumber })
  return openSqs({ ...access, queueUrl: definition.queueUrl })
}

function openMqtt(topic: string, publish: ChannelOptions['publish']): Channel {
  if (publish === undefined) throw unset('mqtt', 'alerts.mqttUrl')
  return {
    async send(notification, idempotencyKey) {
      checkKey(idempotencyKey)
      await publish(topic, notificationBody(notification), idempotencyKey)
    },
    close: () => undefined,
  }
}

const unset = (type: string, setting: string): WeirError =>
  new WeirError('NOTIFY_ENDPOINT_INVALID', `${type} is not set up: ${setting} is empty`)
