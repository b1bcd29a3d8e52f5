/**
 * Rule events on their way from the stream to the alerts: in their order, one write at a time, and
 * until it succeeds. What comes meanwhile goes with the next write, so a storm costs few of them.
 */
import type { RuleEvent } from '../stream/stream.ts'
import type { Clock } from '../world/world.ts'
import type { RuleEventsMessage } from './threads.ts'

const RETRY_MS = 1000

export interface RuleEventQueueParts {
  clock: Clock
  /** Resolves once they are durable. */
  take: (events: readonly RuleEvent[]) => Promise<void>
  /** Everything up to this offset is. */
  taken: (offset: number) => void
  /** It is tried again. */
  failed: (error: unknown) => void
}

export class RuleEventQueue {
  readonly #parts: RuleEventQueueParts
  #waiting: RuleEventsMessage[] = []
  #isPumping = false

  constructor(parts: RuleEventQueueParts) {
    this.#parts = parts
  }

  push(message: RuleEventsMessage): void {
    this.#waiting.push(message)
    if (!this.#isPumping) void this.#pump()
  }

  async #pump(): Promise<void> {
    this.#isPumping = true
    while (this.#waiting.length > 0) {
      const messages = this.#waiting
      this.#waiting = []
      await this.#takeOnce(messages.flatMap(({ events }) => events))
      this.#parts.taken(messages.at(-1)!.offset)
    }
    this.#isPumping = false
  }

  async #takeOnce(events: readonly RuleEvent[]): Promise<void> {
    const { clock, take, failed } = this.#parts
    for (;;) {
      try {
        return await take(events)
      } catch (error) {
        failed(error)
        await new Promise<void>((resolve) => clock.after(RETRY_MS, resolve))
      }
    }
  }
}
