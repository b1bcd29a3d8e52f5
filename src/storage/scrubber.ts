/**
 * Reads every segment's file again in the background, so that damage is known while there is still
 * a backup of before it, and not only when somebody asks for that time. Slow on purpose.
 */
import type { Clock } from '../world/world.ts'
import type { SegmentChecks } from './segment-checks.ts'
import type { SegmentSet } from './segment-set.ts'

export interface ScrubPace {
  /** From the start to the first pass, and between two. */
  delayMs: number
  intervalMs: number
  bytesPerSecond: number
}

/** A pass over 100 GB takes two hours, and less than a hundredth of what a small disk reads. */
export const SCRUB_PACE: ScrubPace = {
  delayMs: 60_000,
  intervalMs: 24 * 3_600_000,
  bytesPerSecond: 16 << 20,
}

interface Parts {
  clock: Clock
  segments: SegmentSet
  checks: SegmentChecks
  pace: ScrubPace
}

export class Scrubber {
  readonly #parts: Parts
  #cancel: () => void = () => {}
  #wake: () => void = () => {}
  #isClosing = false
  #running: Promise<void> | undefined
  /** Passes finished since the start. */
  passes = 0

  constructor(parts: Parts) {
    this.#parts = parts
    this.#schedule(parts.pace.delayMs)
  }

  #schedule(delayMs: number): void {
    this.#cancel = this.#parts.clock.after(delayMs, () => {
      this.#running = this.#pass().finally(() => {
        if (!this.#isClosing) this.#schedule(this.#parts.pace.intervalMs)
      })
    })
  }

  async #pass(): Promise<void> {
    const { segments, checks } = this.#parts
    for (const segment of segments.all()) {
      if (this.#isClosing) return
      // It may have been merged away since the pass began.
      if (!segments.has(segment) || segment.isCold) continue
      const release = segments.pin([segment])
      // What cannot be read for a passing reason comes again in the next pass.
      await checks
        .check(segment, (bytes) => this.#rest(bytes))
        .catch(() => undefined)
        .finally(release)
    }
    this.passes++
  }

  #rest(bytes: number): Promise<void> {
    if (this.#isClosing) return Promise.resolve()
    const { clock, pace } = this.#parts
    return new Promise((resolve) => {
      this.#wake = resolve
      this.#cancel = clock.after((bytes / pace.bytesPerSecond) * 1000, resolve)
    })
  }

  async close(): Promise<void> {
    this.#isClosing = true
    this.#cancel()
    this.#wake()
    await this.#running
  }
}
