/**
 * What waits for one endpoint, with its own queue, limits and circuit breaker, so that one that is
 * slow or dead delays nobody else (A5).
 */
import { CircuitBreaker } from '../notify/notify.ts'
import type { Clock } from '../world/world.ts'
import type { MessageRow } from './alert-rows.ts'

/** A message without its body, which is read again when it is tried again. */
export interface Entry {
  tenant: string
  id: string
  nextTryAtUs: number
  /** Of a message that is tried for the first time. */
  row: MessageRow | undefined
}

/** Tries at once: an endpoint that answers slowly is still told of several alerts in its time. */
const TRIES_MAX = 4

export class EndpointLane {
  readonly #clock: Clock
  readonly #send: (entry: Entry, breaker: CircuitBreaker) => Promise<void>
  readonly #entries: Entry[] = []
  readonly #breaker: CircuitBreaker
  readonly #underWay = new Set<Promise<void>>()
  #isStopped = false
  #cancel: () => void = () => undefined

  /** `send` asks the breaker, tells it how it ended, and never rejects. */
  constructor(clock: Clock, send: (entry: Entry, breaker: CircuitBreaker) => Promise<void>) {
    this.#clock = clock
    this.#send = send
    this.#breaker = new CircuitBreaker(clock)
  }

  get waiting(): number {
    return this.#entries.length + this.#underWay.size
  }

  add(entry: Entry): void {
    this.#entries.push(entry)
    this.#pump()
  }

  /** Begins nothing more; resolves when what is under way has ended. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.#cancel()
    await Promise.all(this.#underWay)
  }

  #pump(): void {
    this.#cancel()
    while (!this.#isStopped && this.#underWay.size < TRIES_MAX) {
      const at = this.#nextDue()
      if (at === -1 || this.#breaker.waitMs > 0) break
      const [entry] = this.#entries.splice(at, 1)
      const sending = this.#send(entry!, this.#breaker).finally(() => {
        this.#underWay.delete(sending)
        this.#pump()
      })
      this.#underWay.add(sending)
    }
    this.#arm()
  }

  #nextDue(): number {
    const nowUs = this.#clock.nowUs()
    return this.#entries.findIndex(({ nextTryAtUs }) => nextTryAtUs <= nowUs)
  }

  /** For the next try; one that ends looks again by itself. */
  #arm(): void {
    if (this.#isStopped || this.#entries.length === 0 || this.#underWay.size >= TRIES_MAX) return
    const nextUs = this.#entries.reduce(
      (least, { nextTryAtUs }) => Math.min(least, nextTryAtUs),
      Infinity,
    )
    const dueMs = (nextUs - this.#clock.nowUs()) / 1000
    const waitMs = Math.max(1, dueMs, this.#breaker.waitMs)
    this.#cancel = this.#clock.after(Math.min(waitMs, 3_600_000), () => this.#pump())
  }
}
