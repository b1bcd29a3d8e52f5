/**
 * The browser's clock and chance: the only file of the page that reads them, so that everything
 * else can be driven by a test's clock.
 */
import type { Clock, Random } from '../world/world.ts'

/** What the page needs of the world; chance only spreads reconnects, so it need not be strong. */
export interface PageWorld {
  clock: Pick<Clock, 'nowUs' | 'monotonicMs' | 'after' | 'every'>
  random: Pick<Random, 'unit'>
}

export const browserWorld: PageWorld = {
  clock: {
    nowUs: () => Date.now() * 1000,
    monotonicMs: () => performance.now(),
    after(delayMs, callback) {
      const timer = setTimeout(callback, delayMs)
      return () => clearTimeout(timer)
    },
    every(intervalMs, callback) {
      const timer = setInterval(callback, intervalMs)
      return () => clearInterval(timer)
    },
  },
  random: { unit: () => Math.random() },
}
