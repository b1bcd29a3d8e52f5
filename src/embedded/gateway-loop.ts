/**
 * The gateway stage behind its doors: learns from storage where to begin, hears from it what was
 * taken, and trims the log.
 */
import type { Gateway, OwnLog } from '../gateway/gateway-stage.ts'
import type { Tail } from '../gateway/log-tail.ts'
import type { Recovered } from '../storage/storage.ts'
import type { LoopMessage } from './threads.ts'

export class GatewayLoop {
  readonly #gateway: Gateway
  readonly #own: OwnLog
  readonly #found = Promise.withResolvers<Recovered>()
  /** What storage has, as it says once it is open. */
  readonly recovered = this.#found.promise

  constructor(gateway: Gateway, own: OwnLog) {
    this.#gateway = gateway
    this.#own = own
  }

  /** From storage. */
  take(message: LoopMessage): void {
    if ('recovered' in message) this.#found.resolve(message.recovered)
    else if ('trimBefore' in message) void this.#own.log.trim(message.trimBefore)
    else this.#gateway.commit.taken(message.taken, message.buffer)
  }

  /** Learns what the log's tail defines. Then the doors may open, and a replay is due. */
  async recover(): Promise<Tail> {
    const { definitions, nextOffset } = await this.recovered
    return this.#gateway.recover(this.#own, definitions, nextOffset)
  }
}
