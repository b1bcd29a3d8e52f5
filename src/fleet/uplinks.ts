/** The two ways in which a simulated device talks: MQTT with QoS 1, and HTTP. */
import { WeirError } from '../errors/errors.ts'
import type { Clock } from '../world/world.ts'
import type { Uplink } from './fleet.ts'
import type { MqttClient } from './mqtt-client.ts'

const encoder = new TextEncoder()

export class MqttUplink implements Uplink {
  readonly #client: MqttClient
  readonly #topic: string

  constructor(client: MqttClient, deviceId: string) {
    this.#client = client
    this.#topic = `devices/${deviceId}/telemetry`
    client.connect()
  }

  send(payload: string): Promise<void> {
    return this.#client.publish(this.#topic, encoder.encode(payload))
  }

  setOnline(isOnline: boolean): void {
    if (isOnline) this.#client.connect()
    else this.#client.disconnect()
  }

  close(): Promise<void> {
    return this.#client.close()
  }
}

/** Posts one body; rejects with a WeirError whose `retryable` says whether to try again. */
export type Post = (payload: string) => Promise<void>

interface Waiting {
  payload: string
  resolve(): void
  reject(error: unknown): void
}

const QUEUE_MAX = 500
const RETRY_MS = 1000

/** One request at a time, in order; what is retryable stays at the head of the queue. */
export class HttpUplink implements Uplink {
  readonly #post: Post
  readonly #clock: Clock
  readonly #queue: Waiting[] = []
  #isOnline = true
  #isBusy = false
  #isClosed = false
  #cancelRetry: () => void = () => {}
  #idle: (() => void)[] = []

  constructor(post: Post, clock: Clock) {
    this.#post = post
    this.#clock = clock
  }

  send(payload: string): Promise<void> {
    if (this.#queue.length >= QUEUE_MAX)
      return Promise.reject(new WeirError('GATEWAY_OVERLOADED', 'the device’s buffer is full'))
    return new Promise((resolve, reject) => {
      this.#queue.push({ payload, resolve, reject })
      void this.#pump()
    })
  }

  setOnline(isOnline: boolean): void {
    this.#isOnline = isOnline
    void this.#pump()
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#cancelRetry()
    if (this.#isBusy) await new Promise<void>((resolve) => this.#idle.push(resolve))
    const error = new WeirError('GATEWAY_SHUTTING_DOWN', 'the device was stopped')
    for (const waiting of this.#queue.splice(0)) waiting.reject(error)
  }

  async #pump(): Promise<void> {
    if (this.#isBusy) return
    this.#isBusy = true
    while (this.#isOnline && !this.#isClosed) {
      const head = this.#queue[0]
      if (head === undefined) break
      try {
        await this.#post(head.payload)
        head.resolve()
      } catch (error) {
        if (error instanceof WeirError && error.retryable) {
          this.#cancelRetry = this.#clock.after(RETRY_MS, () => void this.#pump())
          break
        }
        head.reject(error)
      }
      this.#queue.shift()
    }
    this.#isBusy = false
    for (const resolve of this.#idle.splice(0)) resolve()
  }
}
