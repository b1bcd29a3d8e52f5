/** When a rule is watched at all: its schedule, computed once for each time that it changes. */
import { isWithin, nextChangeUs, type Schedule } from '../schedule/schedule.ts'

export class Opening {
  readonly #schedule: Schedule | undefined
  #fromUs = Infinity
  #untilUs = -Infinity
  #isOpen = true

  constructor(schedule: Schedule | undefined) {
    this.#schedule = schedule
  }

  isOpen(us: number): boolean {
    if (this.#schedule !== undefined) this.#look(this.#schedule, us)
    return this.#isOpen
  }

  /** When to look again; Infinity without a schedule. */
  changesAtUs(us: number): number {
    if (this.#schedule === undefined) return Infinity
    this.#look(this.#schedule, us)
    return this.#untilUs
  }

  #look(schedule: Schedule, us: number): void {
    if (us >= this.#fromUs && us < this.#untilUs) return
    this.#isOpen = isWithin(schedule, us)
    this.#fromUs = us
    this.#untilUs = nextChangeUs(schedule, us)
  }
}
