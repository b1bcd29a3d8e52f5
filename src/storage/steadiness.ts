/**
 * Whether the wall clock can be believed when something is to be deleted for its age. After a jump
 * it is not, for a day of running time: long enough for somebody to see it, or for the time service
 * to set it right. A start long after the last commit is such a jump, too: nobody knows whether the
 * machine was off or its clock is wrong.
 */
import type { Clock } from '../world/world.ts'

const JUMP_US = 3_600_000_000
/** Between the last commit and a start. */
const ABSENCE_US = 30 * 86_400_000_000
const DOUBT_MS = 86_400_000

export class Steadiness {
  readonly #clock: Clock
  /** Wall clock less running time, µs. */
  #differenceUs: number
  #doubtedMs: number | undefined

  /** `knownUs` is when the clock was last seen; 0: never. */
  constructor(clock: Clock, knownUs: number) {
    this.#clock = clock
    this.#differenceUs = this.#measure()
    const isOdd = knownUs > 0 && Math.abs(clock.nowUs() - knownUs) > ABSENCE_US
    this.#doubtedMs = isOdd ? clock.monotonicMs() : undefined
  }

  #measure(): number {
    return this.#clock.nowUs() - this.#clock.monotonicMs() * 1000
  }

  /** True when it can be believed. Looks at the clock, so it is to be called now and then. */
  look(): boolean {
    const differenceUs = this.#measure()
    const nowMs = this.#clock.monotonicMs()
    if (Math.abs(differenceUs - this.#differenceUs) > JUMP_US) this.#doubtedMs = nowMs
    this.#differenceUs = differenceUs
    if (this.#doubtedMs !== undefined && nowMs - this.#doubtedMs < DOUBT_MS) return false
    this.#doubtedMs = undefined
    return true
  }
}
