/** The clock as one process has it: when the process is dead, nothing that it asked for comes. */
import type { Clock } from '../../src/world/world.ts'

export class ScopedClock implements Clock {
  readonly #clock: Clock
  readonly #cancels = new Set<() => void>()
  #isDead = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Timers that are set now: a process that leaks them has ever more. */
  get timerCount(): number {
    return this.#cancels.size
  }

  nowUs(): number {
    return this.#clock.nowUs()
  }

  monotonicMs(): number {
    return this.#clock.monotonicMs()
  }

  after(delayMs: number, callback: () => void): () => void {
    if (this.#isDead) return () => {}
    const cancel = this.#clock.after(delayMs, () => {
      this.#cancels.delete(cancel)
      if (!this.#isDead) callback()
    })
    this.#cancels.add(cancel)
    return () => {
      this.#cancels.delete(cancel)
      cancel()
    }
  }

  soon(callback: () => void): void {
    this.#clock.soon(() => {
      if (!this.#isDead) callback()
    })
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

  kill(): void {
    this.#isDead = true
    for (const cancel of this.#cancels) cancel()
    this.#cancels.clear()
  }
}
