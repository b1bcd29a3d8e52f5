import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { nodeWorld } from '../world/node-world.ts'
import { openDnsServer } from './dns-fixture.ts'
import { openHttpReceiver, openSilentReceiver, type HttpReceiver } from './http-receiver-fixture.ts'
import { notificationOf } from './notification-fixture.ts'
import { failsAs, testChannel } from './notify.conformance.ts'
import { retryAfterMsOf } from './notify.ts'
import { CERTIFICATE } from './tls-fixture.ts'
import { openWebhook, type WebhookOptions } from './webhook.ts'

const SECRET = 'whsec-of-the-test'
const PATH = '/hook/path-that-is-a-secret?token=query-that-is-one'
const { clock } = nodeWorld

const open = (port: number, how: Partial<WebhookOptions> = {}) =>
  openWebhook({
    ...{ url: `http://127.0.0.1:${port}${PATH}`, secret: SECRET, clock, allowPrivate: true },
    ...how,
  })

/** A receiver for the length of a test. */
async function withReceiver(
  run: (receiver: HttpReceiver) => Promise<void>,
  how: { isTls?: boolean } = {},
): Promise<void> {
  const receiver = await openHttpReceiver(how)
  try {
    await run(receiver)
  } finally {
    await receiver.close()
  }
}

testChannel({
  name: 'webhook',
  async createBench() {
    const receiver = await openHttpReceiver()
    return {
      open: ({ port = receiver.port, ...how } = {}) => open(port, how),
      openRefused() {
        receiver.answer = (response, { path, body }) => {
          receiver.requests.pop()
          response.writeHead(401).end(`${SECRET} ${path} ${body}`)
        }
        return open(receiver.port)
      },
      received: async () =>
        receiver.requests.map(({ body, headers }) => ({
          text: body,
          key: headers['idempotency-key'] as string,
        })),
      secrets: [SECRET, 'path-that-is-a-secret', 'query-that-is-one'],
      close: () => receiver.close(),
    }
  },
})

test('The body is signed with the secret and the time', async () => {
  await withReceiver(async (receiver) => {
    await open(receiver.port).send(notificationOf(), 'key-1')
    const { headers, body, method, path } = receiver.requests[0]!
    assert.deepEqual([method, path], ['POST', PATH])
    const [, seconds, hex] =
      /^t=(\d+),v1=([0-9a-f]{64})$/.exec(String(headers['x-weir-signature'])) ?? []
    assert.ok(Math.abs(Number(seconds) - Date.now() / 1000) < 60)
    assert.equal(hex, createHmac('sha256', SECRET).update(`${seconds}.${body}`).digest('hex'))
    const { id, alert } = JSON.parse(body) as { id: string; alert: Record<string, unknown> }
    assert.equal(id, 'notification-1')
    assert.deepEqual(
      [alert['device_id'], alert['rule_id'], alert['severity'], alert['state']],
      ['pump-01', 'hot', 'critical', 'firing'],
    )
    assert.deepEqual(
      [alert['triggered_at'], alert['resolved_at']],
      ['2026-11-24T02:58:00.000Z', null],
    )
  })
})

test('N2 2xx is delivered; 408, 425, 429 and 5xx come again; all else is for good', async () => {
  await withReceiver(async (receiver) => {
    const channel = open(receiver.port)
    for (const status of [200, 201, 202, 204, 299]) {
      receiver.answer = (response) => void response.writeHead(status).end()
      await channel.send(notificationOf(), 'key-1')
    }
    for (const status of [408, 425, 429, 500, 502, 503, 504, 599]) {
      receiver.answer = (response) => void response.writeHead(status).end()
      await failsAs(channel, 'NOTIFY_UNAVAILABLE')
    }
    for (const status of [400, 401, 403, 404, 410, 413, 418, 422, 451]) {
      receiver.answer = (response) => void response.writeHead(status).end()
      await failsAs(channel, 'NOTIFY_REFUSED')
    }
  })
})

