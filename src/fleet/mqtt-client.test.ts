import assert from 'node:assert/strict'
import { createServer, connect as connectTcp, type Server, type Socket } from 'node:net'
import { after, test as unlimitedTest } from 'node:test'
import { Aedes } from 'aedes'
import { nodeWorld } from '../world/node-world.ts'
import { MqttClient, type Dial, type MqttClientOptions } from './mqtt-client.ts'

/** aedes behind a socket that a test can cut, and whose PUBACKs it can hold back. */
interface Broker {
  port: number
  received: { topic: string; payload: string; dup: boolean }[]
  /** Waits until it received so many: aedes acknowledges before it passes a message on. */
  has(count: number): Promise<void>
  /** Cuts every connection now. */
  cut(): void
  /** While set, nothing that the broker sends arrives. */
  swallow: boolean
  listen(): Promise<void>
  unlisten(): Promise<void>
}

/** A publish that is lost never resolves: without a limit, such a failure would hang. */
const test = (name: string, run: () => Promise<void>): void =>
  void unlimitedTest(name, { timeout: 8000 }, run)

const cleanups: (() => Promise<void>)[] = []
after(async () => {
  for (const cleanup of cleanups) await cleanup()
})

async function startBroker(): Promise<Broker> {
  const aedes = await Aedes.createBroker()
  aedes.authenticate = (_, username, password, done) =>
    done(null, username === 'device' && String(password) === 'token')
  const sockets = new Set<Socket>()
  const broker: Broker = {
    port: 0,
    received: [],
    swallow: false,
    has: (count) => until(() => broker.received.length === count),
    cut: () => sockets.forEach((socket) => socket.destroy()),
    listen: async () => {
      await new Promise<void>((resolve) => server.listen(broker.port, '127.0.0.1', resolve))
      broker.port = portOf(server)
    },
    unlisten: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        broker.cut()
      }),
  }
  aedes.on('publish', ({ topic, payload, dup }, client) => {
    if (client !== null) broker.received.push({ topic, payload: String(payload), dup })
  })
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => {})
    const write = socket.write.bind(socket) as (...args: unknown[]) => boolean
    socket.write = (...args: unknown[]) => (broker.swallow ? true : write(...args))
    aedes.handle(socket)
  })
  await broker.listen()
  cleanups.push(async () => {
    if (server.listening) await broker.unlisten()
    await new Promise<void>((resolve) => aedes.close(() => resolve()))
  })
  return broker
}

function portOf(server: Server): number {
  const address = server.address()
  assert.ok(typeof address === 'object' && address !== null)
  return address.port
}

const dialTo =
  (broker: Broker): Dial =>
  (events) => {
    const socket = connectTcp(broker.port, '127.0.0.1')
    socket.on('connect', () => events.opened())
    socket.on('data', (bytes) => events.received(bytes))
    socket.on('error', () => {})
    socket.on('close', () => events.closed('closed'))
    return {
      write: (bytes) => void socket.write(bytes),
      end: () => void socket.end(),
      close: () => void socket.destroy(),
    }
  }

function startClient(broker: Broker, options: Partial<MqttClientOptions> = {}): MqttClient {
  const { clock, random } = nodeWorld
  const identity = { clientId: 'c', username: 'device', password: 'token' }
  const client = new MqttClient({ dial: dialTo(broker), clock, random, ...identity, ...options })
  client.connect()
  cleanups.unshift(() => client.close(0))
  return client
}

