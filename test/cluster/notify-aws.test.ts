/** Notifications by SNS and SQS, against moto. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CreateTopicCommand, SNSClient, SubscribeCommand } from '@aws-sdk/client-sns'
import {
  CreateQueueCommand,
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  ReceiveMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs'
import { openSms, openSnsTopic, openSqs, type AwsAccess } from '../../src/notify/aws.ts'
import { notificationOf } from '../../src/notify/notification-fixture.ts'
import { testChannel, type Received } from '../../src/notify/notify.conformance.ts'
import type { ChannelBench } from '../../src/notify/notify.conformance.ts'
import type { Channel } from '../../src/notify/notify.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { accessOf } from './cluster.ts'

const access = accessOf('moto')
const skip = access === undefined ? 'moto does not run: npm run -s cluster:up -- moto' : undefined
const endpoint = access?.['endpoint'] ?? ''
const SECRET_KEY = 'secret-key-of-the-test'
const PHONE_NUMBER = '+4930123456'
const region = 'eu-central-1'

const credentials = { accessKey: 'AKIAIOSFODNN7EXAMPLE', secretKey: SECRET_KEY }
const settings: AwsAccess = { region, endpoint, credentials, clock: nodeWorld.clock }

const admin = {
  ...{ region, endpoint },
  credentials: { accessKeyId: credentials.accessKey, secretAccessKey: SECRET_KEY },
}
const sqs = new SQSClient(admin)
const sns = new SNSClient(admin)

/** Of the server alone: whether it looks at credentials, what it was asked. */
async function tellMoto(path: string, body = ''): Promise<string> {
  const answer = await fetch(`${endpoint}/moto-api/${path}`, { method: 'POST', body })
  assert.ok(answer.ok, `${path}: ${answer.status}`)
  return answer.text()
}
const checkCredentials = (): Promise<string> => tellMoto('reset-auth', '0')
const takeEverybody = (): Promise<string> => tellMoto('reset-auth', 'inf')

let names = 0
async function createQueue(isFifo: boolean): Promise<string> {
  const QueueName = `weir-${process.pid}-${++names}${isFifo ? '.fifo' : ''}`
  const Attributes = isFifo ? { FifoQueue: 'true' } : {}
  const made = await sqs.send(new CreateQueueCommand({ QueueName, Attributes }))
  return made.QueueUrl!
}

/** What is in the queue now. It takes out what it found, since it is asked once. */
async function takeAll(queueUrl: string): Promise<Received[]> {
  const found: Received[] = []
  for (;;) {
    const { Messages = [] } = await sqs.send(
      new ReceiveMessageCommand({
        ...{ QueueUrl: queueUrl, MaxNumberOfMessages: 10, WaitTimeSeconds: 0 },
        MessageAttributeNames: ['All'],
      }),
    )
    if (Messages.length === 0) return found
    for (const { Body = '', MessageAttributes, ReceiptHandle } of Messages) {
      found.push({ text: Body, key: MessageAttributes?.['idempotency_key']?.StringValue })
      await sqs.send(new DeleteMessageCommand({ QueueUrl: queueUrl, ReceiptHandle }))
    }
  }
}

type Open = (access: AwsAccess) => Channel

function benchOf(open: Open, received: () => Promise<Received[]>): ChannelBench {
  let isStrict = false
  return {
    open: ({ port, ...how } = {}) => {
      const other = port === undefined ? endpoint : `http://127.0.0.1:${port}`
      return open({ ...settings, endpoint: other, ...how })
    },
    openRefused() {
      isStrict = true
      const channel = open(settings)
      return {
        close: () => channel.close(),
        async send(notification, key) {
          await checkCredentials()
          try {
            await channel.send(notification, key)
          } finally {
            await takeEverybody()
          }
        },
      }
    },
    received,
    secrets: [SECRET_KEY],
    close: async () => {
      if (isStrict) await takeEverybody()
    },
  }
}

for (const isFifo of [false, true])
  testChannel({
    ...{ name: isFifo ? 'SQS FIFO' : 'SQS', skip, dropsRepeats: isFifo },
    async createBench() {
      const queueUrl = await createQueue(isFifo)
      return benchOf(
        (access) => openSqs({ ...access, queueUrl: atEndpointOf(access, queueUrl) }),
        () => takeAll(queueUrl),
      )
    },
  })