test('N2 Retry-After is told, as seconds and as a date, up to an hour', async () => {
  await withReceiver(async (receiver) => {
    const waits = async (given: string): Promise<number | undefined> => {
      receiver.answer = (response) => void response.writeHead(503, { 'retry-after': given }).end()
      return retryAfterMsOf(await failsAs(open(receiver.port), 'NOTIFY_UNAVAILABLE'))
    }
    assert.equal(await waits('7'), 7000)
    assert.equal(await waits('999999999'), 3_600_000)
    assert.equal(await waits('soon'), undefined)
    const inAMinute = (await waits(new Date(Date.now() + 60_000).toUTCString())) ?? 0
    assert.ok(inAMinute > 50_000 && inAMinute <= 60_000, String(inAMinute))
    assert.equal(await waits(new Date(0).toUTCString()), undefined)
  })
})

test('A redirect is not followed, wherever it leads', async () => {
  await withReceiver(async (other) => {
    await withReceiver(async (receiver) => {
      for (const status of [301, 302, 303, 307, 308]) {
        receiver.answer = (response) =>
          void response.writeHead(status, { location: `http://127.0.0.1:${other.port}/` }).end()
        const { message } = await failsAs(open(receiver.port), 'NOTIFY_REFUSED')
        assert.match(message, /redirects are not followed/)
      }
      assert.equal(other.connections, 0)
    })
  })
})

test('N4 an answer that never ends, and one that drips, cost no more than the time-out', async () => {
  await withReceiver(async (receiver) => {
    const channel = open(receiver.port, { timeoutMs: 300 })
    const startMs = performance.now()
    receiver.answer = (response) => {
      response.writeHead(500)
      const timer = setInterval(() => response.write('x'), 20)
      response.on('close', () => clearInterval(timer))
    }
    await failsAs(channel, 'NOTIFY_UNAVAILABLE')
    receiver.answer = (response) => {
      response.writeHead(404)
      const flood = Buffer.alloc(65_536, 'y')
      const pour = (): void => {
        while (!response.destroyed && response.write(flood));
      }
      response.on('drain', pour)
      pour()
    }
    const { message } = await failsAs(channel, 'NOTIFY_REFUSED')
    assert.ok(message.length < 400)
    assert.ok(performance.now() - startMs < 3000)
  })
})

test('N4 who takes the connection and says nothing of TLS is left after the time to connect', async () => {
  const silent = await openSilentReceiver()
  try {
    const startMs = performance.now()
    const url = `https://127.0.0.1:${silent.port}/`
    const channel = open(silent.port, { url, connectTimeoutMs: 200, timeoutMs: 8000 })
    const { message } = await failsAs(channel, 'NOTIFY_UNAVAILABLE')
    assert.match(message, /no connection within 200 ms/)
    assert.ok(performance.now() - startMs < 4000)
  } finally {
    await silent.close()
  }
})

test('N4 2xx is delivered even if its body never ends', async () => {
  await withReceiver(async (receiver) => {
    receiver.answer = (response) => void response.writeHead(200).write('never ending')
    await open(receiver.port, { timeoutMs: 5000 }).send(notificationOf(), 'key-1')
  })
})

test('Without permission no private address is reached, by number or by name', async () => {
  await withReceiver(async (receiver) => {
    for (const host of ['127.0.0.1', '0x7f.1', '2130706433', '0177.0.0.1', '0', '[::1]'])
      assert.throws(
        () => openWebhook({ url: `https://${host}:${receiver.port}/`, secret: SECRET, clock }),
        { code: 'NOTIFY_ADDRESS_FORBIDDEN' },
        host,
      )
    const url = `https://localhost:${receiver.port}/`
    await failsAs(openWebhook({ url, secret: SECRET, clock }), 'NOTIFY_ADDRESS_FORBIDDEN')
    assert.equal(receiver.connections, 0)
  })
})

test('A name of which one address is private is refused, whichever comes first', async () => {
  const dns = await openDnsServer(() => ['93.184.216.34', '10.0.0.1'])
  try {
    const url = 'https://both.example/'
    const channel = openWebhook({ url, secret: SECRET, clock, resolve: dns.resolve })
    await failsAs(channel, 'NOTIFY_ADDRESS_FORBIDDEN')
  } finally {
    dns.close()
  }
})

