/**
 * A device's MQTT 3.1.1 client: publishes at QoS 1, keeps what is not acknowledged, reconnects.
 *
 * M1 publish() resolves only once the server's PUBACK for that very message arrived.
 * M2 What was sent and not acknowledged is sent again after a reconnect, first and in the old
 *    order, with the DUP flag [MQTT-4.4.0-1].
 * M3 Memory is bounded: a publish() beyond `queueMax` rejects at once with GATEWAY_OVERLOADED.
 * M4 A refused credential ends the client: every publish() rejects with MQTT_CREDENTIALS_INVALID.
 */
import { WeirError } from '../errors/errors.ts'
import type { Clock, Random } from '../world/world.ts'
import {
  DISCONNECT,
  encodeConnect,
  encodePublish,
  PINGREQ,
  ServerPacketReader,
  type ServerPacket,
} from './mqtt-packets.ts'

/** One connection's bytes. After `close()` no more events come. */
export interface Wire {
  write(bytes: Uint8Array): void
  /** Sends what is buffered, then ends. */
  end(): void
  close(): void
}

export interface WireEvents {
  opened(): void
  received(bytes: Uint8Array): void
  /** The connection ended or could not be made. */
  closed(reason: string): void
}

/** Makes a connection; the events come later, never before it returns. */
export type Dial = (events: WireEvents) => Wire

export interface MqttClientOptions {
  dial: Dial
  clock: Clock
  random: Random
  clientId: string
  username: string
  password: string
  /** Default 60. */
  keepAliveS?: number
  /** Sent and not yet acknowledged; default 64. */
  inFlightMax?: number
  /** Held in all, sent or not; default 2,000. */
  queueMax?: number
}

interface Message {
  topic: string
  payload: Uint8Array
  /** 0 until it was sent for the first time. */
  packetId: number
  resolve(): void
  reject(error: WeirError): void
}

export interface MqttStatistics {
  acknowledged: number
  resent: number
  connects: number
  waiting: number
}

const BACKOFF_FIRST_MS = 250
const BACKOFF_MAX_MS = 30_000
/**
 * CONNACK return codes that no repetition mends [MQTT-3.2.2.3]: version, client id, credentials.
 */
const REFUSED_FOR_GOOD = [1, 2, 4, 5]

export class MqttClient {
  readonly #options: Required<MqttClientOptions>
  /** Sent ones first, in the order of sending; `#sentCount` of them. */
  #messages: Message[] = []
  #sentCount = 0
  #nextPacketId = 1
  #wire: Wire | undefined
  #reader = new ServerPacketReader()
  #isConnected = false
  #isWanted = false
  #fault: WeirError | undefined
  #failures = 0
  #isPingUnanswered = false
  #cancelTimer: () => void = () => {}
  #drained: (() => void)[] = []
  readonly #statistics: MqttStatistics = { acknowledged: 0, resent: 0, connects: 0, waiting: 0 }

  constructor(options: MqttClientOptions) {
    this.#options = { keepAliveS: 60, inFlightMax: 64, queueMax: 2000, ...options }
  }

  get statistics(): Readonly<MqttStatistics> {
    return { ...this.#statistics, waiting: this.#messages.length }
  }

  get isConnected(): boolean {
    return this.#isConnected
  }

  /** Connects and stays connected until disconnect() or close(). */
  connect(): void {
    if (this.#isWanted || this.#fault !== undefined) return
    this.#isWanted = true
    this.#failures = 0
    this.#open()
  }

  /** Leaves without a word, as a device does that drives into a tunnel; connect() comes back. */
  disconnect(): void {
    this.#isWanted = false
    this.#wire?.close()
    this.#lose()
  }

  publish(topic: string, payload: Uint8Array): Promise<void> {
    if (this.#fault !== undefined) return Promise.reject(this.#fault)
    if (this.#messages.length >= this.#options.queueMax) {
      const detail = `${this.#options.queueMax} messages of ${this.#options.clientId} wait already`
      return Promise.reject(new WeirError('GATEWAY_OVERLOADED', detail))
    }
    return new Promise((resolve, reject) => {
      this.#messages.push({ topic, payload, packetId: 0, resolve, reject })
      this.#sendWaiting()
    })
  }

  /** Waits up to `graceMs` for what is not acknowledged, then says goodbye; the rest rejects. */
  async close(graceMs = 2000): Promise<void> {
    if (this.#isConnected && this.#messages.length > 0) await this.#drain(graceMs)
    this.#isWanted = false
    if (this.#isConnected) this.#wire?.write(DISCONNECT)
    this.#wire?.end()
    this.#lose()
    this.#fail(new WeirError('GATEWAY_SHUTTING_DOWN', 'the client was closed'))
  }

  #drain(graceMs: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#options.clock.after(graceMs, resolve)
      this.#drained.push(() => {
        cancel()
        resolve()
      })
    })
  }

