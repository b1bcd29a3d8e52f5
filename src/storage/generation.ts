/** What was output since the last seal: visible to queries, durable only in the log. */
import type { Definitions } from '../batch/batch.ts'
import { RecentEvents } from './recent-events.ts'
import { RecentPartials } from './recent-partials.ts'
import { RecentReadings, type ChunkPool } from './recent-readings.ts'

export class Generation {
  readonly firstOffset: number
  readonly readings: RecentReadings
  readonly partials = new RecentPartials()
  readonly events = new RecentEvents()
  readonly definitions: Definitions = { series: [], texts: [] }

  #readers = 0
  #isRetired = false

  constructor(firstOffset: number, pool: ChunkPool) {
    this.firstOffset = firstOffset
    this.readings = new RecentReadings(pool)
  }

  /** Keeps the readings until the returned function is called (once). */
  pin(): () => void {
    this.#readers++
    return () => {
      this.#readers--
      this.#releaseWhenDone()
    }
  }

  /** Its readings are in a segment: the memory goes with the last reader. */
  retire(): void {
    this.#isRetired = true
    this.#releaseWhenDone()
  }

  #releaseWhenDone(): void {
    if (this.#isRetired && this.#readers === 0) this.readings.release()
  }
}

export const readingsOf = (generations: readonly Generation[]): number =>
  generations.reduce((sum, { readings }) => sum + readings.count, 0)
