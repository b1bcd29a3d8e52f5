/**
 * Somebody sets the clock of the running server, a day ahead, back, a day behind, and back. Clients
 * stay, commits go on, a rule that waits fires neither at once nor a day later, ingest times rise
 * strictly, and nothing is lost, refused or miscounted. What a device says that is ahead of the
 * server's clock is stored under its ingest time: that is the rule for clocks that are not
 * believed.
 *
 * Debian's libfaketime lies to the process about the wall clock, not about the monotonic one.
 */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { checkSteps, checkWindows, storedReadings } from './crash-verdict.ts'
import { ACKNOWLEDGED, openMqttDevice, topicOf } from './mqtt-device.ts'
import { fakedClock } from './faked-clock.ts'
import { openPinging } from './pinging-client.ts'
import { makeFolder, until, WeirProcess, type StartOptions } from './weir-process.ts'

const PIPELINE = `
version: 1
types:
  pump: { schemas: { 1: { temperature: { unit: "°C" }, serial: { unit: "1" } } } }
  probe: { schemas: { 1: { serial: { unit: "1" } } } }
time: { disorder: 10s, allowedLateness: 1m, idleTimeout: 1m, alertStaleness: 2d }
windows: [1m, 5m]
rules: [{ id: hot, type: pump, when: "temperature > 80", for: 3s }]
`
const CONFIG = 'stream: { checkpointInterval: 300ms }\n'
const DAY_MS = 86_400_000
/** The rule's duration, and what a busy machine may add to it. */
const FOR_MS = 3000
const LATER_MS = 4000

/** Sends one message after the other, each once it was acknowledged, until stopped. */
class Sender {
  readonly acknowledged: number[] = []
  temperature = 20
  isStopping = false
  readonly #send: (serial: number) => Promise<unknown>

  constructor(send: (serial: number) => Promise<unknown>) {
    this.#send = send
  }

  async run(): Promise<void> {
    for (let serial = 1; !this.isStopping; serial++) {
      await this.#send(serial)
      this.acknowledged.push(serial)
      await delay(10)
    }
  }
}

async function openSenders(t: TestContext, weir: WeirProcess) {
  const token = await weir.register({ id: 'pump', type: 'pump' })
  const client = openMqttDevice({ id: 'pump', token, version: 5, port: () => weir.mqtt })
  t.after(() => client.end(true))
  let disconnects = 0
  client.on('close', () => disconnects++)
  await until('the pump is connected', () => client.connected)
  const pump: Sender = new Sender((serial) => {
    const { temperature } = pump
    const payload = JSON.stringify({ ts: Date.now(), metrics: { temperature, serial } })
    return client.publishAsync(topicOf('pump'), payload, ACKNOWLEDGED)
  })
  await weir.register({ id: 'probe', type: 'probe' })
  const probe = new Sender(async (serial) => {
    const { status, text } = await weir.api('/v1/devices/probe/telemetry', { body: { serial } })
    assert.equal(status, 200, text)
  })
  return { pump, probe, disconnects: () => disconnects }
}

async function commitsOf(weir: WeirProcess): Promise<number> {
  const { text } = await weir.api('/metrics')
  return Number(/^weir_storage_commits_total (\d+)$/m.exec(text)?.[1])
}

test('a clock that jumps a day ahead, back, behind and back changes no answer', async (t) => {
  const folder = await makeFolder(t)
  const clock = join(folder, 'clock')
  const environment = await fakedClock(clock)
  if (typeof environment === 'string') return t.skip(environment)
  const options: StartOptions = { folder, config: CONFIG, pipeline: PIPELINE, environment }
  const weir = await WeirProcess.start(options)
  const pinging = openPinging(weir.mqtt, {
    ...{ id: 'pinging', token: await weir.register({ id: 'pinging' }) },
  })
  t.after(pinging.close)
  const { pump, probe, disconnects } = await openSenders(t, weir)
  const running = Promise.all([pump.run(), probe.run()])
  await until('they send', () => Math.min(pump.acknowledged.length, probe.acknowledged.length) > 20)
  for (const [stage, offset] of ['+1d', '+0', '-1d'].entries()) {
    // Half a second before the clock jumps, a condition begins to hold that must hold for three.
    pump.temperature = 90
    const beganMs = performance.now()
    await delay(500)
    writeFileSync(clock, `${offset}\n`)
    const commits = await commitsOf(weir)
    const fired = async (): Promise<boolean> => (await weir.episodes('pump')).length > stage
    while (performance.now() < beganMs + FOR_MS - 500) {
      assert.equal(await fired(), false, `${offset}: the jump counted as time`)
      await delay(100)
    }
    await until(`${offset}: it fires`, fired, LATER_MS)
    await until(`${offset}: commits go on`, async () => (await commitsOf(weir)) > commits + 2)
    pump.temperature = 20
    // Readings that are older than the memory of repeats wake no rule, so not before it is back.
    if (offset === '-1d') writeFileSync(clock, '+0\n')
    await until(`${offset}: it is resolved`, async () => {
      return (await weir.episodes('pump')).every(({ state }) => state === 'resolved')
    })
  }
  const commits = await commitsOf(weir)
  await until('commits go on to the end', async () => (await commitsOf(weir)) > commits + 2)
  for (const sender of [pump, probe]) sender.isStopping = true
  await running
  assert.equal(disconnects(), 0, 'the pump was disconnected')
  assert.ok(!pinging.state.isClosed, 'a client that pings was disconnected')
  await verify(weir, { pump, probe })
  await weir.kill()
  const again = await WeirProcess.start(options)
  await verify(again, { pump, probe })
  await again.stop()
})

async function verify(weir: WeirProcess, senders: Record<'pump' | 'probe', Sender>): Promise<void> {
  const span = { fromMs: Date.now() - 2 * DAY_MS, toMs: Date.now() + 2 * DAY_MS }
  const letters = await weir.get<{ items: unknown[] }>('/v1/dead-letters')
  assert.deepEqual(letters.items, [], 'something was refused')
  let highestUs = 0
  for (const [device, { acknowledged }] of Object.entries(senders).toReversed()) {
    const question = { device, metric: 'serial', span }
    const stored = await storedReadings(weir, question)
    const serials = stored.map(([, serial]) => serial as number)
    assert.deepEqual(
      serials.toSorted((a, b) => a - b),
      acknowledged,
      `${device}: every one, once`,
    )
    // The clock that was set to yesterday tells of the past; within each stage order is kept.
    if (device === 'probe') assertRising(stored as [number, number][])
    // The probe, which comes first, has the highest times: what it passed is closed.
    highestUs = stored.reduce((most, [timeUs]) => Math.max(most, timeUs), highestUs)
    const closed = { ...span, toMs: Math.floor(highestUs / 1000) }
    await checkWindows(weir, stored as [number, number][], { ...question, span: closed })
    await checkSteps(weir, stored as [number, number][], question)
  }
}

/** In the order of their times messages are in the order of their sending. */
function assertRising(stored: [number, number][]): void {
  const inOrder = stored.toSorted(([a], [b]) => a - b)
  for (const [at, [timeUs, serial]] of inOrder.entries()) {
    assert.equal(serial, at + 1, `serial ${serial} at ${timeUs}`)
    assert.ok(at === 0 || timeUs > inOrder[at - 1]![0], 'two of one time')
  }
}
