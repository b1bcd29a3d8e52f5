/** How jobs in the background are, by ids that they get here. The last hundred are remembered. */
import type { Random } from '../world/world.ts'

const STATUSES_MAX = 100

export class JobStatuses<Status> {
  readonly #random: Random
  readonly #byId = new Map<string, Status>()

  constructor(random: Random) {
    this.#random = random
  }

  /** Returns its id. The status may change meanwhile. */
  add(status: Status): string {
    const id = Buffer.from(this.#random.bytes(9)).toString('base64url')
    this.#byId.set(id, status)
    for (const oldest of this.#byId.keys()) {
      if (this.#byId.size <= STATUSES_MAX) break
      this.#byId.delete(oldest)
    }
    return id
  }

  get(id: string): Status | undefined {
    return this.#byId.get(id)
  }
}
