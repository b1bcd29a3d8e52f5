import assert from 'node:assert/strict'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, beforeEach, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { LiveEvent } from '../api/api.ts'
import { RequestError } from './api.ts'
import type { PageWorld } from './browser-world.ts'
import { LiveConnection, type LiveState } from './live.ts'

/** Time that moves only when a test says so. */
class ManualClock {
  #nowMs = 0
  #timers = new Map<number, { atMs: number; callback: () => void }>()
  #last = 0

  nowUs = (): number => this.#nowMs * 1000
  monotonicMs = (): number => this.#nowMs
  every = (): (() => void) => assert.fail('the connection has no periodic timers')

  after = (delayMs: number, callback: () => void): (() => void) => {
    const id = ++this.#last
    this.#timers.set(id, { atMs: this.#nowMs + delayMs, callback })
    return () => void this.#timers.delete(id)
  }

  advance(ms: number): void {
    this.#nowMs += ms
    for (const [id, { atMs, callback }] of this.#timers) {
      if (atMs > this.#nowMs) continue
      this.#timers.delete(id)
      callback()
    }
  }
}

/** A real server whose live answers the test holds in its hand. */
let status = 200
let streams: ServerResponse[] = []
let paths: string[] = []
/** Answers wait for it. */
let gate = Promise.resolve()
const server = createServer(async (request, response) => {
  paths.push(request.url ?? '')
  await gate
  response.writeHead(status, { 'content-type': 'text/event-stream' })
  if (status !== 200) return response.end()
  response.write(': hello\n\n')
  streams.push(response)
})
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
after(() => {
  server.closeAllConnections()
  server.close()
})

const api = {
  async live(deviceIds: readonly string[], signal: AbortSignal): Promise<Response> {
    const response = await fetch(url + deviceIds.join(','), { signal })
    if (!response.ok) throw new RequestError(response.status, 'refused', '')
    return response
  },
}

let clock: ManualClock
let events: LiveEvent[]
let openings: boolean[]
let states: LiveState['name'][]
let delays: number[]
let connection: LiveConnection

beforeEach(() => {
  connection?.close()
  status = 200
  streams = []
  paths = []
  events = []
  openings = []
  states = []
  delays = []
  gate = Promise.resolve()
  clock = new ManualClock()
  const world: PageWorld = { clock, random: { unit: () => 1 } }
  connection = new LiveConnection(api, world, {
    onEvent: (event) => events.push(event),
    onOpen: ({ isMove }) => openings.push(isMove),
    onState: (state) => {
      states.push(state.name)
      if (state.name === 'waiting') delays.push(state.retryAtMs - clock.monotonicMs())
    },
  })
})
after(() => connection.close())

async function until(condition: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + 5000
  while (!condition()) {
    assert.ok(performance.now() < deadlineMs, `not within 5 s: ${condition.toString()}`)
    await sleep(2)
  }
}

const rate = 'event: rate\ndata: {"readings_per_second":1,"messages_per_second":1,"devices":1}\n\n'

test('events reach the listener as they come', async () => {
  connection.follow(['a'])
  await until(() => openings.length === 1)
  streams[0]?.write(rate)
  await until(() => events.length === 1)
  assert.equal(events[0]?.event, 'rate')
})

test('W1 after a cut it connects again, and the delay doubles until an event comes', async () => {
  connection.follow([])
  await until(() => openings.length === 1)
  status = 503
  streams[0]?.destroy()
  await until(() => states.at(-1) === 'waiting')
  for (const delayMs of [500, 1000, 2000]) {
    assert.equal(delays.at(-1), delayMs)
    const asked = paths.length
    clock.advance(delayMs)
    await until(() => paths.length === asked + 1 && states.at(-1) === 'waiting')
  }
  status = 200
  clock.advance(4000)
  await until(() => openings.length === 2)
  streams.at(-1)?.write(rate)
  await until(() => events.length === 1)
  streams.at(-1)?.destroy()
  await until(() => states.at(-1) === 'waiting')
  assert.equal(delays.at(-1), 500)
})

test('W1 a line on which nothing was heard for 20 s is dead', async () => {
  connection.follow([])
  await until(() => openings.length === 1)
  clock.advance(19_999)
  assert.equal(states.at(-1), 'open')
  clock.advance(1)
  await until(() => states.at(-1) === 'waiting')
  clock.advance(500)
  await until(() => openings.length === 2)
})

test('W1 a heartbeat alone keeps the line', async () => {
  connection.follow([])
  await until(() => openings.length === 1)
  for (let beat = 0; beat < 3; beat++) {
    clock.advance(15_000)
    streams[0]?.write(': heartbeat\n\n')
    // The event behind the heartbeat says that both were read.
    streams[0]?.write(rate)
    await until(() => events.length === beat + 1)
  }
  assert.deepEqual(states, ['connecting', 'open'])
})

test('W2 each opening is announced, and says whether it is a move', async () => {
  connection.follow(['a'])
  await until(() => openings.length === 1)
  connection.follow(['b', 'a'])
  await until(() => openings.length === 2)
  assert.deepEqual(openings, [false, true])
  assert.deepEqual(paths, ['/a', '/a,b'])
})

test('W3 a move leaves the old connection only once the new one is open', async () => {
  connection.follow(['a'])
  await until(() => openings.length === 1)
  const old = streams[0]
  const { promise, resolve } = Promise.withResolvers<void>()
  gate = promise
  connection.follow(['b'])
  await until(() => paths.length === 2)
  old?.write(rate)
  await until(() => events.length === 1)
  resolve()
  await until(() => old?.closed === true)
  assert.deepEqual(openings, [false, true])
  assert.deepEqual(states, ['connecting', 'open'])
})

test('W3 following the same devices changes nothing', async () => {
  connection.follow(['a', 'b'])
  await until(() => openings.length === 1)
  connection.follow(['b', 'a', 'b'])
  assert.equal(paths.length, 1)
})

test('W4 a 401 ends it, and time does not bring it back', async () => {
  status = 401
  connection.follow(['a'])
  await until(() => states.at(-1) === 'closed')
  clock.advance(60_000)
  assert.equal(paths.length, 1)
})

test('W4 after a 404 it comes back without devices', async () => {
  status = 404
  connection.follow(['gone'])
  await until(() => states.at(-1) === 'waiting')
  status = 200
  clock.advance(500)
  await until(() => openings.length === 1)
  assert.deepEqual(paths, ['/gone', '/'])
})
