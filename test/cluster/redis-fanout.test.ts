import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { createClient } from '@redis/client'
import type { LiveEvent } from '../../src/api/api.ts'
import { testFanout } from '../../src/fanout/fanout.conformance.ts'
import { LiveSink, LiveSource } from '../../src/fanout/fanout.ts'
import { openRedisFanout } from '../../src/fanout/redis-fanout.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { until } from '../system/weir-process.ts'
import { accessOf, killService, restartService } from './cluster.ts'
import { openProxy } from './proxy.ts'

const url = accessOf('redis')?.['url'] ?? ''
const skip = url === '' ? 'Redis does not run: npm run -s cluster:up -- redis' : undefined

let prefixes = 0
const newPrefix = (): string => `weir-test-${process.pid}-${++prefixes}`

/** What a test that fails leaves open would keep the run alive. */
const opened: { close(): unknown }[] = []
after(() => Promise.all(opened.map((one) => one.close())))

async function open({ prefix = newPrefix(), at = url } = {}) {
  const fanout = openRedisFanout({ access: { url: at, prefix }, world: nodeWorld })
  opened.push(fanout)
  await until('Redis is connected', () => fanout.problem === undefined)
  return fanout
}

testFanout({
  name: 'Redis',
  skip,
  createBench() {
    const prefix = newPrefix()
    return { open: () => open({ prefix }), pass: (ms) => delay(ms) }
  },
})

/** Connections that Redis sends this channel to. */
async function listening(prefix: string, channel: string): Promise<number> {
  const client = createClient({ url })
  await client.connect()
  const name = `${prefix}:fanout:${channel}`
  const counts = await client.pubSubNumSub([name]).finally(() => client.destroy())
  return Number(counts[name])
}

test('F5 what nobody listens to any more is not sent any more', { skip }, async () => {
  const prefix = newPrefix()
  const fanout = await open({ prefix })
  const ends = [1, 2].map(() => fanout.subscribe('live', () => undefined))
  await until('it is sent', async () => (await listening(prefix, 'live')) === 1)
  ends[0]!()
  ends[1]!()
  await until('it is not', async () => (await listening(prefix, 'live')) === 0)
})

test('F3 a server that is not there: all is dropped at once, its password is not told', async () => {
  const access = { url: 'redis://weir:s3cr3t@127.0.0.1:1', prefix: 'weir' }
  const fanout = openRedisFanout({ access, world: nodeWorld })
  fanout.subscribe('live', () => assert.fail())()
  for (let number = 0; number < 1000; number++) fanout.publish('live', 'message')
  await until('it was counted', () => fanout.counts().dropped === 1000)
  await until('it was tried', () => fanout.problem?.includes('127.0.0.1:1') === true)
  assert.doesNotMatch(fanout.problem ?? '', /s3cr3t/)
  await fanout.close()
})

test(
  'F4 connections that are cut: who came meanwhile is heard, who left is not',
  { skip },
  async () => {
    const prefix = newPrefix()
    const proxy = await openProxy(Number(new URL(url).port))
    opened.push(proxy)
    const through = Object.assign(new URL(url), { port: String(proxy.port) }).href
    const [publisher, on] = [await open({ prefix }), await open({ prefix, at: through })]
    const heard: string[] = []
    const subscribe = (channel: string) => on.subscribe(channel, (text) => heard.push(text))
    const told = async (channel: string): Promise<boolean> => {
      publisher.publish(channel, channel)
      await delay(5)
      return heard.includes(channel)
    }
    const [leaves] = [subscribe('leaves'), subscribe('stays'), subscribe('leaves and comes')]
    for (const channel of ['leaves', 'stays', 'leaves and comes'])
      await until('it is heard', () => told(channel))
    proxy.freeze()
    proxy.cut()
    await until('it is away', () => on.problem !== undefined)
    leaves()
    subscribe('comes')
    proxy.thaw()
    for (const channel of ['stays', 'comes', 'leaves and comes']) {
      heard.length = 0
      await until('it is heard again', () => told(channel))
    }
    heard.length = 0
    assert.equal(await told('leaves'), false)
    await until('it is not sent', async () => (await listening(prefix, 'leaves')) === 0)
    // Each once, however often it was subscribed to underneath.
    for (const channel of ['stays', 'comes', 'leaves', 'leaves and comes', 'stays'])
      publisher.publish(channel, channel)
    await until('all is heard', () => heard.filter((one) => one === 'stays').length === 2)
    assert.deepEqual(heard, ['stays', 'comes', 'leaves and comes', 'stays'])
  },
)

test(
  'live events reach people over Redis, not while it is away, and again after it',
  { skip },
  async () => {
    const prefix = newPrefix()
    const [here, there] = [await open({ prefix }), await open({ prefix })]
    const { clock, random } = nodeWorld
    const source = new LiveSource({ fanout: here, clock, random, countDevices: async () => 3 })
    const sink = new LiveSink({ fanout: there, clock, random })
    const events: LiveEvent[] = []
    source.subscribe({ tenant: 'a', deviceIds: ['pump-1'] }, (event) => events.push(event))
    let [ts, isOver] = [0, false]
    opened.push({ close: () => (isOver = true) })
    // What a stage does; it must never notice.
    const stage = (async () => {
      while (!isOver) {
        const data = { device_id: 'pump-1', metric: 'flow', ts: ++ts, value: 1 }
        const startMs = performance.now()
        sink.publish('a', { event: 'reading', data })
        sink.rate('a', { readings_per_second: 1, messages_per_second: 1 })
        assert.ok(performance.now() - startMs < 50)
        await delay(5)
      }
    })()
    const kinds = () => [...new Set(events.map(({ event }) => event))].toSorted().join()
    await until('both are heard', () => kinds() === 'rate,reading', 20_000)
    await killService('redis')
    try {
      events.length = 0
      const before = there.counts().dropped
      await until('what is told is dropped', () => there.counts().dropped > before + 20)
      assert.ok(!events.some(({ event }) => event === 'reading'))
      // Away for longer than it takes to forget what is followed.
      await until('it is forgotten', () => !sink.isFollowed('a', 'pump-1'), 20_000)
    } finally {
      await restartService('redis')
    }
    events.length = 0
    await until('both are heard again', () => kinds() === 'rate,reading', 20_000)
    const times = events.flatMap(({ event, data }) => (event === 'reading' ? [data.ts] : []))
    assert.deepEqual(
      times,
      [...new Set(times)].toSorted((a, b) => a - b),
    )
    isOver = true
    await stage
    source.close()
    sink.close()
  },
)
