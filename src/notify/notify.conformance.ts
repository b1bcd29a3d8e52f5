/** What every channel must do. Its test calls `testChannel` with a real receiver of its kind. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { WeirError, type ErrorCode } from '../errors/errors.ts'
import { toDigest } from './digest.ts'
import { closedPort, openSilentReceiver } from './http-receiver-fixture.ts'
import { notificationOf, NOW_US } from './notification-fixture.ts'
import type { Channel } from './notify.ts'

/** As a person or program finds it at the receiver. */
export interface Received {
  text: string
  /** Undefined where the kind has no place for it. */
  key: string | undefined
}

export interface ChannelBench {
  /** To the receiver, or to another port than its own. */
  open(how?: { port?: number; timeoutMs?: number }): Channel
  /** With a credential or address that the receiver does not take. */
  openRefused(): Channel
  /** All that arrived so far, in order. */
  received(): Promise<Received[]>
  /** What no error may show. */
  secrets: readonly string[]
  close(): Promise<void>
}

export interface ChannelTraits {
  name: string
  skip?: string | undefined
  createBench(): Promise<ChannelBench>
  /** The receiver drops what comes a second time with the same key. */
  dropsRepeats?: boolean
  /** Its kind has no place for the key. */
  hasNoKey?: boolean
  /** Too short for all of it: only the title. */
  isShort?: boolean
}

type Promised = (name: string, run: (bench: ChannelBench) => Promise<void>) => void

export function testChannel(traits: ChannelTraits): void {
  const promise: Promised = (name, run) => {
    test(`${name} [${traits.name}]`, { skip: traits.skip }, async () => {
      const bench = await traits.createBench()
      try {
        await run(bench)
      } finally {
        await bench.close()
      }
    })
  }
  testDelivery(promise, traits)
  testFailures(promise)
  testLimits(promise)
}

function testDelivery(promise: Promised, traits: ChannelTraits): void {
  promise('N1 what send() resolved for is with the receiver, and says what is wrong', async (b) => {
    await using channel = closing(b.open())
    await channel.send(notificationOf(), 'key-1')
    const [received, ...others] = await b.received()
    assert.equal(others.length, 0)
    for (const part of ['critical', 'pump-01', '93.2', '80', 'https://weir.example/alerts/alert-1'])
      assert.ok(received!.text.includes(part), `${part} in ${received!.text}`)
    if (traits.isShort === true) return
    for (const part of ['hot', 'temperature > 80', '71.4'])
      assert.ok(received!.text.includes(part), `${part} in ${received!.text}`)
  })

  promise('N1 a digest is one message that says how many', async (b) => {
    await using channel = closing(b.open())
    const many = Array.from({ length: 1234 }, (_, n) =>
      notificationOf({ id: `alert-${n}`, deviceId: `pump-${n}` }),
    )
    const about = { id: 'digest-1', createdAtUs: NOW_US, link: 'https://weir.example/alerts' }
    await channel.send(toDigest(many, about), 'key-1')
    const received = await b.received()
    assert.equal(received.length, 1)
    assert.match(received[0]!.text, /1,?234/)
  })

  promise('N3 every try carries the same key', async (b) => {
    await using channel = closing(b.open())
    await channel.send(notificationOf(), 'the-same')
    await channel.send(notificationOf(), 'the-same')
    await channel.send(notificationOf(), 'another')
    const same = traits.dropsRepeats === true ? ['the-same'] : ['the-same', 'the-same']
    const keys = (await b.received()).map(({ key }) => key)
    const expected = [...same, 'another'].map((key) => (traits.hasNoKey ? undefined : key))
    assert.deepEqual(keys, expected)
  })

  promise(
    'N6 whatever a device and a rule are called, it is one message of that text',
    async (b) => {
      await using channel = closing(b.open())
      for (const [at, name] of HOSTILE.entries()) {
        const alert = { deviceId: name, ruleId: name, condition: name, metric: name, unit: name }
        await channel.send(notificationOf({ ...alert, value: name }), `hostile-${at}`)
      }
      const received = await b.received()
      assert.equal(received.length, HOSTILE.length)
      if (traits.hasNoKey === true) return
      assert.deepEqual(
        received.map(({ key }) => key),
        HOSTILE.map((_, at) => `hostile-${at}`),
      )
    },
  )
}

/** Headers, ends of messages, markup, mentions, other directions of writing, length. */
const HOSTILE = [
  'a\r\nBcc: thief@example.com\r\n\r\nhello',
  '.\r\nQUIT\r\n',
  '<script>alert(1)</script> "quoted" \'so\' & <!channel> @everyone',
  '\u202Egnp.exe\u0000\u2028',
  '💥'.repeat(3000),
  '__proto__',
]

function testFailures(promise: Promised): void {
  promise('N2 nobody there: another try can help', async (b) => {
    await using channel = closing(b.open({ port: await closedPort() }))
    await failsAs(channel, 'NOTIFY_UNAVAILABLE', b.secrets)
  })

  promise('N2, N5 refused: another try cannot help, and the secret is not told', async (b) => {
    await using channel = closing(b.openRefused())
    await failsAs(channel, 'NOTIFY_REFUSED', b.secrets)
    assert.equal((await b.received()).length, 0)
  })
}

const TIMEOUT_MS = 300
/** What a busy machine may take longer. */
const LATE_MS_MAX = 2000

function testLimits(promise: Promised): void {
  promise(
    'N4 a receiver that says nothing is waited for no longer than the time-out',
    async (b) => {
      const silent = await openSilentReceiver()
      try {
        await using channel = closing(b.open({ port: silent.port, timeoutMs: TIMEOUT_MS }))
        const startMs = performance.now()
        await failsAs(channel, 'NOTIFY_UNAVAILABLE', b.secrets)
        const tookMs = performance.now() - startMs
        assert.ok(tookMs >= TIMEOUT_MS - 5 && tookMs < TIMEOUT_MS + LATE_MS_MAX, `${tookMs} ms`)
        await until(() => silent.open === 0)
      } finally {
        await silent.close()
      }
    },
  )

  promise('N4 close() ends what is under way', async (b) => {
    const silent = await openSilentReceiver()
    try {
      const channel = b.open({ port: silent.port, timeoutMs: 60_000 })
      const failing = failsAs(channel, 'NOTIFY_UNAVAILABLE', b.secrets)
      await until(() => silent.open === 1)
      channel.close()
      await failing
      await until(() => silent.open === 0)
    } finally {
      await silent.close()
    }
  })
}

async function until(condition: () => boolean): Promise<void> {
  const endMs = performance.now() + LATE_MS_MAX
  while (!condition()) {
    assert.ok(performance.now() < endMs, String(condition))
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

export async function failsAs(
  channel: Channel,
  code: ErrorCode,
  secrets: readonly string[] = [],
): Promise<WeirError> {
  let failed: unknown
  try {
    await channel.send(notificationOf(), 'key-1')
  } catch (error) {
    failed = error
  }
  assert.ok(failed instanceof WeirError, inspect(failed))
  assert.equal(failed.code, code, inspect(failed))
  const text = inspect(failed, { depth: 20, showHidden: true })
  for (const secret of secrets) assert.ok(!text.includes(secret), text)
  return failed
}

const closing = (channel: Channel): Channel & AsyncDisposable =>
  Object.assign(channel, {
    [Symbol.asyncDispose]: () => {
      channel.close()
      return Promise.resolve()
    },
  })