test('A name that answers otherwise the second time is connected to as it was checked', async () => {
  await withReceiver(async (receiver) => {
    let questions = 0
    // The first answer passes the check (here private ones are allowed, so that it can be reached).
    const dns = await openDnsServer(() => [questions++ === 0 ? '127.0.0.1' : '127.0.0.2'])
    try {
      const url = `http://rebinding.example:${receiver.port}/`
      await open(receiver.port, { url, resolve: dns.resolve }).send(notificationOf(), 'key-1')
      assert.equal(questions, 1, 'a second question would get the other address')
      assert.equal(receiver.requests[0]!.headers.host, `rebinding.example:${receiver.port}`)
    } finally {
      dns.close()
    }
  })
})

test('TLS speaks of the name, though the connection goes to the checked address', async () => {
  await withReceiver(
    async (receiver) => {
      const dns = await openDnsServer(() => ['127.0.0.1'])
      try {
        const url = `https://receiver.test:${receiver.port}/`
        const channel = open(receiver.port, { url, resolve: dns.resolve })
        // Nobody vouches for its certificate; the name in it would be right.
        const { message } = await failsAs(channel, 'NOTIFY_UNAVAILABLE')
        assert.match(message, /SELF_SIGNED/)
        const trusting = open(receiver.port, { url, resolve: dns.resolve, ca: CERTIFICATE })
        await trusting.send(notificationOf(), 'key-1')
        assert.equal(receiver.requests[0]!.serverName, 'receiver.test')
        const other = `https://other.test:${receiver.port}/`
        const wrong = open(receiver.port, { url: other, resolve: dns.resolve, ca: CERTIFICATE })
        assert.match((await failsAs(wrong, 'NOTIFY_UNAVAILABLE')).message, /ALTNAME/)
      } finally {
        dns.close()
      }
    },
    { isTls: true },
  )
})

test('A resolver that hangs is waited for no longer than the time-out', async () => {
  const resolve = (): Promise<string[]> => new Promise(() => undefined)
  const url = 'https://slow.example/'
  const channel = openWebhook({ url, secret: SECRET, clock, timeoutMs: 200, resolve })
  await failsAs(channel, 'NOTIFY_UNAVAILABLE')
})

test('Addresses that no webhook may have are refused when they are given, without being shown', () => {
  const refused = [
    ['http://example.com/', 'NOTIFY_ENDPOINT_INVALID'],
    ['file:///etc/passwd', 'NOTIFY_ENDPOINT_INVALID'],
    ['gopher://example.com/', 'NOTIFY_ENDPOINT_INVALID'],
    ['javascript:alert(1)', 'NOTIFY_ENDPOINT_INVALID'],
    ['https://user:hidden-password@example.com/', 'NOTIFY_ENDPOINT_INVALID'],
    ['https://user@example.com/', 'NOTIFY_ENDPOINT_INVALID'],
    ['https://', 'NOTIFY_ENDPOINT_INVALID'],
    ['not an address', 'NOTIFY_ENDPOINT_INVALID'],
    [`https://example.com/${'a'.repeat(3000)}`, 'NOTIFY_ENDPOINT_INVALID'],
    ['https://[::ffff:10.0.0.1]/', 'NOTIFY_ADDRESS_FORBIDDEN'],
    ['https://169.254.169.254/latest/meta-data/', 'NOTIFY_ADDRESS_FORBIDDEN'],
  ] as const
  for (const [url, code] of refused) {
    assert.throws(
      () => openWebhook({ url, secret: SECRET, clock }),
      (error: Error & { code?: string }) => {
        assert.equal(error.code, code, url)
        assert.doesNotMatch(inspect(error, { depth: 10 }), /hidden-password/)
        return true
      },
    )
  }
  openWebhook({ url: 'http://example.com/', secret: SECRET, clock, allowHttp: true })
  assert.throws(() => openWebhook({ url: 'https://example.com/', secret: '', clock }), {
    code: 'NOTIFY_ENDPOINT_INVALID',
  })
})
