/**
 * A clock that stands still until it is told to go on. What is due is called in the order of its
 * time, and between any two calls every promise settles, so that a run depends on nothing but what
 * was asked of it.
 */
import type { Clock } from './world.ts'

interface Timer {
  dueMs: number
  /** Of two that are due at the same time, the one asked for first comes first. */
  order: number
  callback: () => void
}

/** 2026-01-01, so that event times look like those of today. */
const START_US = 1_767_225_600_000_000

export class SimulatedClock implements Clock {
  #nowMs = 0
  #wallOffsetUs: number
  #order = 0
  #timers: Timer[] = []
  #soon: (() => void)[] = []

  constructor(startUs: number = START_US) {
    this.#wallOffsetUs = startUs
  }

  nowUs(): number {
    return this.#wallOffsetUs + Math.round(this.#nowMs * 1000)
  }

  monotonicMs(): number {
    return this.#nowMs
  }

  after(delayMs: number, callback: () => void): () => void {
    const timer = { dueMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, callback }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter((one) => one !== timer)
    }
  }

  soon(callback: () => void): void {
    this.#soon.push(callback)
  }

  every(intervalMs: number, callback: () => void): () => void {
    let cancel = (): void => {}
    const arm = (): void => {
      cancel = this.after(intervalMs, () => {
        arm()
        callback()
      })
    }
    arm()
    return () => cancel()
  }

  /** The wall clock is set; the monotonic one does not notice. */
  jumpWall(byUs: number): void {
    this.#wallOffsetUs += byUs
  }

  /** Forgets all that was asked for, as a process does that ends. */
  forgetAll(): void {
    this.#timers = []
    this.#soon = []
  }

  /** Calls what is due next, moving time there. False when nothing is due up to `untilMs`. */
  async step(untilMs = Infinity): Promise<boolean> {
    await settle()
    const soon = this.#soon.shift()
    if (soon !== undefined) {
      soon()
      return true
    }
    const next = this.#timers.reduce<Timer | undefined>(
      (least, one) => (least === undefined || isBefore(one, least) ? one : least),
      undefined,
    )
    if (next === undefined || next.dueMs > untilMs) return false
    this.#timers = this.#timers.filter((one) => one !== next)
    this.#nowMs = Math.max(this.#nowMs, next.dueMs)
    next.callback()
    return true
  }

  /** Lets `durationMs` pass. */
  async run(durationMs: number): Promise<void> {
    const endMs = this.#nowMs + durationMs
    while (await this.step(endMs));
    this.#nowMs = endMs
    await settle()
  }
}

const isBefore = (a: Timer, b: Timer): boolean =>
  a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order)

/** A turn of the real event loop: behind it no promise is left that could go on by itself. */
const settle = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve))
