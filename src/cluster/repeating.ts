/** Work that goes on until it is stopped: what fails is told, and begun again after a pause. */
import type { Clock } from '../world/world.ts'

const PAUSE_MS = 1000

export interface RepeatingParts {
  clock: Clock
  /** One stretch of it; it ends by itself, by an error, or soon after isStopping() turns true. */
  run: (isStopping: () => boolean) => Promise<void>
  failed: (error: unknown) => void
}

export class Repeating {
  readonly #parts: RepeatingParts
  #isStopping = false
  #wake: () => void = () => {}
  #done: Promise<void> = Promise.resolve()

  constructor(parts: RepeatingParts) {
    this.#parts = parts
  }

  start(): void {
    this.#done = this.#repeat()
  }

  /** Resolves when it has ended. */
  stop(): Promise<void> {
    this.#isStopping = true
    this.#wake()
    return this.#done
  }

  async #repeat(): Promise<void> {
    const { clock, run, failed } = this.#parts
    while (!this.#isStopping) {
      try {
        await run(() => this.#isStopping)
      } catch (error) {
        if (!this.#isStopping) failed(error)
      }
      if (this.#isStopping) return
      await new Promise<void>((resolve) => {
        const cancel = clock.after(PAUSE_MS, resolve)
        this.#wake = () => {
          cancel()
          resolve()
        }
      })
    }
  }
}
