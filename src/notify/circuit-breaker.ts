/**
 * One for each endpoint: after failures in a row it is left alone for a while (open), then one try
 * tells whether it is back (half-open). An endpoint that hangs so costs one time-out a period and
 * not one for each message. It has no timers: who sends asks.
 */
import type { Clock } from '../world/world.ts'

export interface BreakerLimits {
  failuresMax: number
  openMs: number
  /** A try whose end is never told, since its process ended, counts as failed after that. */
  probeMs: number
}

export const BREAKER: BreakerLimits = { failuresMax: 5, openMs: 30_000, probeMs: 30_000 }

export type BreakerState = 'closed' | 'open' | 'half-open'

export class CircuitBreaker {
  readonly #clock: Pick<Clock, 'monotonicMs'>
  readonly #limits: BreakerLimits
  #failuresInRow = 0
  /** While open or half-open: when the next try may be. */
  #nextTryMs: number | undefined
  #isProbing = false
  /** Since the start. */
  readonly counts = { succeeded: 0, failed: 0, held: 0, opened: 0 }

  constructor(clock: Pick<Clock, 'monotonicMs'>, limits: BreakerLimits = BREAKER) {
    this.#clock = clock
    this.#limits = limits
  }

  get state(): BreakerState {
    if (this.#nextTryMs === undefined) return 'closed'
    return this.#isProbing || this.waitMs === 0 ? 'half-open' : 'open'
  }

  /** Until the next try may be; 0 when it may be now. */
  get waitMs(): number {
    if (this.#nextTryMs === undefined) return 0
    return Math.max(0, this.#nextTryMs - this.#clock.monotonicMs())
  }

  /** Whether to try now. Who was let through tells how it ended, by succeeded() or failed(). */
  admit(): boolean {
    if (this.waitMs > 0) {
      this.counts.held++
      return false
    }
    if (this.#nextTryMs !== undefined) {
      this.#isProbing = true
      this.#nextTryMs = this.#clock.monotonicMs() + this.#limits.probeMs
    }
    return true
  }

  /** The receiver answered, be it that it refuses this one message: it is there. */
  succeeded(): void {
    this.counts.succeeded++
    this.#failuresInRow = 0
    this.#nextTryMs = undefined
    this.#isProbing = false
  }

  /** It did not answer, or is too busy: NOTIFY_UNAVAILABLE. */
  failed(): void {
    this.counts.failed++
    this.#failuresInRow++
    // A late end of a try from before it opened says nothing new.
    if (this.#nextTryMs !== undefined && !this.#isProbing) return
    if (!this.#isProbing && this.#failuresInRow < this.#limits.failuresMax) return
    this.#isProbing = false
    this.#nextTryMs = this.#clock.monotonicMs() + this.#limits.openMs
    this.counts.opened++
  }
}
