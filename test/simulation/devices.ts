/**
 * Devices as they are: they publish at QoS 1 or by HTTP, send again what was not acknowledged,
 * repeat what was, mix up the order, lie about the time, and are gone for a while.
 *
 * Metric `b` of every valid message is a number that no other message has, so that the message is
 * found again in the log whatever became of its time.
 */
import { MqttClient } from '../../src/fleet/mqtt-client.ts'
import type { IngestRequest, IngestResult } from '../../src/gateway/gateway.ts'
import type { Clock, Random } from '../../src/world/world.ts'
import type { SimulatedNetwork } from './network.ts'

export interface Sent {
  serial: number
  payload: string
  /** What must come of it: a message, or a dead letter. */
  isValid: boolean
  metrics: Record<string, number | boolean | string>
  /** ms, as the device said it; undefined when it did not. */
  ts: number | undefined
  /** It has a time, of the last days. */
  isBelieved: boolean
  isAcknowledged: boolean
}

type Ingest = (request: IngestRequest) => Promise<IngestResult>

export interface Surroundings {
  clock: Clock
  random: Random
  network: SimulatedNetwork
  serial: () => number
  /** The HTTP door of the process that is alive now, if one is. */
  ingest: () => Ingest | undefined
}

const PAUSE_MS_MAX = 600
const HTTP_RETRY_MS = 200
const HTTP_TIMEOUT_MS = 3000

export abstract class Device {
  readonly id: string
  readonly sent: Sent[] = []
  /** By connection, the serials (of valid messages) in the order in which they were written. */
  readonly connections: number[][] = []
  protected readonly around: Surroundings
  protected isRunning = true
  protected readonly bySerial = new Map<number, Sent>()

  constructor(id: string, around: Surroundings) {
    this.id = id
    this.around = around
  }

  abstract get waiting(): number
  protected abstract send(message: Sent): void

  start(): void {
    this.#next()
  }

  /** Makes nothing new; what is not acknowledged is still sent again. */
  quit(): void {
    this.isRunning = false
  }

  publish(message: Sent): void {
    if (!this.bySerial.has(message.serial)) {
      this.bySerial.set(message.serial, message)
      this.sent.push(message)
    }
    this.send(message)
  }

  #next(): void {
    const { clock, random } = this.around
    // Bursts, and a long silence now and then.
    const factor = random.unit() < 0.3 ? 0.02 : random.unit() < 0.02 ? 40 : 1
    clock.after(random.unit() * PAUSE_MS_MAX * factor, () => {
      if (!this.isRunning) return
      this.#act()
      this.#next()
    })
  }

  #act(): void {
    const { random } = this.around
    const old = this.sent.at(-1 - Math.floor(random.unit() * 40))
    if (old !== undefined && random.unit() < 0.06) return this.publish(old)
    if (old?.ts !== undefined && random.unit() < 0.03) {
      // The same identity with another value: the first write wins.
      return this.publish(this.#message(old.ts))
    }
    if (random.unit() < 0.03) return this.publish(this.#broken())
    this.publish(this.#message(this.#time()))
  }

  #message(ts: number | undefined): Sent {
    const { random, serial: nextSerial } = this.around
    const serial = nextSerial()
    const metrics: Sent['metrics'] = { b: serial }
    const kind = random.unit()
    metrics['a'] = kind < 0.6 ? 50 + random.unit() * 4 : kind < 0.9 ? 75 + random.unit() * 25 : 200
    if (random.unit() < 0.5) metrics['on'] = random.unit() < 0.7
    if (random.unit() < 0.3) metrics['label'] = random.unit() < 0.7 ? 'ok' : 'fault'
    // Without a time of its own only an id recognises the repeat.
    const hasId = ts === undefined || random.unit() < 0.2
    const body = { ...(ts !== undefined && { ts }), ...(hasId && { id: `m-${serial}` }), metrics }
    const nowMs = this.around.clock.nowUs() / 1000
    const isBelieved = ts !== undefined && ts < nowMs && ts > nowMs - 2 * 86_400_000
    const fate = { isValid: true, isBelieved, isAcknowledged: false }
    return { ...{ serial, metrics, ts }, ...fate, ...text(body) }
  }

  #broken(): Sent {
    const { random, serial: nextSerial, clock } = this.around
    const serial = nextSerial()
    const bodies = [
      { metrics: { b: serial, unknown: 1 } },
      { metrics: { b: serial, a: 1e9 } },
      { ts: 'yesterday', metrics: { b: serial } },
      // Too old whatever clock is asked: those of the devices and the server jump by days.
      { ts: clock.nowUs() / 1000 - 30 * 86_400_000, metrics: { b: serial } },
      { metrics: { b: serial, on: 'maybe' } },
    ]
    const body = bodies[Math.floor(random.unit() * bodies.length)]!
    const fate = { isValid: false, isBelieved: false, isAcknowledged: false }
    return { ...{ serial, metrics: {}, ts: undefined }, ...fate, ...text(body) }
  }

  /** ms with a fraction of whole µs, unique enough; or a lie, or nothing. */
  #time(): number | undefined {
    const { random, clock } = this.around
    const kind = random.unit()
    const nowUs = clock.nowUs()
    if (kind < 0.1) return undefined
    if (kind < 0.14) return (nowUs + 6e6 + Math.floor(random.unit() * 3600e6)) / 1000
    if (kind < 0.17) return Math.floor(random.unit() * 1e9) / 1000
    const behindUs =
      kind < 0.7 ? 2e6 : kind < 0.9 ? 15e6 : kind < 0.97 ? 400e6 : kind < 0.99 ? 4200e6 : 86_400e6
    return (nowUs - Math.floor(random.unit() * behindUs)) / 1000
  }
}

