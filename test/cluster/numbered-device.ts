/**
 * A device that counts: its readings are 0, 1, 2, … at times of its own, sent by MQTT with QoS 1
 * until they are acknowledged, over one connection to whichever gateway lets it in. So small that
 * thousands run in one process, which the stock client does not.
 */
import { connect, type Socket } from 'node:net'
import { generate, parser as createParser, type Packet } from 'mqtt-packet'

const IN_FLIGHT_MAX = 20
const DIAL_AGAIN_MS = 200
const ANSWER_MS_MAX = 15_000
export const METRIC = 'serial'

export interface NumberedDeviceOptions {
  id: string
  token: string
  version: 4 | 5
  /** Where gateways are now; they are dialled in turn. */
  ports: () => readonly number[]
  /** Event time of the reading 0, and between two. */
  beginMs: number
  stepMs: number
  /** Between two messages. */
  everyMs: number
  /** Event times are those of the clock instead, and each so many'th is late by so much. */
  live?: { lateEvery: number; lateMs: number }
  /** What a message says beside its number. */
  metricsOf?: (value: number) => Record<string, number>
}

export class NumberedDevice {
  readonly id: string
  /** Event times, ms, of what was sent; the index is the reading's value. */
  readonly timesMs: number[] = []
  readonly #acknowledged = new Set<number>()
  /** When the last acknowledgement came. */
  #acknowledgedAtMs = performance.now()
  /** The longest time without one. */
  longestPauseMs = 0
  /** The port of the gateway that sent the last one. */
  acknowledgedBy = 0
  connections = 0
  /** A PUBACK of version 5 that said no: nothing here may be refused. */
  refusal: string | undefined
  readonly #options: NumberedDeviceOptions
  #socket: Socket | undefined
  /** Sent, in order, and not acknowledged. */
  #inFlight: number[] = []
  #isConnected = false
  #isStopping = false
  #isClosed = false
  readonly #timer: NodeJS.Timeout
  #turn: number
  #port = 0
  #lastMs = 0

  constructor(options: NumberedDeviceOptions, turn = 0) {
    this.id = options.id
    this.#options = options
    this.#turn = turn
    this.#dial()
    this.#timer = setInterval(() => this.#publishNext(), options.everyMs)
  }

  get acknowledged(): number {
    return this.#acknowledged.size
  }

  wasAcknowledged(value: number): boolean {
    return this.#acknowledged.has(value)
  }

  /** Everything sent is acknowledged. */
  get isIdle(): boolean {
    return this.#inFlight.length === 0
  }

  get isConnected(): boolean {
    return this.#isConnected
  }

  /** Sends nothing new; what is in flight goes on. */
  stop(): void {
    this.#isStopping = true
    clearInterval(this.#timer)
  }

  /** One more reading, at this event time. */
  publishLast(timeMs: number): void {
    this.#publish(timeMs)
  }

  close(): void {
    this.stop()
    this.#isClosed = true
    this.#socket?.destroy()
  }

  #dial(): void {
    if (this.#isClosed) return
    const { id, token, version, ports } = this.#options
    this.#port = ports()[this.#turn % ports().length]!
    const socket = connect({ host: '127.0.0.1', port: this.#port, noDelay: true })
    this.#socket = socket
    const parser = createParser({ protocolVersion: version })
    parser.on('packet', (packet) => this.#receive(packet))
    parser.on('error', (error) => (this.refusal = String(error)))
    socket.on('data', (bytes) => void parser.parse(bytes))
    socket.on('error', () => undefined)
    socket.setTimeout(ANSWER_MS_MAX, () => void (this.#isConnected || socket.destroy()))
    socket.on('close', () => {
      this.#isConnected = false
      this.#turn++
      setTimeout(() => this.#dial(), DIAL_AGAIN_MS * (0.5 + Math.random()))
    })
    const client = { clientId: id, username: id, password: Buffer.from(token), keepalive: 0 }
    this.#write({
      ...{ cmd: 'connect', protocolId: 'MQTT', protocolVersion: version, clean: true },
      ...client,
    })
  }

  #receive(packet: Packet): void {
    if (packet.cmd === 'connack') {
      this.#isConnected = (packet.returnCode ?? packet.reasonCode) === 0
      if (!this.#isConnected) return void this.#socket!.destroy()
      this.connections++
      for (const value of this.#inFlight) this.#send(value, true)
    } else if (packet.cmd === 'puback') {
      const { reasonCode = 0, messageId } = packet
      if (reasonCode >= 0x80) this.refusal = `PUBACK ${reasonCode}`
      const at = this.#inFlight.findIndex((value) => packetIdOf(value) === messageId)
      if (at < 0) return void (this.refusal = `PUBACK of ${messageId}, which is not in flight`)
      const [value] = this.#inFlight.splice(at, 1)
      this.#acknowledged.add(value!)
      this.#noteAcknowledgement()
    }
  }

  #noteAcknowledgement(): void {
    const nowMs = performance.now()
    this.longestPauseMs = Math.max(this.longestPauseMs, nowMs - this.#acknowledgedAtMs)
    this.#acknowledgedAtMs = nowMs
    this.acknowledgedBy = this.#port
  }

  #publishNext(): void {
    const { beginMs, stepMs, live } = this.#options
    if (this.#isStopping || !this.#isConnected || this.#inFlight.length >= IN_FLIGHT_MAX) return
    const value = this.timesMs.length
    this.#publish(live === undefined ? beginMs + value * stepMs : this.#timeMs(value, live))
  }

  /** No two have one time: those that are late have odd ones. */
  #timeMs(value: number, { lateEvery, lateMs }: { lateEvery: number; lateMs: number }): number {
    this.#lastMs = Math.max(evenOf(Date.now()), this.#lastMs + 2)
    const isLate = value % lateEvery === lateEvery - 1
    return isLate ? this.#lastMs - evenOf(lateMs) + 1 : this.#lastMs
  }

  #publish(timeMs: number): void {
    const value = this.timesMs.length
    this.timesMs.push(timeMs)
    this.#inFlight.push(value)
    if (this.#isConnected) this.#send(value, false)
  }

  #send(value: number, isRepeat: boolean): void {
    const metrics = { [METRIC]: value, ...this.#options.metricsOf?.(value) }
    const payload = JSON.stringify({ ts: this.timesMs[value], metrics })
    this.#write({
      ...{ cmd: 'publish', topic: `devices/${this.id}/telemetry`, payload, qos: 1 },
      ...{ messageId: packetIdOf(value), dup: isRepeat, retain: false },
    })
  }

  #write(packet: Packet): void {
    const { version } = this.#options
    this.#socket!.write(generate(packet, { protocolVersion: version }))
  }
}

const evenOf = (ms: number): number => ms - (ms % 2)
const packetIdOf = (value: number): number => (value % 65_535) + 1
