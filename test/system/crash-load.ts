/**
 * The load of the crash test: devices that behave as devices do. They send again what was not
 * acknowledged, and now and then what was; their clocks jitter, and some of what they say is late.
 *
 *   pump    MQTT 3.1.1, times that rise: the order is the sender's, so rules and scores are certain
 *   meter   MQTT 5 or HTTP batches: disorder, late readings, repeats (also with another value)
 *   probe   no clock; a message id recognises the repeat
 */
import assert from 'node:assert/strict'
import type { MqttClient } from 'mqtt'
import { setTimeout as delay } from 'node:timers/promises'
import type { Sent } from './crash-reference.ts'
import { ACKNOWLEDGED, openMqttDevice, topicOf } from './mqtt-device.ts'

export type Kind = 'pump' | 'meter' | 'probe'

/** What the devices know of the world around them. */
export interface Surroundings {
  random: () => number
  /** Where the server is now; ports of nobody while there is none. */
  ports: () => { http: number; mqtt: number }
  /** Event time now, µs; runs faster than the clock, so that minutes' windows pass in seconds. */
  eventNowUs: () => number
}

const IN_FLIGHT_MAX = 20
const RETRY_MS = 50
const PAUSE_MS_MAX = 50
/** Disorder that the pipeline allows, µs. */
const DISORDER_US = 10_000_000
const LATE_US_MAX = 1_200_000_000
const RETRYABLE = [429, 503]
const HOT_FROM = 90

export abstract class Device {
  readonly id: string
  readonly kind: Kind
  /** Every message in the order of its first sending. */
  readonly sent: Sent[] = []
  /** Payloads of broken messages that were acknowledged. */
  readonly refused: string[] = []
  /** Repeats that were sent on purpose. */
  repeats = 0
  isStopping = false
  protected hasGivenUp = false
  protected readonly around: Surroundings
  readonly #usedUs = new Set<number>()
  #serial = 0
  #lastUs = 0
  #hotUntilMs = 0
  #nextHotMs = 0
  #isRunning = true
  #pressure = 8

  constructor(of: { id: string; kind: Kind }, around: Surroundings) {
    this.id = of.id
    this.kind = of.kind
    this.around = around
  }

  /** Sends until stopped, and then until everything is acknowledged. */
  abstract run(): Promise<void>

  /** Gives up, whatever is not acknowledged. */
  abandon(): void {
    this.isStopping = true
    this.hasGivenUp = true
  }

  protected next(): { message: Sent; payload: string } {
    const message: Sent = {
      timeUs: this.#timeUs(),
      metrics: this.#metrics(),
      sentMs: Date.now(),
      ackMs: undefined,
    }
    this.sent.push(message)
    return { message, payload: this.payload(message) }
  }

  protected payload({ timeUs, metrics }: Sent): string {
    if (this.kind !== 'probe') return JSON.stringify({ ts: timeUs / 1000, metrics })
    return JSON.stringify({ id: `${this.id}-${metrics['serial']}`, metrics })
  }

  /** A message that was acknowledged, sent once more; with another value it must lose. */
  protected repeat(): string | undefined {
    const { random } = this.around
    if (random() > 0.04) return undefined
    // A probe's ids are remembered for the last 128 messages.
    const reach = this.kind === 'probe' ? 60 : 2_000
    const message = this.sent.at(-1 - Math.floor(random() * reach))
    if (message?.ackMs === undefined) return undefined
    this.repeats++
    if (this.kind === 'probe' || random() < 0.5) return this.payload(message)
    const other = Object.entries(message.metrics).map(([name, value]) => [
      name,
      typeof value === 'number' ? value + 5 : !value,
    ])
    return this.payload({ ...message, metrics: Object.fromEntries(other) })
  }

  /** Now and then a message that no schema allows; it must become a dead letter. */
  protected broken(): string | undefined {
    const isDue = this.kind === 'meter' && this.around.random() < 0.01
    return isDue
      ? JSON.stringify({ ts: 'never', serial: `${this.id} ${++this.#serial}` })
      : undefined
  }

  #timeUs(): number {
    const { random, eventNowUs } = this.around
    const now = Math.floor(eventNowUs())
    if (this.kind !== 'meter') {
      this.#lastUs = Math.max(this.#lastUs + 1, now)
      return this.#lastUs
    }
    const kind = random()
    const behind = kind < 0.02 ? LATE_US_MAX : kind < 0.4 ? DISORDER_US : 1_000_000
    for (;;) {
      const timeUs = now - Math.floor(random() * behind)
      if (this.#usedUs.has(timeUs)) continue
      this.#usedUs.add(timeUs)
      return timeUs
    }
  }

  #metrics(): Record<string, number | boolean> {
    const { random } = this.around
    if (this.kind === 'probe') return { serial: ++this.#serial }
    if (this.kind === 'meter') return { power: random() * 100, energy: ++this.#serial }
    if (random() < 0.03) this.#isRunning = !this.#isRunning
    if (random() < 0.03) this.#pressure = this.#pressure > 5 ? 2 : 8
    const temperature = this.#isHot() ? HOT_FROM + random() * 5 : 50 + random() * 2
    const spike = random() < 0.01 ? 9 : 0
    const isCalm = temperature < HOT_FROM
    return {
      temperature: isCalm ? temperature + spike : temperature,
      pressure: this.#pressure + random(),
      running: this.#isRunning,
    }
  }

  /** Hot for a moment or for long, several times in each life of the server; cold at the end. */
  #isHot(): boolean {
    const now = Date.now()
    const { random } = this.around
    if (now >= this.#nextHotMs) {
      this.#hotUntilMs = now + (random() < 0.4 ? 100 : 1_300)
      this.#nextHotMs = this.#hotUntilMs + 200 + random() * 600
    }
    return now < this.#hotUntilMs && !this.isStopping
  }
}

