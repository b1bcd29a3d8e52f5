/**
 * Time to live: what was silent for the state's TTL (ingest time) is forgotten. One sweep goes over
 * the chunks, one a frame, so that no frame pays for all of them; its cursor is part of the state,
 * since forgetting is visible in the outputs.
 */
import type { Stores } from './checkpoint.ts'

/** A sweep begins this often within the TTL: what is forgotten is at most 1/16 older than that. */
const SWEEPS_PER_TTL = 16

export class Expiry {
  /** The next chunk, or -1 between sweeps. */
  cursor = -1
  nextSweepUs = -Infinity
  readonly #stores: Stores
  readonly #ttlUs: number

  constructor(stores: Stores, ttlUs: number) {
    this.#stores = stores
    this.#ttlUs = ttlUs
  }

  /** Takes the sweep one chunk further, or begins one when it is time. */
  tick(ingestUs: number): void {
    if (this.cursor === -1) {
      if (ingestUs < this.nextSweepUs) return
      this.nextSweepUs = ingestUs + this.#ttlUs / SWEEPS_PER_TTL
      this.cursor = 0
    }
    const { state, identities, rules, detectors } = this.#stores
    const beforeUs = ingestUs - this.#ttlUs
    state.expire(this.cursor, beforeUs, (series) => {
      rules.forget(series)
      detectors.forget(series)
    })
    identities.expire(this.cursor, beforeUs)
    this.cursor++
    if (this.cursor >= Math.max(state.bornCount, identities.chunks.length)) this.cursor = -1
  }
}
