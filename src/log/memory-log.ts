/** The log in memory: the port's meaning in the fewest lines. For tests; nothing is durable. */
import { WeirError } from '../errors/errors.ts'
import type { Log, LogEntry, LogStatistics } from './log.ts'

/** A log that lives as long as the object. Entries are copied in and out. */
export function createMemoryLog(): Log {
  return new MemoryLog()
}

class MemoryLog implements Log {
  #entries: Uint8Array[] = []
  #firstOffset = 0
  #isClosed = false
  #entriesAppended = 0
  #bytesAppended = 0

  get firstOffset(): number {
    return this.#firstOffset
  }

  get nextOffset(): number {
    return this.#firstOffset + this.#entries.length
  }

  get statistics(): LogStatistics {
    return {
      entriesAppended: this.#entriesAppended,
      bytesAppended: this.#bytesAppended,
      flushes: this.#entriesAppended,
      segmentCount: 1,
      bytesOnDisk: 0,
    }
  }

  async append(bytes: Uint8Array): Promise<number> {
    if (this.#isClosed) throw new WeirError('GATEWAY_SHUTTING_DOWN', 'The log is closed')
    this.#entriesAppended++
    this.#bytesAppended += bytes.length
    return this.#firstOffset + this.#entries.push(bytes.slice()) - 1
  }

  async read(fromOffset: number, bytesMax: number): Promise<LogEntry[]> {
    const read: LogEntry[] = []
    let bytesLeft = bytesMax
    for (let offset = Math.max(fromOffset, this.#firstOffset); offset < this.nextOffset; offset++) {
      const bytes = this.#entries[offset - this.#firstOffset]!
      bytesLeft -= bytes.length
      if (bytesLeft < 0 && read.length > 0) break
      read.push({ offset, bytes: bytes.slice() })
    }
    return read
  }

  async trim(beforeOffset: number): Promise<void> {
    const count = Math.min(beforeOffset, this.nextOffset) - this.#firstOffset
    if (count <= 0) return
    this.#entries = this.#entries.slice(count)
    this.#firstOffset += count
  }

  async restartAt(offset: number): Promise<void> {
    this.#entries = []
    this.#firstOffset = offset
  }

  async close(): Promise<void> {
    this.#isClosed = true
  }
}
