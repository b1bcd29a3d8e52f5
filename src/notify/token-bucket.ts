/**
 * How many messages a recipient gets: `{"messages":5,"per":"1m"}`. Each token comes back `per`
 * after it was taken, so that *no* minute has more than five. (A bucket that fills evenly would let
 * nine through in the first one: five at once, then one every twelve seconds.)
 *
 * Times are of the wall clock, as what was taken must outlive a restart; one that jumps back makes
 * nobody wait longer than `per`.
 */

export interface RateLimit {
  messages: number
  perUs: number
}

export class TokenBucket {
  readonly #limit: RateLimit
  /** When those tokens were taken that are not back, the oldest first. */
  #takenUs: number[]

  /** `takenUs`: what `takenUs` said before the restart. */
  constructor(limit: RateLimit, takenUs: readonly number[] = []) {
    this.#limit = limit
    this.#takenUs = takenUs.toSorted((one, other) => one - other).slice(-limit.messages)
  }

  /** What to keep, at most `messages` times. */
  get takenUs(): readonly number[] {
    return this.#takenUs
  }

  available(nowUs: number): number {
    const fromUs = nowUs - this.#limit.perUs
    this.#takenUs = this.#takenUs.filter((us) => us > fromUs).map((us) => Math.min(us, nowUs))
    return this.#limit.messages - this.#takenUs.length
  }

  /** False when there is none. */
  take(nowUs: number): boolean {
    if (this.available(nowUs) <= 0) return false
    this.#takenUs.push(nowUs)
    return true
  }

  /** When `count` tokens (1 to `messages`) will be there: now, or later. */
  nextUs(nowUs: number, count = 1): number {
    const missing = count - this.available(nowUs)
    return missing <= 0 ? nowUs : this.#takenUs[missing - 1]! + this.#limit.perUs
  }
}
