/** A log that appends in another way, and is the given one in everything else. */
import type { Log } from '../../src/log/log.ts'

export function withAppend(log: Log, append: Log['append']): Log {
  return {
    append,
    read: (from, bytesMax) => log.read(from, bytesMax),
    trim: (before) => log.trim(before),
    restartAt: (offset) => log.restartAt(offset),
    close: () => log.close(),
    get firstOffset() {
      return log.firstOffset
    },
    get nextOffset() {
      return log.nextOffset
    },
    get statistics() {
      return log.statistics
    },
  }
}
