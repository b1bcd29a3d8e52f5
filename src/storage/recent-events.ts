/** Anomalies and dead letters that the catalogue does not hold yet. */
import { DEAD_LETTERS_PER_DEVICE_MAX, type DeadLetter } from '../batch/batch.ts'
import type { AnomalyEvent } from '../stream/stream.ts'

export interface KeptDeadLetter extends DeadLetter {
  offset: number
  /** Place in its entry; with the offset it makes the id, so a replay never doubles it. */
  index: number
}

export class RecentEvents {
  readonly #anomalies = new Map<string, AnomalyEvent>()
  readonly #deadLetters = new Map<string, KeptDeadLetter[]>()

  addAnomaly(event: AnomalyEvent): void {
    this.#anomalies.set(event.id, event)
  }

  addDeadLetters(offset: number, letters: readonly DeadLetter[]): void {
    for (const [index, letter] of letters.entries()) {
      const key = `${letter.tenant}\0${letter.deviceId}`
      const kept = this.#deadLetters.get(key) ?? []
      this.#deadLetters.set(key, kept)
      kept.push({ ...letter, offset, index })
      // Cut only now and then, so that each costs little however many come.
      if (kept.length >= 2 * DEAD_LETTERS_PER_DEVICE_MAX) {
        kept.splice(0, kept.length - DEAD_LETTERS_PER_DEVICE_MAX)
      }
    }
  }

  anomalies(): AnomalyEvent[] {
    return [...this.#anomalies.values()]
  }

  get deadLetterCount(): number {
    let count = 0
    for (const kept of this.#deadLetters.values()) {
      count += Math.min(kept.length, DEAD_LETTERS_PER_DEVICE_MAX)
    }
    return count
  }

  /** Oldest first within a device. */
  deadLetters(): KeptDeadLetter[] {
    return [...this.#deadLetters.values()].flatMap((kept) =>
      kept.slice(-DEAD_LETTERS_PER_DEVICE_MAX),
    )
  }
}
