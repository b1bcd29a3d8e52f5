import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Clock } from '../world/world.ts'
import { Fleet, isOffline, planDevice, type FleetDevice } from './fleet.ts'

const START_US = 1_790_000_000_000_000

/** Time that moves only when told. */
class SteppedClock implements Clock {
  #us = START_US
  #timers: { dueUs: number; run: () => void; everyUs: number | undefined }[] = []

  nowUs(): number {
    return this.#us
  }

  monotonicMs(): number {
    return this.#us / 1000
  }

  after(delayMs: number, run: () => void): () => void {
    return this.#add(delayMs, run, undefined)
  }

  every(intervalMs: number, run: () => void): () => void {
    return this.#add(intervalMs, run, intervalMs * 1000)
  }

  soon(run: () => void): void {
    this.after(0, run)
  }

  #add(delayMs: number, run: () => void, everyUs: number | undefined): () => void {
    const timer = { dueUs: this.#us + delayMs * 1000, run, everyUs }
    this.#timers.push(timer)
    return () => void (this.#timers = this.#timers.filter((other) => other !== timer))
  }

  advance(ms: number): void {
    const untilUs = this.#us + ms * 1000
    for (;;) {
      const [next] = this.#timers.toSorted((a, b) => a.dueUs - b.dueUs)
      if (next === undefined || next.dueUs > untilUs) break
      this.#us = Math.max(this.#us, next.dueUs)
      if (next.everyUs === undefined) this.#timers = this.#timers.filter((timer) => timer !== next)
      else next.dueUs += next.everyUs
      next.run()
    }
    this.#us = untilUs
  }
}

interface Recorded extends FleetDevice {
  sent: { ts: number; metrics: object }[]
  online: boolean[]
}

function record(index: number): Recorded {
  const planned = planDevice(index)
  const recorded: Recorded = {
    ...planned,
    sent: [],
    online: [],
    uplink: {
      send: (payload) => {
        recorded.sent.push(JSON.parse(payload) as Recorded['sent'][number])
        return Promise.resolve()
      },
      setOnline: (isOnline) => void recorded.online.push(isOnline),
      close: () => Promise.resolve(),
    },
  }
  return recorded
}

test('devices are named by type and number, and types take turns', () => {
  const ids = [0, 1, 5, 49].map((index) => planDevice(index).id)
  assert.deepEqual(ids, ['pump-01', 'freezer-01', 'pump-02', 'tracker-10'])
  assert.equal(new Set(Array.from({ length: 1000 }, (_, i) => planDevice(i).id)).size, 1000)
})

test('each device sends one message an interval, at a moment of its own', () => {
  const clock = new SteppedClock()
  const devices = Array.from({ length: 20 }, (_, index) => record(index))
  const fleet = new Fleet({ devices, seed: 1, intervalMs: 1000, clock })
  fleet.start()
  clock.advance(10_000)
  for (const device of devices) {
    const fresh = new Set(device.sent.map(({ ts }) => ts))
    assert.equal(fresh.size, 10, device.id)
  }
  assert.ok(new Set(devices.map((device) => (device.sent[0]?.ts ?? 0) % 1000)).size > 10)
})

test('the same seed tells the same story, another seed another one', () => {
  const story = (seed: number): unknown => {
    const clock = new SteppedClock()
    const devices = Array.from({ length: 5 }, (_, index) => record(index))
    new Fleet({ devices, seed, intervalMs: 1000, clock }).start()
    clock.advance(60_000)
    return devices.map(({ sent }) => sent)
  }
  assert.deepEqual(story(4), story(4))
  assert.notDeepEqual(story(4), story(5))
})

test('after an outage a device sends its last messages again, the same to the byte', () => {
  const clock = new SteppedClock()
  const devices = Array.from({ length: 30 }, (_, index) => record(index))
  const fleet = new Fleet({ devices, seed: 2, intervalMs: 1000, clock })
  fleet.start()
  clock.advance(1_200_000)
  const returned = devices.filter(({ online }) => online.includes(true))
  assert.ok(returned.length > 0, 'somebody had an outage')
  for (const { sent, online, id } of returned) {
    assert.deepEqual(online.slice(0, 2), [false, true], id)
    const byTime = new Map<number, string>()
    let repeats = 0
    for (const message of sent) {
      const text = JSON.stringify(message)
      if (byTime.has(message.ts)) repeats++
      assert.equal(byTime.get(message.ts) ?? text, text)
      byTime.set(message.ts, text)
    }
    assert.equal(repeats, 2 * online.filter(Boolean).length)
  }
  assert.equal(
    fleet.statistics.repeated,
    2 * returned.flatMap(({ online }) => online).filter(Boolean).length,
  )
})

test('about one device in 120 is offline at any time', () => {
  let offline = 0
  for (let device = 0; device < 400; device++)
    for (let minute = 0; minute < 50; minute++)
      if (isOffline(9, `device-${device}`, START_US + minute * 60_000_000)) offline++
  // 1/6 of ten-minute spans, 30 s each: 0.83 %.
  assert.ok(Math.abs(offline / 20_000 - 1 / 120) < 0.003, String(offline))
})

test('stop() ends the measuring', async () => {
  const clock = new SteppedClock()
  const device = record(0)
  const fleet = new Fleet({ devices: [device], seed: 1, intervalMs: 1000, clock })
  fleet.start()
  clock.advance(5000)
  await fleet.stop()
  const count = device.sent.length
  clock.advance(5000)
  assert.equal(device.sent.length, count)
})