/** A message that waits for its acknowledgement. */
interface Waiting {
  payload: string
  acknowledged: () => void
}

export class MqttDevice extends Device {
  readonly #client: MqttClient
  #inFlight = 0
  /** The connection is new: first the client resends what is in flight, then there is more. */
  #isResending = true
  /** Accepted by the client as the connection broke, and never sent. */
  #unsent: Waiting[] = []

  constructor(of: { id: string; kind: Kind; token: string; version: 4 | 5 }, around: Surroundings) {
    super(of, around)
    const { id, token, version } = of
    this.#client = openMqttDevice({ id, token, version, port: () => around.ports().mqtt })
    this.#client.on('close', () => (this.#isResending = true))
  }

  async run(): Promise<void> {
    while (!this.isStopping) {
      if (this.#mayPublish()) this.#publishNext()
      await delay(this.around.random() * 10)
    }
    await this.#drain()
    this.#publishNext()
    await this.#drain()
    await this.#client.endAsync()
  }

  override abandon(): void {
    super.abandon()
    this.#client.end(true)
  }

  /** So the order on the wire stays the order of `sent`, whatever breaks. */
  #mayPublish(): boolean {
    if (!this.#client.connected) return false
    if (this.#inFlight === 0) {
      this.#isResending = false
      for (const one of this.#unsent.splice(0)) this.#publish(one)
    }
    return !this.#isResending && this.#inFlight < IN_FLIGHT_MAX
  }

  async #drain(): Promise<void> {
    while (!this.hasGivenUp && this.#inFlight + this.#unsent.length > 0) {
      this.#mayPublish()
      await delay(RETRY_MS)
    }
  }

  #publishNext(): void {
    const broken = this.broken()
    if (broken !== undefined) {
      this.#publish({ payload: broken, acknowledged: () => this.refused.push(broken) })
    }
    const { message, payload } = this.next()
    this.#publish({ payload, acknowledged: () => (message.ackMs = Date.now()) })
    const repeat = this.repeat()
    if (repeat !== undefined) this.#publish({ payload: repeat, acknowledged: () => {} })
  }

  /** The client keeps it, and sends it again on the next connection, until it is acknowledged. */
  #publish(one: Waiting): void {
    this.#inFlight++
    this.#client.publish(topicOf(this.id), one.payload, ACKNOWLEDGED, (error) => {
      this.#inFlight--
      // MQTT 5 says by a code that a message was refused; its dead letter is as durable.
      if (error === undefined || error === null || 'code' in error) one.acknowledged()
      else this.#unsent.push(one)
    })
  }
}

export class HttpDevice extends Device {
  readonly #token: string
  readonly #batchMax: number

  constructor(
    of: { id: string; kind: Kind; token: string; batchMax: number },
    around: Surroundings,
  ) {
    super(of, around)
    this.#token = of.token
    this.#batchMax = of.batchMax
  }

  async run(): Promise<void> {
    while (!this.isStopping) {
      await this.#sendBatch()
      await delay(this.around.random() * PAUSE_MS_MAX)
    }
    await this.#sendBatch()
  }

  async #sendBatch(): Promise<void> {
    const count = 1 + Math.floor(this.around.random() * this.#batchMax)
    const messages: Sent[] = []
    const payloads: string[] = []
    const broken: string[] = []
    for (let i = 0; i < count; i++) {
      const { message, payload } = this.next()
      messages.push(message)
      payloads.push(payload)
      const repeat = this.repeat()
      if (repeat !== undefined) payloads.push(repeat)
      const bad = this.broken()
      if (bad !== undefined) {
        broken.push(bad)
        payloads.push(bad)
      }
    }
    while (!(await this.#post(`[${payloads.join(',')}]`))) {
      if (this.hasGivenUp) return
      await delay(RETRY_MS)
    }
    for (const message of messages) message.ackMs = Date.now()
    this.refused.push(...broken)
  }

  /** True when it was acknowledged. */
  async #post(body: string): Promise<boolean> {
    const url = `http://127.0.0.1:${this.around.ports().http}/v1/devices/${this.id}/telemetry`
    const authorization = `Bearer ${this.#token}`
    const headers = { authorization, 'content-type': 'application/json' }
    const answer = await fetch(url, { method: 'POST', body, headers }).catch(() => undefined)
    // A kill may also cut an answer in half; then nobody knows, and it is sent again.
    const isWhole = await answer?.arrayBuffer().then(
      () => true,
      () => false,
    )
    if (answer === undefined || !isWhole || RETRYABLE.includes(answer.status)) return false
    assert.ok([200, 207].includes(answer.status), `${this.id} was answered ${answer.status}`)
    return true
  }
}
