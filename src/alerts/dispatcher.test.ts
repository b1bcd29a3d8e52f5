/** Deliveries over real sockets, to receivers that hang, fail, lie and come back. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openControl } from '../control/sqlite-control.ts'
import { openDnsServer } from '../notify/dns-fixture.ts'
import { openHttpReceiver, openSilentReceiver } from '../notify/http-receiver-fixture.ts'
import type { HttpReceiver } from '../notify/http-receiver-fixture.ts'
import { nodeWorld } from '../world/node-world.ts'
import type { Recipient, RuleBook } from './alerts.ts'
import { eventOf, TENANT } from './alerts-fixture.ts'
import { openRecipients, openSilences } from './books.ts'
import { openAlerts, type AlertOptions, type OpenAlerts } from './open-alerts.ts'

const { clock } = nodeWorld

interface Bench {
  opened: OpenAlerts
  set(id: string, url: string, change?: Partial<Recipient>): Promise<unknown>
  fire(n: number | string, change?: Parameters<typeof eventOf>[2]): Promise<void>
  restart(): Promise<void>
}

async function withBench(
  run: (bench: Bench) => Promise<void>,
  options: Partial<AlertOptions> = {},
): Promise<void> {
  // Waits of a hundredth, so that a test sees several tries.
  const world = { clock, random: { ...nodeWorld.random, unit: () => 0.01 } }
  const control = openControl({ path: ':memory:', world })
  const { database } = control
  const allowPrivateWebhooks = options.allowPrivateWebhooks ?? true
  const recipients = openRecipients({
    ...{ database, clock, endpoint: { allowPrivate: allowPrivateWebhooks } },
  })
  const open = (): OpenAlerts => {
    const opened = openAlerts({
      ...{ database, world, recipients, silences: openSilences({ database, clock }) },
      rules: undefined as unknown as RuleBook,
      parentOf: async () => undefined,
      options: {
        ...{ publicUrl: 'https://weir.example', retentionUs: 1e15, allowPrivateWebhooks },
        ...options,
      },
    })
    opened.start()
    return opened
  }
  const bench: Bench = {
    opened: open(),
    set(id, url, change = {}) {
      const channels: Recipient['channels'] = [{ type: 'webhook', url, secret: 's3cr3t' }]
      return recipients.put(TENANT, id, { name: id, channels, ...change })
    },
    fire: (n, change) => bench.opened.feed.take([eventOf(n, clock.nowUs(), change)]),
    async restart() {
      await bench.opened.stop()
      bench.opened = open()
    },
  }
  try {
    await run(bench)
  } finally {
    await bench.opened.stop()
    await control.close()
  }
}

const urlOf = ({ port }: { port: number }, path = '/hook'): string =>
  `http://127.0.0.1:${port}${path}`

async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = clock.monotonicMs() + 15_000
  while (!(await isSo())) {
    if (clock.monotonicMs() > endMs) assert.fail(`not within 15 s: ${what}`)
    await new Promise<void>((resolve) => void clock.after(5, resolve))
  }
}

const stateOf = async ({ opened }: Bench, recipientId: string) => {
  const [delivery] = await opened.alerts.deliveries(TENANT, { recipientId, limit: 1 })
  return delivery
}

async function withReceiver(run: (receiver: HttpReceiver) => Promise<void>): Promise<void> {
  const receiver = await openHttpReceiver()
  try {
    await run(receiver)
  } finally {
    await receiver.close()
  }
}

test('A5 one endpoint hangs, and another is told while it does', () =>
  withReceiver((receiver) =>
    withBench(async (bench) => {
      const silent = await openSilentReceiver()
      await bench.set('hanging', urlOf(silent))
      await bench.set('well', urlOf(receiver))
      for (let n = 0; n < 8; n++) await bench.fire(n, { deviceId: `d-${n}` })
      await until('the well one heard of all', () => receiver.requests.length === 8)
      assert.ok(silent.open > 0, 'the other one is asked, and says nothing')
      assert.equal((await stateOf(bench, 'hanging'))?.state, 'waiting')
      await bench.opened.stop()
      await silent.close()
    }),
  ))

test('A3 an endpoint that fails for a while gets each message later, with its key and its bytes', () =>
  withReceiver((receiver) =>
    withBench(async (bench) => {
      receiver.answer = (response) => {
        response.statusCode = receiver.requests.length < 3 ? 500 : 204
        response.end()
      }
      await bench.set('ada', urlOf(receiver))
      await bench.fire(1)
      const isDelivered = async () => (await stateOf(bench, 'ada'))?.state === 'delivered'
      await until('it is delivered', isDelivered)
      const [first, ...others] = receiver.requests
      assert.equal(others.length, 2)
      for (const { body, headers } of others) {
        assert.equal(body, first?.body)
        assert.equal(headers['idempotency-key'], first?.headers['idempotency-key'])
      }
      const delivery = await stateOf(bench, 'ada')
      assert.deepEqual([delivery?.attempts, delivery?.id], [3, first?.headers['idempotency-key']])
    }),
  ))

test('A redirect to a private address is a dead letter at once, and nobody goes there', () =>
  withReceiver((secret) =>
    withReceiver((receiver) =>
      withBench(async (bench) => {
        receiver.answer = (response) => {
          response.writeHead(302, { location: urlOf(secret, '/metadata') }).end()
        }
        await bench.set('ada', urlOf(receiver))
        await bench.fire(1)
        await until('it is dead', async () => (await stateOf(bench, 'ada'))?.state === 'dead')
        assert.match((await stateOf(bench, 'ada'))?.problem ?? '', /^NOTIFY_REFUSED: .*redirect/)
        assert.deepEqual([receiver.requests.length, secret.requests.length], [1, 0])
      }),
    ),
  ))

test('A name that leads to a private address is a dead letter at once, and nobody goes there', () =>
  withReceiver(async (receiver) => {
    const dns = await openDnsServer(() => ['127.0.0.1'])
    const options = { allowPrivateWebhooks: false, resolve: dns.resolve }
    await withBench(async (bench) => {
      await bench.set('ada', `https://receiver.test:${receiver.port}/hook`)
      await bench.fire(1)
      await until('it is dead', async () => (await stateOf(bench, 'ada'))?.state === 'dead')
      assert.match((await stateOf(bench, 'ada'))?.problem ?? '', /^NOTIFY_ADDRESS_FORBIDDEN/)
      assert.equal(receiver.connections, 0)
    }, options)
    dns.close()
  }))

test('A3 what was sent and not answered when a process ended is sent again, the same', () =>
  withReceiver((receiver) =>
    withBench(async (bench) => {
      receiver.answer = () => undefined
      await bench.set('ada', urlOf(receiver))
      await bench.fire(1)
      await until('it is sent', () => receiver.requests.length === 1)
      receiver.answer = (response) => response.end()
      await bench.restart()
      const isDelivered = async () => (await stateOf(bench, 'ada'))?.state === 'delivered'
      await until('it is delivered', isDelivered)
      const [first, second, ...others] = receiver.requests
      assert.equal(others.length, 0)
      assert.equal(second?.body, first?.body)
      assert.equal(second?.headers['idempotency-key'], first?.headers['idempotency-key'])
      assert.equal((await stateOf(bench, 'ada'))?.attempts, 1)
    }),
  ))

test('What a receiver asked to wait for outlives a restart', () =>
  withReceiver((receiver) =>
    withBench(async (bench) => {
      receiver.answer = (response) => response.writeHead(503, { 'retry-after': '3600' }).end()
      await bench.set('ada', urlOf(receiver))
      await bench.fire(1)
      await until('it was tried', async () => (await stateOf(bench, 'ada'))?.attempts === 1)
      await bench.restart()
      await bench.fire(2, { deviceId: 'pump-02' })
      await until('the next one is tried', () => receiver.requests.length === 2)
      const [, first] = await bench.opened.alerts.deliveries(TENANT, { limit: 2 })
      assert.ok((first?.nextTryAtUs ?? 0) > clock.nowUs() + 3_000_000_000)
    }),
  ))

test('A channel that is no more, and MQTT where nothing publishes, are dead letters that say so', () =>
  withBench(async (bench) => {
    await bench.set('ada', urlOf({ port: 1 }), { channels: [{ type: 'mqtt', topic: 'alerts' }] })
    await bench.fire(1)
    await until('it is dead', async () => (await stateOf(bench, 'ada'))?.state === 'dead')
    assert.match((await stateOf(bench, 'ada'))?.problem ?? '', /does not publish over MQTT/)
  }))

test('A dead endpoint is tried a few times, not once for each message, and none is lost', () =>
  withReceiver((receiver) =>
    withBench(async (bench) => {
      receiver.answer = (response) => response.writeHead(500).end()
      const rateLimit = { messages: 1000, perUs: 1_000_000 }
      await bench.set('ada', urlOf(receiver), { rateLimit })
      for (let n = 0; n < 40; n++) await bench.fire(n, { deviceId: `d-${n}` })
      const waiting = () => bench.opened.alerts.deliveries(TENANT, { state: 'waiting', limit: 100 })
      await until('it was tried', () => receiver.requests.length >= 5)
      await until('all wait', async () => (await waiting()).length === 40)
      // Those under way when it opened.
      assert.ok(receiver.requests.length <= 5 + 3, `${receiver.requests.length} tries`)
    }),
  ))

test('A test message says that it is one, and what the receiver answers is told to who asked', () =>
  withReceiver((receiver) =>
    withBench(async (bench) => {
      await bench.set('ada', urlOf(receiver))
      await bench.opened.alerts.test(TENANT, 'ada')
      assert.match(receiver.requests[0]?.body ?? '', /nothing is wrong/)
      receiver.answer = (response) => response.writeHead(404).end()
      await assert.rejects(bench.opened.alerts.test(TENANT, 'ada'), { code: 'NOTIFY_REFUSED' })
      assert.deepEqual(await bench.opened.alerts.list(TENANT, { limit: 1 }), [])
    }),
  ))