const text = (body: unknown): { payload: string } => ({ payload: JSON.stringify(body) })

export class MqttDevice extends Device {
  readonly #client: MqttClient
  readonly #serials = /"b":(\d+)/g

  constructor(id: string, token: string, around: Surroundings) {
    super(id, around)
    const { clock, random, network } = around
    this.#client = new MqttClient({
      dial: network.dial(
        (bytes) => this.#wrote(bytes),
        () => this.connections.push([]),
      ),
      ...{ clock, random, clientId: id, username: id, password: token },
      keepAliveS: 20,
    })
  }

  override start(): void {
    super.start()
    this.#client.connect()
    this.#wander()
  }

  override quit(): void {
    super.quit()
    this.#client.connect()
  }

  get waiting(): number {
    return this.#client.statistics.waiting
  }

  /** Now and then it drives through a tunnel. */
  #wander(): void {
    const { clock, random } = this.around
    clock.after(random.unit() * 120_000, () => {
      if (!this.isRunning) return
      this.#client.disconnect()
      clock.after(random.unit() * 20_000, () => {
        this.#client.connect()
        this.#wander()
      })
    })
  }

  #wrote(bytes: Uint8Array): void {
    for (const [, serial] of Buffer.from(bytes).toString('latin1').matchAll(this.#serials)) {
      if (this.bySerial.get(Number(serial))?.isValid === true)
        this.connections.at(-1)?.push(Number(serial))
    }
  }

  protected send(message: Sent): void {
    const payload = Buffer.from(message.payload)
    this.#client.publish(`devices/${this.id}/telemetry`, payload).then(
      () => (message.isAcknowledged = true),
      // The queue of a device is bounded; what it drops it never sent.
      () => undefined,
    )
  }
}

/** Speaks HTTP, in batches; its backlogs come as historical ones, from an administrator. */
export class HttpDevice extends Device {
  #queue: Sent[] = []
  #isSending = false

  get waiting(): number {
    return this.#queue.length
  }

  protected send(message: Sent): void {
    this.#queue.push(message)
    if (!this.#isSending) void this.#drain()
  }

  async #drain(): Promise<void> {
    const { clock } = this.around
    this.#isSending = true
    while (this.#queue.length > 0) {
      const batch = this.#queue.slice(0, 10)
      const ingest = this.around.ingest()
      const isDone = ingest !== undefined && (await this.#post(ingest, batch))
      if (isDone) this.#queue.splice(0, batch.length)
      else await new Promise<void>((resolve) => clock.after(HTTP_RETRY_MS, resolve))
    }
    this.#isSending = false
  }

  async #post(ingest: Ingest, batch: Sent[]): Promise<boolean> {
    const { clock } = this.around
    this.connections.push(batch.filter(({ isValid }) => isValid).map(({ serial }) => serial))
    // Only what has a time can be history, and only a time that is believed today as then.
    const isHistorical =
      this.around.random.unit() < 0.05 && batch.every(({ isBelieved }) => isBelieved)
    const body = new TextEncoder().encode(`[${batch.map(({ payload }) => payload).join()}]`)
    const answer = await Promise.race([
      ingest({
        format: 'json',
        body,
        principal: isHistorical
          ? { kind: 'admin', tenant: 'default' }
          : { kind: 'device', tenant: 'default', deviceId: this.id },
        deviceId: this.id,
        isHistorical,
        precision: 'ms',
      }).catch(() => undefined),
      // A process that died answers nothing.
      new Promise<undefined>((resolve) => clock.after(HTTP_TIMEOUT_MS, () => resolve(undefined))),
    ])
    if (answer === undefined) return false
    for (const message of batch) message.isAcknowledged = true
    return true
  }
}