  #open(): void {
    this.#reader = new ServerPacketReader()
    const wire: Wire = this.#options.dial({
      opened: () => {
        if (wire === this.#wire) wire.write(encodeConnect(this.#options))
      },
      received: (bytes) => {
        if (wire === this.#wire) this.#receive(bytes)
      },
      closed: () => {
        if (wire === this.#wire) this.#retry()
      },
    })
    this.#wire = wire
  }

  /** Forgets the connection; messages stay. */
  #lose(): void {
    this.#cancelTimer()
    this.#wire = undefined
    this.#isConnected = false
    this.#sentCount = 0
  }

  #retry(): void {
    this.#lose()
    if (!this.#isWanted) return
    const ceilingMs = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** this.#failures++)
    // Full jitter: a whole fleet that lost its server must not come back in one instant.
    const delayMs = ceilingMs * (0.5 + this.#options.random.unit() / 2)
    this.#cancelTimer = this.#options.clock.after(delayMs, () => this.#open())
  }

  #receive(bytes: Uint8Array): void {
    let packets: ServerPacket[]
    try {
      packets = this.#reader.push(bytes)
    } catch {
      this.#wire?.close()
      this.#retry()
      return
    }
    for (const packet of packets) {
      if (packet.kind === 'connack') this.#accept(packet.returnCode)
      else if (packet.kind === 'puback') this.#acknowledge(packet.packetId)
      else if (packet.kind === 'pingresp') this.#isPingUnanswered = false
    }
  }

  #accept(returnCode: number): void {
    if (REFUSED_FOR_GOOD.includes(returnCode)) {
      this.#isWanted = false
      this.#wire?.close()
      this.#lose()
      const detail = `${this.#options.username} was refused with return code ${returnCode}`
      this.#fail(new WeirError('MQTT_CREDENTIALS_INVALID', detail))
      return
    }
    if (returnCode !== 0) {
      this.#wire?.close()
      this.#retry()
      return
    }
    this.#isConnected = true
    this.#failures = 0
    this.#statistics.connects++
    this.#isPingUnanswered = false
    const { clock, keepAliveS } = this.#options
    if (keepAliveS > 0) this.#cancelTimer = clock.every(keepAliveS * 500, () => this.#ping())
    this.#sendWaiting()
  }

  /** Asked twice within the keep-alive; no answer to the last one means that the line is dead. */
  #ping(): void {
    if (this.#isPingUnanswered) {
      this.#wire?.close()
      this.#retry()
      return
    }
    this.#isPingUnanswered = true
    this.#wire?.write(PINGREQ)
  }

  #sendWaiting(): void {
    if (!this.#isConnected) return
    while (this.#sentCount < Math.min(this.#messages.length, this.#options.inFlightMax)) {
      const message = this.#messages[this.#sentCount++]
      if (message === undefined) return
      const isRepeat = message.packetId !== 0
      if (isRepeat) this.#statistics.resent++
      else message.packetId = this.#takePacketId()
      const { topic, payload, packetId } = message
      this.#wire?.write(encodePublish({ topic, payload, packetId, isRepeat }))
    }
  }

  /** Ids run from 1 to 65535; at most `queueMax` are in use, so the oldest is long free. */
  #takePacketId(): number {
    const id = this.#nextPacketId
    this.#nextPacketId = id === 65_535 ? 1 : id + 1
    return id
  }

  #acknowledge(packetId: number): void {
    const sent = this.#messages.slice(0, this.#sentCount)
    const index = sent.findIndex((message) => message.packetId === packetId)
    // A PUBACK for nothing that was sent is the server's mistake; it acknowledges nothing.
    if (index < 0) return
    const [message] = this.#messages.splice(index, 1)
    this.#sentCount--
    this.#statistics.acknowledged++
    message?.resolve()
    this.#sendWaiting()
    if (this.#messages.length === 0) for (const drained of this.#drained.splice(0)) drained()
  }

  #fail(fault: WeirError): void {
    this.#fault = fault
    for (const message of this.#messages.splice(0)) message.reject(fault)
    this.#sentCount = 0
  }
}
