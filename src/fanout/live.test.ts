import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { LiveEvent } from '../api/api.ts'
import { makeAlert } from '../api/testing/alert-body.ts'
import { SimulatedClock } from '../world/simulated-clock.ts'
import { LiveSink, LiveSource, type FollowedDevice } from './fanout.ts'
import { MemoryBus } from './memory-fanout.ts'

let processes = 0
/** Each process has ids of its own. */
const newRandom = () => {
  const number = ++processes
  return { bytes: (count: number) => new Uint8Array(count).fill(number) }
}

function setUp() {
  const clock = new SimulatedClock()
  const bus = new MemoryBus(clock)
  const registry = { devices: 7, isAway: false, waits: Promise.resolve(), asked: 0 }
  const countDevices = async (): Promise<number> => {
    registry.asked++
    await registry.waits
    if (registry.isAway) throw new Error('away')
    return registry.devices
  }
  const newSource = () => {
    const fanout = bus.open()
    const source = new LiveSource({ fanout, clock, random: newRandom(), countDevices })
    return Object.assign(source, { fanout })
  }
  const newSink = () => {
    const fanout = bus.open()
    const follows: (readonly FollowedDevice[])[] = []
    const onFollow = (devices: readonly FollowedDevice[]) => void follows.push(devices)
    const sink = new LiveSink({ fanout, clock, random: newRandom(), onFollow })
    return Object.assign(sink, { fanout, follows })
  }
  return { clock, bus, registry, newSource, newSink }
}

function watch(source: LiveSource, tenant: string, deviceIds: string[]) {
  const events: LiveEvent[] = []
  const end = source.subscribe({ tenant, deviceIds }, (event) => events.push(event))
  return { events, end, texts: () => events.map(textOf) }
}

function textOf({ event, data }: LiveEvent): string {
  if (event === 'rate')
    return `rate ${data.readings_per_second}/${data.messages_per_second} of ${data.devices}`
  return `${event} ${event === 'stream' ? data.state : data.device_id}`
}

const reading = (device_id: string) =>
  ({ event: 'reading', data: { device_id, metric: 'flow', ts: 1, value: 1 } }) as const

const alert = (device_id: string) => ({ event: 'alert', data: makeAlert({ device_id }) }) as const

const anomaly = (device_id: string) => {
  const data = { id: 'b', device_id, metric: 'flow', detector_id: 'z', ts: 1, value: 1, score: 9 }
  return { event: 'anomaly', data } as const
}

test('readings go to who follows the device, alerts and anomalies to the whole tenant', async () => {
  const { clock, newSource, newSink } = setUp()
  const [one, two] = [newSource(), newSource()]
  const [gateway, stage] = [newSink(), newSink()]
  const pump = watch(one, 'a', ['pump-1'])
  const fan = watch(two, 'a', ['fan-1'])
  const foreign = watch(two, 'b', ['pump-1'])
  await clock.run(100)
  for (const id of ['pump-1', 'fan-1', 'other']) {
    gateway.publish('a', reading(id))
    stage.publish('a', reading(id))
  }
  stage.publish('a', alert('other'))
  stage.publish('a', anomaly('other'))
  await clock.run(100)
  const always = ['alert other', 'anomaly other']
  assert.deepEqual(pump.texts(), ['reading pump-1', 'reading pump-1', ...always])
  assert.deepEqual(fan.texts(), ['reading fan-1', 'reading fan-1', ...always])
  assert.deepEqual(foreign.texts(), [])
  assert.deepEqual(pump.events[2], alert('other'))
})

test('a reading of a device that nobody follows is not even told', async () => {
  const { clock, newSource, newSink } = setUp()
  const [source, sink] = [newSource(), newSink()]
  watch(source, 'a', ['pump-1'])
  await clock.run(100)
  sink.publish('a', reading('other'))
  sink.publish('b', reading('pump-1'))
  await clock.run(100)
  assert.equal(sink.fanout.counts().published, 0)
})

test('sinks know of changes at once, and are told only of those', async () => {
  const { clock, newSource, newSink } = setUp()
  const [one, two, sink] = [newSource(), newSource(), newSink()]
  const pump = watch(one, 'a', ['pump-1'])
  const both = watch(two, 'a', ['pump-1', 'fan-1'])
  await clock.run(60_000)
  assert.ok(sink.isFollowed('a', 'fan-1'))
  both.end()
  await clock.run(50)
  assert.ok(!sink.isFollowed('a', 'fan-1'))
  assert.ok(sink.isFollowed('a', 'pump-1'))
  pump.end()
  await clock.run(50)
  assert.ok(!sink.isFollowed('a', 'pump-1'))
  const ids = sink.follows.map((devices) => devices.map(({ deviceId }) => deviceId).join(' '))
  assert.deepEqual(ids, ['pump-1', 'pump-1 fan-1', 'pump-1', ''])
})

test('a sink that comes later hears of what is followed within two seconds', async () => {
  const { clock, newSource, newSink } = setUp()
  watch(newSource(), 'a', ['pump-1'])
  await clock.run(10_000)
  const sink = newSink()
  await clock.run(2100)
  assert.ok(sink.isFollowed('a', 'pump-1'))
})

