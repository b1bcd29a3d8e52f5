/** Who listens to what, of one process. */
import type { FanoutCounts } from './fanout.ts'

type Listener = (message: string) => void

export class Listeners {
  readonly #byChannel = new Map<string, Set<{ listener: Listener }>>()
  readonly counts: FanoutCounts = { published: 0, dropped: 0, heard: 0, failed: 0 }

  channels(): string[] {
    return [...this.#byChannel.keys()]
  }

  has(channel: string): boolean {
    return this.#byChannel.has(channel)
  }

  /** The same listener may come twice, and hears everything twice then. Returns what ends it. */
  add(channel: string, listener: Listener): () => void {
    const entry = { listener }
    const entries = this.#byChannel.get(channel) ?? new Set()
    this.#byChannel.set(channel, entries.add(entry))
    return () => {
      entries.delete(entry)
      if (entries.size === 0 && this.#byChannel.get(channel) === entries)
        this.#byChannel.delete(channel)
    }
  }

  clear(): void {
    for (const entries of this.#byChannel.values()) entries.clear()
    this.#byChannel.clear()
  }

  tell(channel: string, message: string): void {
    for (const { listener } of this.#byChannel.get(channel) ?? []) {
      this.counts.heard++
      try {
        listener(message)
      } catch {
        this.counts.failed++
      }
    }
  }
}
