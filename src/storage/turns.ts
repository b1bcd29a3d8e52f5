/**
 * Cuts long synchronous work into slices, so that `output()` and queries never wait long, and lets
 * the work rest between them, so that a commit is no burst that others pay for.
 */
import type { Clock } from '../world/world.ts'

/** Long enough that the event loop's own cost vanishes, short beside a flush of the log. */
const SLICE_MS = 3

/**
 * Whether there is time to rest. A commit must be over before the next is due, which is when about
 * as many readings have arrived as it holds: it may rest until half of them are here.
 */
export class Pace {
  #committing = 0
  #arrived = 0

  /** A commit of so many readings begins, behind which so many wait already. */
  begin(readings: number, waiting: number): void {
    this.#committing = readings
    this.#arrived = waiting
  }

  arrive(readings: number): void {
    this.#arrived += readings
  }

  get hasTime(): boolean {
    return this.#arrived * 2 < this.#committing
  }
}

export class Turns {
  readonly #clock: Clock
  readonly #pace: Pace
  #startedMs: number

  constructor(clock: Clock, pace: Pace) {
    this.#clock = clock
    this.#pace = pace
    this.#startedMs = clock.monotonicMs()
  }

  get isDue(): boolean {
    return this.#clock.monotonicMs() - this.#startedMs >= SLICE_MS
  }

  /** Lets everything that waits in the event loop go first, and rests as long as a slice lasts. */
  async yield(): Promise<void> {
    await new Promise<void>((resolve) => {
      if (this.#pace.hasTime) this.#clock.after(SLICE_MS, resolve)
      else this.#clock.soon(resolve)
    })
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
