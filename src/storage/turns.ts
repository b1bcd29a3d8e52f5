/** Cuts long synchronous work into slices, so that `output()` and queries never wait long. */
import type { Clock } from '../world/world.ts'

/** Long enough that the event loop's own cost vanishes, short beside a flush of the log. */
const SLICE_MS = 3

export class Turns {
  readonly #clock: Clock
  #startedMs: number

  constructor(clock: Clock) {
    this.#clock = clock
    this.#startedMs = clock.monotonicMs()
  }

  get isDue(): boolean {
    return this.#clock.monotonicMs() - this.#startedMs >= SLICE_MS
  }

  /** Lets everything that waits in the event loop go first. */
  async yield(): Promise<void> {
    await new Promise<void>((resolve) => this.#clock.soon(resolve))
    this.#startedMs = this.#clock.monotonicMs()
  }

  /** Runs work that offers to stop at each `yield`; stops there once a slice is over. */
  async run<T>(work: Generator<void, T>): Promise<T> {
    await this.yield()
    for (;;) {
      const step = work.next()
      if (step.done === true) return step.value
      if (this.isDue) await this.yield()
    }
  }
}