/** The SDK goes where the queue's own address says. */
const atEndpointOf = (access: AwsAccess, queueUrl: string): string =>
  `${access.endpoint}${new URL(queueUrl).pathname}`

testChannel({
  ...{ name: 'SNS topic', skip },
  async createBench() {
    const queueUrl = await createQueue(false)
    const Name = `weir-${process.pid}-${++names}`
    const TopicArn = (await sns.send(new CreateTopicCommand({ Name }))).TopicArn!
    const AttributeNames = ['QueueArn' as const]
    const { Attributes } = await sqs.send(
      new GetQueueAttributesCommand({ QueueUrl: queueUrl, AttributeNames }),
    )
    await sns.send(
      new SubscribeCommand({
        ...{ TopicArn, Protocol: 'sqs', Endpoint: Attributes!['QueueArn']! },
        Attributes: { RawMessageDelivery: 'true' },
      }),
    )
    return benchOf(
      (access) => openSnsTopic({ ...access, topicArn: TopicArn }),
      () => takeAll(queueUrl),
    )
  },
})

testChannel({
  ...{ name: 'SMS', skip, hasNoKey: true, isShort: true },
  async createBench() {
    await tellMoto('recorder/reset-recording')
    await tellMoto('recorder/start-recording')
    const bench = benchOf((access) => openSms({ ...access, phoneNumber: PHONE_NUMBER }), sentSms)
    return {
      ...bench,
      openRefused() {
        const channel = bench.openRefused()
        return {
          close: () => channel.close(),
          async send(notification, key) {
            // What is refused would be recorded too.
            await tellMoto('recorder/stop-recording')
            await channel.send(notification, key)
          },
        }
      },
      async close() {
        await tellMoto('recorder/stop-recording')
        await bench.close()
      },
    }
  },
})

/** Requests that moto took, as it recorded them. */
async function sentSms(): Promise<Received[]> {
  const lines = (await tellMoto('recorder/download-recording')).split('\n').filter(Boolean)
  return lines.flatMap((line) => {
    const { body, body_encoded: isEncoded } = JSON.parse(line) as {
      body?: string
      body_encoded?: boolean
    }
    const text = isEncoded === true ? Buffer.from(body ?? '', 'base64').toString() : (body ?? '')
    const fields = new URLSearchParams(text)
    if (fields.get('PhoneNumber') !== PHONE_NUMBER) return []
    return [{ text: fields.get('Message') ?? '', key: undefined }]
  })
}

test('A topic or queue that is not there is refused for good', { skip }, async () => {
  const topicArn = `arn:aws:sns:${region}:123456789012:absent`
  const queueUrl = `${endpoint}/123456789012/absent`
  for (const channel of [
    openSnsTopic({ ...settings, topicArn }),
    openSqs({ ...settings, queueUrl }),
  ]) {
    await assert.rejects(channel.send(notificationOf(), 'key-1'), { code: 'NOTIFY_REFUSED' })
    channel.close()
  }
})

test('No credentials is what another try can help: their service may be away', async (context) => {
  const before = { ...process.env }
  context.after(() => (process.env = before))
  for (const name of Object.keys(before)) if (name.startsWith('AWS_')) delete process.env[name]
  process.env['AWS_EC2_METADATA_DISABLED'] = 'true'
  for (const name of ['AWS_SHARED_CREDENTIALS_FILE', 'AWS_CONFIG_FILE'])
    process.env[name] = '/dev/null'
  const queueUrl = 'http://127.0.0.1:1/123456789012/absent'
  const { clock } = nodeWorld
  const channel = openSqs({ region, endpoint: 'http://127.0.0.1:1', clock, queueUrl })
  await assert.rejects(channel.send(notificationOf(), 'key-1'), {
    ...{ code: 'NOTIFY_UNAVAILABLE', message: /credentials/i },
  })
  channel.close()
})

test('Only a number as E.164 has it is one', () => {
  for (const phoneNumber of ['0301234', '+0301234567', '+49 30 123456', '+49', '', '+49\n30123456'])
    assert.throws(() => openSms({ ...settings, phoneNumber }), { code: 'NOTIFY_ENDPOINT_INVALID' })
})
