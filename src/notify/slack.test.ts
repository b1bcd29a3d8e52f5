import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nodeWorld } from '../world/node-world.ts'
import { toDigest } from './digest.ts'
import { openHttpReceiver } from './http-receiver-fixture.ts'
import { notificationOf, NOW_US } from './notification-fixture.ts'
import { testChannel } from './notify.conformance.ts'
import { openSlack } from './slack.ts'

const PATH = '/services/T00000000/B00000000/path-that-is-a-secret'
const { clock } = nodeWorld

interface SlackMessage {
  text: string
  blocks: { type: string; text: { type: string; text: string } }[]
}

testChannel({
  name: 'Slack',
  async createBench() {
    const receiver = await openHttpReceiver()
    const open = (port: number, how: { timeoutMs?: number } = {}) =>
      openSlack({ url: `http://127.0.0.1:${port}${PATH}`, clock, allowPrivate: true, ...how })
    return {
      open: ({ port = receiver.port, ...how } = {}) => open(port, how),
      openRefused() {
        receiver.answer = (response, { path }) => {
          receiver.requests.pop()
          response.writeHead(404).end(`no_service ${path}`)
        }
        return open(receiver.port)
      },
      received: async () =>
        receiver.requests.map(({ body, headers }) => ({
          text: (JSON.parse(body) as SlackMessage).blocks.map(({ text }) => text.text).join('\n'),
          key: headers['idempotency-key'] as string,
        })),
      secrets: ['path-that-is-a-secret'],
      close: () => receiver.close(),
    }
  },
})

test('Nothing that a device says mentions people or becomes a link', async () => {
  const receiver = await openHttpReceiver()
  try {
    const url = `http://127.0.0.1:${receiver.port}${PATH}`
    const channel = openSlack({ url, clock, allowPrivate: true })
    const deviceId = '<!channel> <https://evil.example|click> & co'
    const long = { ruleId: 'x'.repeat(900), condition: 'x'.repeat(900), unit: 'x'.repeat(900) }
    const many = ['a', 'b', 'c'].map((name) =>
      notificationOf({ ...long, deviceId, ruleId: name + long.ruleId }),
    )
    const link = `https://weir.example/${'x'.repeat(2500)}`
    await channel.send(toDigest(many, { id: 'digest-1', createdAtUs: NOW_US, link }), 'key-1')
    const { blocks } = JSON.parse(receiver.requests[0]!.body) as SlackMessage
    assert.deepEqual(new Set(blocks.map((block) => block.text.type)), new Set(['plain_text']))
    for (const block of blocks) assert.ok(block.text.text.length <= 3000)
    await channel.send(notificationOf({ deviceId }), 'key-2')
    const { text } = JSON.parse(receiver.requests[1]!.body) as SlackMessage
    assert.ok(text.includes('&lt;!channel&gt; &lt;https://evil.example|click&gt; &amp; co'), text)
  } finally {
    await receiver.close()
  }
})
