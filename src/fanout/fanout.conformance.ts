/** What every fan-out must do. An adapter's test calls `testFanout` with how to open it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MESSAGE_LENGTH_MAX, type Fanout } from './fanout.ts'

export interface FanoutBench {
  /** A further connection to the same server. */
  open(): Promise<Fanout>
  pass(durationMs: number): Promise<void>
}

export interface FanoutTraits {
  name: string
  createBench: () => FanoutBench
  skip?: string | undefined
}

const TRIES = 2000

async function until(bench: FanoutBench, condition: () => boolean): Promise<void> {
  for (let tries = 0; !condition(); tries++) {
    assert.ok(tries < TRIES, 'it is still not so')
    await bench.pass(2)
  }
}

/** Listens, and waits until the subscription has begun. */
async function listen(
  bench: FanoutBench,
  { publisher, on, channel }: { publisher: Fanout; on: Fanout; channel: string },
): Promise<{ heard: string[]; end: () => void }> {
  const heard: string[] = []
  let hasBegun = false
  const end = on.subscribe(channel, (message) => {
    if (message === '?') hasBegun = true
    else heard.push(message)
  })
  await until(bench, () => {
    if (!hasBegun) publisher.publish(channel, '?')
    return hasBegun
  })
  return { heard, end }
}

export function testFanout({ name, createBench, skip }: FanoutTraits): void {
  const promise: Promised = (title, run) => {
    test(`${title} [${name}]`, { skip }, async () => {
      const bench = createBench()
      const opened: Fanout[] = []
      const open = async (): Promise<Fanout> => {
        opened.push(await bench.open())
        return opened.at(-1)!
      }
      try {
        await run({ ...bench, open })
      } finally {
        for (const fanout of opened) await fanout.close()
      }
    })
  }
  testMessages(promise)
  testEnds(promise)
  testFaults(promise)
}

type Promised = (title: string, run: (bench: FanoutBench) => Promise<void>) => void

function testMessages(promise: Promised): void {
  promise('F1 every listener hears a message once, in order, the publisher too', async (bench) => {
    const [publisher, one, two] = [await bench.open(), await bench.open(), await bench.open()]
    const parts = { publisher, channel: 'live' }
    const listeners = await Promise.all(
      [publisher, one, one, two].map((on) => listen(bench, { ...parts, on })),
    )
    const messages = Array.from({ length: 300 }, (_, number) => `message ${number}`)
    for (const message of messages) publisher.publish('live', message)
    publisher.publish('live', 'last')
    await until(bench, () => listeners.every(({ heard }) => heard.includes('last')))
    for (const { heard } of listeners) assert.deepEqual(heard, [...messages, 'last'])
  })

  promise('F1 messages come as they went', async (bench) => {
    const [publisher, on] = [await bench.open(), await bench.open()]
    const { heard } = await listen(bench, { publisher, on, channel: 'live' })
    const text = fc.string({ unit: 'binary', maxLength: 500 }).filter((text) => text !== '?')
    await fc.assert(
      fc.asyncProperty(fc.array(text, { maxLength: 20 }), async (messages) => {
        heard.length = 0
        for (const message of messages) publisher.publish('live', message)
        await until(bench, () => heard.length >= messages.length)
        assert.deepEqual(heard, messages)
      }),
      { numRuns: 20 },
    )
  })

  promise('F2 channels are apart, whatever their names', async (bench) => {
    const [publisher, on] = [await bench.open(), await bench.open()]
    const channels = ['live', 'live:', 'live:*', 'live:a', 'live:b', 'LIVE', 'live:\u{1f600}', '']
    const listeners = await Promise.all(
      channels.map((channel) => listen(bench, { publisher, on, channel })),
    )
    for (const channel of channels) publisher.publish(channel, `for ${channel}`)
    await until(bench, () => listeners.every(({ heard }) => heard.length > 0))
    assert.deepEqual(
      listeners.map(({ heard }) => heard),
      channels.map((channel) => [`for ${channel}`]),
    )
  })
}

function testEnds(promise: Promised): void {
  promise('F5 who has ended hears nothing more, others go on, and may come back', async (bench) => {
    const [publisher, on] = [await bench.open(), await bench.open()]
    const parts = { publisher, on, channel: 'live' }
    const [gone, stays] = [await listen(bench, parts), await listen(bench, parts)]
    publisher.publish('live', 'first')
    gone.end()
    publisher.publish('live', 'second')
    gone.end()
    await until(bench, () => stays.heard.length === 2)
    assert.deepEqual(gone.heard, [])
    stays.end()
    const back = await listen(bench, parts)
    publisher.publish('live', 'third')
    await until(bench, () => back.heard.length === 1)
    assert.deepEqual([gone.heard, stays.heard, back.heard], [[], ['first', 'second'], ['third']])
  })

  promise('F5 coming and going in one breath ends as the last word says', async (bench) => {
    const [publisher, on] = [await bench.open(), await bench.open()]
    const other = await listen(bench, { publisher, on, channel: 'other' })
    for (let time = 0; time < 5; time++) on.subscribe('live', () => assert.fail())()
    const { heard } = await listen(bench, { publisher, on, channel: 'live' })
    publisher.publish('live', 'message')
    publisher.publish('other', 'last')
    await until(bench, () => other.heard.length === 1)
    assert.deepEqual(heard, ['message'])
    assert.equal(on.counts().failed, 0)
  })

  promise('after it was closed all is dropped, and nothing throws', async (bench) => {
    const [publisher, on] = [await bench.open(), await bench.open()]
    const { heard, end } = await listen(bench, { publisher, on, channel: 'live' })
    await on.close()
    on.subscribe('live', () => assert.fail())
    publisher.publish('live', 'message')
    const { dropped } = on.counts()
    on.publish('live', 'message')
    await until(bench, () => on.counts().dropped === dropped + 1)
    assert.deepEqual(heard, [])
    end()
    await on.close()
  })
}

function testFaults(promise: Promised): void {
  promise('F3 a message that is too large is dropped and counted', async (bench) => {
    const [publisher, on] = [await bench.open(), await bench.open()]
    const { heard } = await listen(bench, { publisher, on, channel: 'live' })
    await until(bench, () => publisher.counts().published > 0)
    const before = publisher.counts()
    publisher.publish('live', 'x'.repeat(MESSAGE_LENGTH_MAX + 1))
    publisher.publish('live', 'x'.repeat(MESSAGE_LENGTH_MAX))
    await until(bench, () => heard.length > 0 && publisher.counts().published > before.published)
    assert.equal(publisher.counts().dropped, before.dropped + 1)
    assert.deepEqual(
      heard.map(({ length }) => length),
      [MESSAGE_LENGTH_MAX],
    )
  })

  promise('F3 a flood is told or counted as dropped, message by message', async (bench) => {
    const publisher = await bench.open()
    const message = 'x'.repeat(1000)
    for (let number = 0; number < 30_000; number++) publisher.publish('nobody', message)
    const total = (): number => publisher.counts().published + publisher.counts().dropped
    await until(bench, () => total() === 30_000)
    assert.ok(publisher.counts().dropped > 0)
    assert.ok(publisher.counts().published > 0)
  })

  promise('F6 a listener that throws is counted and disturbs no other', async (bench) => {
    const [publisher, on] = [await bench.open(), await bench.open()]
    on.subscribe('live', () => assert.fail('as it should'))
    const { heard } = await listen(bench, { publisher, on, channel: 'live' })
    publisher.publish('live', 'message')
    await until(bench, () => heard.length === 1)
    assert.ok(on.counts().failed > 0)
  })
}