test('what a process followed that was killed is forgotten after six seconds', async () => {
  const { clock, newSource, newSink } = setUp()
  const [source, sink] = [newSource(), newSink()]
  watch(source, 'a', ['pump-1'])
  await clock.run(5000)
  await source.fanout.close()
  await clock.run(3000)
  assert.ok(sink.isFollowed('a', 'pump-1'))
  await clock.run(5000)
  assert.ok(!sink.isFollowed('a', 'pump-1'))
  assert.deepEqual(sink.follows.at(-1), [])
})

test('any number of devices can be followed, and unfollowed again', async () => {
  const { clock, newSource, newSink } = setUp()
  const [source, sink] = [newSource(), newSink()]
  const ids = Array.from({ length: 2500 }, (_, number) => `device-${number}`)
  const few = watch(source, 'a', ids.slice(0, 3))
  const all = watch(source, 'a', ids)
  await clock.run(100)
  assert.equal(sink.follows.at(-1)?.length, 2500)
  all.end()
  await clock.run(100)
  assert.equal(sink.follows.at(-1)?.length, 3)
  few.end()
  await clock.run(100)
  assert.equal(sink.follows.at(-1)?.length, 0)
})

test('rates of all gateways are one rate, without those that are gone', async () => {
  const { clock, newSource, newSink, registry } = setUp()
  const source = newSource()
  const [one, two] = [newSink(), newSink()]
  const page = watch(source, 'a', [])
  await clock.run(10_000)
  assert.deepEqual(page.texts(), [], 'nothing is heard, so nothing is said')
  const rate = (readings_per_second: number) => ({ readings_per_second, messages_per_second: 1 })
  for (let second = 0; second < 3; second++) {
    one.rate('a', rate(10))
    if (second === 0) two.rate('a', rate(5))
    if (second === 1) registry.isAway = true
    await clock.run(1000)
  }
  assert.deepEqual(page.texts(), Array(3).fill('rate 15/2 of 7'))
  one.rate('a', rate(10))
  await clock.run(1000)
  assert.equal(page.texts().at(-1), 'rate 10/1 of 7')
  await clock.run(5000)
  const { length } = page.events
  await clock.run(5000)
  assert.equal(page.events.length, length)
})

test('a registry that is slow to count is not asked again meanwhile', async () => {
  const { clock, newSource, newSink, registry } = setUp()
  const [page, sink] = [watch(newSource(), 'a', []), newSink()]
  registry.waits = new Promise<void>((resolve) => void clock.after(10_000, resolve))
  for (let second = 0; second < 8; second++) {
    sink.rate('a', { readings_per_second: 1, messages_per_second: 1 })
    await clock.run(1000)
  }
  assert.equal(registry.asked, 1)
  await clock.run(3000)
  assert.ok(page.events.length > 0)
})

test('events that come together travel together, and closing a sink leaves none behind', async () => {
  const { clock, newSource, newSink } = setUp()
  const [source, sink] = [newSource(), newSink()]
  const page = watch(source, 'a', ['pump-1'])
  await clock.run(100)
  for (let number = 0; number < 250; number++) sink.publish('a', reading('pump-1'))
  sink.close()
  await clock.run(1)
  assert.equal(page.events.length, 250)
  assert.equal(sink.fanout.counts().published, 3)
})

test('an ended subscriber hears nothing, and a closed source follows nothing', async () => {
  const { clock, newSource, newSink } = setUp()
  const [source, sink] = [newSource(), newSink()]
  const [gone, stays] = [watch(source, 'a', ['pump-1']), watch(source, 'a', ['pump-1'])]
  await clock.run(100)
  gone.end()
  gone.end()
  sink.publish('a', reading('pump-1'))
  await clock.run(100)
  assert.deepEqual([gone.texts(), stays.texts()], [[], ['reading pump-1']])
  source.close()
  await clock.run(100)
  assert.ok(!sink.isFollowed('a', 'pump-1'))
  sink.publish('a', alert('pump-1'))
  await clock.run(10_000)
  assert.equal(stays.events.length, 1)
})

test('what others say on the channels is counted and does no harm', async () => {
  const { clock, bus, newSource, newSink } = setUp()
  const [source, sink] = [newSource(), newSink()]
  const page = watch(source, 'a', ['pump-1'])
  await clock.run(100)
  const stranger = bus.open()
  for (const text of ['', '{', 'null', '{"from":1}', '{"from":"x","events":{},"devices":1}']) {
    stranger.publish('live.v1:a', text)
    stranger.publish('follow.v1', text)
  }
  stranger.publish('live.v1:a', '{"from":"x","events":[null]}')
  stranger.publish('follow.v1', '{"from":"x","page":0,"pages":1,"devices":[null]}')
  sink.publish('a', reading('pump-1'))
  await clock.run(3000)
  assert.deepEqual([source.malformed, sink.malformed], [5, 6])
  assert.deepEqual(page.texts(), ['reading pump-1'])
})
