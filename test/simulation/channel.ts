/** Between two threads: messages arrive in order, later, and what is transferred is gone. */
import type { Clock, Random } from '../../src/world/world.ts'

const DELAY_MS = 3

export class Channel<Message> {
  readonly #clock: Clock
  readonly #random: Random
  #queue: Message[] = []
  #isMoving = false
  receive: ((message: Message) => void) | undefined

  constructor(clock: Clock, random: Random) {
    this.#clock = clock
    this.#random = random
  }

  get length(): number {
    return this.#queue.length
  }

  send(message: Message, transfer: ArrayBuffer[] = []): void {
    this.#queue.push(structuredClone(message, { transfer }))
    this.#move()
  }

  #move(): void {
    if (this.#isMoving || this.#queue.length === 0) return
    this.#isMoving = true
    // A thread that is busy lets messages pile up.
    const delayMs = this.#random.unit() < 0.02 ? 50 * DELAY_MS : DELAY_MS
    this.#clock.after(this.#random.unit() * delayMs, () => {
      this.#isMoving = false
      for (const message of this.#queue.splice(0)) this.receive?.(message)
      this.#move()
    })
  }
}
