/**
 * The gateway stage behind its doors: brings the stages behind up to the log's end before the doors
 * open, hears from storage what was taken, and trims the log.
 */
import type { Gateway } from '../gateway/gateway-stage.ts'
import type { Log } from '../log/log.ts'
import type { Recovered } from '../storage/storage.ts'
import type { LoopMessage } from './threads.ts'

export class GatewayLoop {
  readonly #gateway: Gateway
  readonly #log: Log
  readonly #found = Promise.withResolvers<Recovered>()
  /** What storage has, as it says once it is open. */
  readonly recovered = this.#found.promise
  /** Resolves when storage has taken the entry of this offset. */
  #caughtUp: { offset: number; resolve: () => void } | undefined
  #takenOffset = -1

  constructor(gateway: Gateway, log: Log) {
    this.#gateway = gateway
    this.#log = log
  }

  /** From storage. */
  take(message: LoopMessage): void {
    if ('recovered' in message) this.#found.resolve(message.recovered)
    else if ('trimBefore' in message) void this.#log.trim(message.trimBefore)
    else {
      this.#takenOffset = message.offset
      this.#gateway.commit.taken(message.taken, message.buffer)
      const caughtUp = this.#caughtUp
      if (caughtUp !== undefined && this.#takenOffset >= caughtUp.offset) caughtUp.resolve()
    }
  }

  /** Replays the log's tail; resolves with the count of its entries once storage has them all. */
  async recover(): Promise<number> {
    const { definitions, nextOffset } = await this.recovered
    const { entries, lastOffset } = await this.#gateway.recover(definitions, nextOffset)
    if (entries > 0 && this.#takenOffset < lastOffset) {
      await new Promise<void>((resolve) => (this.#caughtUp = { offset: lastOffset, resolve }))
    }
    return entries
  }
}
