/**
 * Where requests over HTTP wait while nothing more is taken. A brake of a moment, which a sender
 * over MQTT does not notice, should not send one over HTTP away for the second of Retry-After. What
 * their bodies take is bounded before they come here (`src/api/body-budget.ts`).
 */
import { WeirError } from '../errors/errors.ts'
import type { Clock } from '../world/world.ts'

/** Ingestion promises p95 below half a second: also for those who are sent away. */
const PATIENCE_MS = 250

export class WaitingRoom {
  readonly #clock: Clock
  readonly #isClosed: () => boolean
  #waiting: (() => void)[] = []

  constructor(clock: Clock, isClosed: () => boolean) {
    this.#clock = clock
    this.#isClosed = isClosed
  }

  /** Resolves when there is room, first come, first served. Throws GATEWAY_OVERLOADED. */
  async enter(): Promise<void> {
    const endMs = this.#clock.monotonicMs() + PATIENCE_MS
    while (this.#isClosed()) {
      const leftMs = endMs - this.#clock.monotonicMs()
      if (leftMs <= 0) throw new WeirError('GATEWAY_OVERLOADED')
      await this.#called(leftMs)
    }
  }

  /** There is room now. Each takes its part before the next is called, while there is some left. */
  call(): void {
    if (this.#isClosed()) return
    this.#waiting.shift()?.()
    if (this.#waiting.length > 0) this.#clock.soon(() => this.call())
  }

  async #called(leftMs: number): Promise<void> {
    const called = Promise.withResolvers<void>()
    this.#waiting.push(called.resolve)
    const cancel = this.#clock.after(leftMs, called.resolve)
    await called.promise
    cancel()
    this.#waiting = this.#waiting.filter((wake) => wake !== called.resolve)
  }
}
