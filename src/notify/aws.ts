/**
 * Amazon SNS (a topic, or an SMS to one number) and SQS. The service is chosen by the operator, by
 * region and perhaps endpoint, so its address is not guarded. The SDK tries nothing again itself:
 * the outbox does, and knows for how long.
 */
import { PublishCommand, SNSClient } from '@aws-sdk/client-sns'
import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs'
import { WeirError } from '../errors/errors.ts'
import type { Clock } from '../world/world.ts'
import { notificationBody } from './body.ts'
import { withDeadline } from './deadline.ts'
import { explain } from './explanation.ts'
import { checkKey, type Channel, type Notification } from './notify.ts'
import { explainSms } from './sms.ts'

export interface AwsAccess {
  region: string
  /** Of another service than AWS. */
  endpoint?: string
  /** Without: from the environment, the user's files or the machine's role, as AWS does. */
  credentials?: { accessKey: string; secretKey: string }
  clock: Clock
  timeoutMs?: number
}

const TIMEOUT_MS = 10_000
const CONNECT_TIMEOUT_MS = 3000
/** Of SNS, in ASCII. */
const SUBJECT_LENGTH_MAX = 100

/** Each connects with the first send. */
export const openSnsTopic = (access: AwsAccess & { topicArn: string }): Channel =>
  snsChannel(access, (notification, key) => ({
    TopicArn: access.topicArn,
    Subject: subjectOf(notification),
    Message: notificationBody(notification),
    MessageAttributes: attributesOf(notification, key),
    ...(access.topicArn.endsWith('.fifo') ? fifo(notification, key) : {}),
  }))

/** `phoneNumber` as E.164 has it: `+4930123456`. Errors: NOTIFY_ENDPOINT_INVALID. */
export function openSms(access: AwsAccess & { phoneNumber: string }): Channel {
  if (!/^\+[1-9]\d{6,14}$/.test(access.phoneNumber)) {
    throw new WeirError('NOTIFY_ENDPOINT_INVALID', 'not a phone number such as +4930123456')
  }
  const transactional = { DataType: 'String', StringValue: 'Transactional' }
  return snsChannel(access, (notification) => ({
    PhoneNumber: access.phoneNumber,
    Message: explainSms(notification),
    MessageAttributes: { 'AWS.SNS.SMS.SMSType': transactional },
  }))
}

/** With a queue whose name ends in `.fifo` the second of two tries within 5 minutes is dropped. */
export function openSqs(access: AwsAccess & { queueUrl: string }): Channel {
  const client = new SQSClient(settingsOf(access))
  return new AwsChannel(access, client, (notification, key, options) => {
    const isFifo = access.queueUrl.endsWith('.fifo')
    const message = new SendMessageCommand({
      QueueUrl: access.queueUrl,
      MessageBody: notificationBody(notification),
      MessageAttributes: attributesOf(notification, key),
      ...(isFifo ? fifo(notification, key) : {}),
    })
    return client.send(message, options)
  })
}

type Publish = ConstructorParameters<typeof PublishCommand>[0]

function snsChannel(
  access: AwsAccess,
  toMessage: (notification: Notification, key: string) => Publish,
): Channel {
  const client = new SNSClient(settingsOf(access))
  return new AwsChannel(access, client, (notification, key, options) =>
    client.send(new PublishCommand(toMessage(notification, key)), options),
  )
}

type Send = (
  notification: Notification,
  key: string,
  options: { abortSignal: AbortSignal },
) => Promise<unknown>

class AwsChannel implements Channel {
  readonly #access: AwsAccess
  readonly #client: { destroy(): void }
  readonly #send: Send
  readonly #closed = new AbortController()

  constructor(access: AwsAccess, client: { destroy(): void }, send: Send) {
    this.#access = access
    this.#client = client
    this.#send = send
  }

  async send(notification: Notification, idempotencyKey: string): Promise<void> {
    checkKey(idempotencyKey)
    const { clock, timeoutMs = TIMEOUT_MS, region, endpoint = region } = this.#access
    const deadline = { clock, timeoutMs, closed: this.#closed.signal, place: endpoint }
    try {
      await withDeadline(deadline, (abortSignal) =>
        this.#send(notification, idempotencyKey, { abortSignal }),
      )
    } catch (error) {
      throw awsError(error, this.#access)
    }
  }

  close(): void {
    this.#closed.abort()
    this.#client.destroy()
  }
}

const settingsOf = ({ region, endpoint, credentials }: AwsAccess) => ({
  region,
  maxAttempts: 1,
  requestHandler: { connectionTimeout: CONNECT_TIMEOUT_MS },
  ...(endpoint === undefined ? {} : { endpoint }),
  ...(credentials === undefined
    ? {}
    : {
        credentials: {
          accessKeyId: credentials.accessKey,
          secretAccessKey: credentials.secretKey,
        },
      }),
})

const attributesOf = ({ alert }: Notification, key: string) => ({
  idempotency_key: { DataType: 'String', StringValue: key },
  severity: { DataType: 'String', StringValue: alert.severity },
})

/** In order for each device; its id may have characters that a group's may not. */
const fifo = ({ alert }: Notification, key: string) => ({
  MessageDeduplicationId: key,
  MessageGroupId: Buffer.from(alert.deviceId).toString('hex').slice(0, 128) || 'none',
})

/** Printable ASCII that begins with a letter or digit. */
function subjectOf(notification: Notification): string {
  const ascii = explain(notification).title.replaceAll(/[^\x20-\x7e]/g, '?')
  return ascii.replace(/^[^A-Za-z0-9]+/, '').slice(0, SUBJECT_LENGTH_MAX) || 'Alert'
}

interface AwsFailure {
  name?: string
  message?: string
  code?: string
  $metadata?: { httpStatusCode?: number }
}

/** Refusals with a status of 4xx that pass. */
const PASSING = /Throttl|TooMany|RequestLimit|SlowDown|RequestTimeout|KMSThrottling/

/** The SDK's own errors hold the request, so none is passed on as a cause. */
function awsError(error: unknown, { region, endpoint, credentials }: AwsAccess): WeirError {
  if (error instanceof WeirError) return error
  const { name = '', code = '', message = '', $metadata } = error as AwsFailure
  const status = $metadata?.httpStatusCode ?? 0
  const isRefusal = status >= 400 && status < 500 && status !== 408 && status !== 429
  // No credentials, so no status: the machine's service for them may only be away.
  const isForGood = isRefusal && !PASSING.test(name)
  const words = [name, code, message].filter((word, at, all) => all.indexOf(word) === at)
  const text = `${endpoint ?? region}: ${words.filter((word) => word !== '').join(': ')}`
  const secret = credentials?.secretKey ?? ''
  const shown = secret === '' ? text : text.replaceAll(secret, '***')
  return new WeirError(isForGood ? 'NOTIFY_REFUSED' : 'NOTIFY_UNAVAILABLE', shown.slice(0, 300))
}