async function until(condition: () => boolean): Promise<void> {
  const endMs = performance.now() + 5000
  while (!condition()) {
    assert.ok(performance.now() < endMs, `not within 5 s: ${String(condition)}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

const encode = (text: string): Uint8Array => new TextEncoder().encode(text)

test('M1 publish() resolves once the PUBACK arrived, and not before', async () => {
  const broker = await startBroker()
  const client = startClient(broker)
  await client.publish('a/b', encode('one'))
  await broker.has(1)
  assert.deepEqual(broker.received, [{ topic: 'a/b', payload: 'one', dup: false }])

  broker.swallow = true
  let isResolved = false
  const second = client.publish('a/b', encode('two')).then(() => (isResolved = true))
  await broker.has(2)
  assert.equal(isResolved, false)
  broker.swallow = false
  broker.cut()
  await second
  assert.equal(client.statistics.acknowledged, 2)
})

test('M2 what was not acknowledged is sent again after a reconnect, first, in order, as a duplicate', async () => {
  const broker = await startBroker()
  const client = startClient(broker)
  await client.publish('t', encode('0'))
  broker.swallow = true
  const sent = ['1', '2', '3'].map((text) => client.publish('t', encode(text)))
  await broker.has(4)
  broker.received.length = 0
  broker.swallow = false
  broker.cut()
  await until(() => !client.isConnected)
  sent.push(client.publish('t', encode('4')))
  await Promise.all(sent)
  await broker.has(4)
  assert.deepEqual(
    broker.received.map(({ payload }) => payload),
    ['1', '2', '3', '4'],
  )
  assert.equal(client.statistics.resent, 3)
  assert.equal(client.statistics.connects, 2)
})

test('M2 a client whose server is away for a while delivers everything when it is back', async () => {
  const broker = await startBroker()
  const client = startClient(broker, { inFlightMax: 4 })
  await client.publish('t', encode('first'))
  await broker.unlisten()
  const sent = Array.from({ length: 20 }, (_, i) => client.publish('t', encode(String(i))))
  await broker.listen()
  await Promise.all(sent)
  await broker.has(21)
  assert.deepEqual(
    broker.received.slice(1).map(({ payload }) => payload),
    Array.from({ length: 20 }, (_, i) => String(i)),
  )
})

test('a device that leaves and comes back keeps what it measured in between', async () => {
  const broker = await startBroker()
  const client = startClient(broker)
  await client.publish('t', encode('before'))
  client.disconnect()
  const held = client.publish('t', encode('between'))
  assert.equal(client.isConnected, false)
  assert.equal(client.statistics.waiting, 1)
  client.connect()
  await held
  await broker.has(2)
  assert.equal(broker.received.at(-1)?.payload, 'between')
})

test('M3 a full queue rejects at once and keeps what it has', async () => {
  const broker = await startBroker()
  const client = startClient(broker, { queueMax: 2 })
  client.disconnect()
  const held = [client.publish('t', encode('1')), client.publish('t', encode('2'))]
  await assert.rejects(client.publish('t', encode('3')), { code: 'GATEWAY_OVERLOADED' })
  client.connect()
  await Promise.all(held)
  await broker.has(2)
})

test('M4 a refused credential ends the client', async () => {
  const broker = await startBroker()
  const client = startClient(broker, { password: 'wrong' })
  await assert.rejects(client.publish('t', encode('1')), { code: 'MQTT_CREDENTIALS_INVALID' })
  await assert.rejects(client.publish('t', encode('2')), { code: 'MQTT_CREDENTIALS_INVALID' })
  assert.equal(client.statistics.connects, 0)
})

test('a line that is dead without a word is found by the keep-alive and replaced', async () => {
  const broker = await startBroker()
  const client = startClient(broker, { keepAliveS: 0.1 })
  await until(() => client.isConnected)
  broker.swallow = true
  await until(() => !client.isConnected)
  broker.swallow = false
  await client.publish('t', encode('after'))
  assert.ok(client.statistics.connects >= 2)
})

test('close() waits for what is not acknowledged, then rejects the rest', async () => {
  const broker = await startBroker()
  const client = startClient(broker)
  await until(() => client.isConnected)
  const sent = client.publish('t', encode('last'))
  await client.close()
  await sent
  await assert.rejects(client.publish('t', encode('too late')), { code: 'GATEWAY_SHUTTING_DOWN' })
})
