/** A cache in this process. Its Map is ordered by use: the first key goes first. */
import type { Clock } from '../world/world.ts'
import { noCounts, VALUE_BYTES_MAX, type Cache, type CacheCounts } from './cache.ts'

interface Entry {
  value: Uint8Array
  bytes: number
  expiresMs: number
}

/** What the Map and the entry need besides key and value; an estimate that is rather too high. */
const ENTRY_BYTES = 200

export class MemoryCache implements Cache {
  readonly #clock: Clock
  readonly #bytesMax: number
  readonly #entries = new Map<string, Entry>()
  readonly #counts = noCounts()
  #bytes = 0
  #isClosed = false

  /** `bytesMax` bounds keys, values and what keeping them needs. */
  constructor({ clock, bytesMax }: { clock: Clock; bytesMax: number }) {
    this.#clock = clock
    this.#bytesMax = bytesMax
  }

  get bytes(): number {
    return this.#bytes
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    const entry = this.#entries.get(key)
    if (entry === undefined || this.#clock.monotonicMs() >= entry.expiresMs) {
      this.#forget(key)
      this.#counts.misses++
      return undefined
    }
    this.#entries.delete(key)
    this.#entries.set(key, entry)
    this.#counts.hits++
    return entry.value.slice()
  }

  async set(key: string, value: Uint8Array, ttlMs: number): Promise<void> {
    this.#forget(key)
    if (this.#isClosed || ttlMs <= 0) return
    const bytes = ENTRY_BYTES + 2 * key.length + value.length
    if (value.length > VALUE_BYTES_MAX || bytes > this.#bytesMax) {
      this.#counts.refused++
      return
    }
    const expiresMs = this.#clock.monotonicMs() + ttlMs
    this.#entries.set(key, { value: Uint8Array.from(value), bytes, expiresMs })
    this.#bytes += bytes
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= this.#bytesMax) break
      this.#forget(oldest)
    }
  }

  async delete(key: string): Promise<void> {
    this.#forget(key)
  }

  counts(): CacheCounts {
    return { ...this.#counts }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#entries.clear()
    this.#bytes = 0
  }

  #forget(key: string): void {
    this.#bytes -= this.#entries.get(key)?.bytes ?? 0
    this.#entries.delete(key)
  }
}
