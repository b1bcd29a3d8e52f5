/** Fan-out within a process: for tests, and where the parts of a cluster run in one process. */
import type { Clock } from '../world/world.ts'
import { Listeners, MESSAGE_LENGTH_MAX, type Fanout } from './fanout.ts'

/** Told, and not heard yet. */
const WAITING_MAX = 10_000

/** What connections to one Redis are to each other. */
export class MemoryBus {
  readonly #clock: Clock
  readonly #connections = new Set<Listeners>()
  #waiting = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  open(): Fanout {
    const listeners = new Listeners()
    const { counts } = listeners
    this.#connections.add(listeners)
    return {
      publish: (channel, message) => {
        const isOpen = this.#connections.has(listeners)
        const isTold =
          isOpen && message.length <= MESSAGE_LENGTH_MAX && this.#tell(channel, message)
        if (isTold) counts.published++
        else counts.dropped++
      },
      subscribe: (channel, listener) =>
        this.#connections.has(listeners) ? listeners.add(channel, listener) : () => undefined,
      counts: () => ({ ...counts }),
      close: async () => {
        this.#connections.delete(listeners)
        listeners.clear()
      },
    }
  }

  /** False when too much is waiting. */
  #tell(channel: string, message: string): boolean {
    if (this.#waiting >= WAITING_MAX) return false
    this.#waiting++
    this.#clock.soon(() => {
      this.#waiting--
      for (const listeners of this.#connections) listeners.tell(channel, message)
    })
    return true
  }
}
