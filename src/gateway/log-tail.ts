/**
 * What storage has not seen of the log. It is read twice after a restart: once before the doors
 * open, for what it defines and to be sure that every entry can be read; and once to hand it on.
 */
import { decodeFrame, type Definitions } from '../batch/batch.ts'
import type { Log, LogEntry } from '../log/log.ts'

const READ_BYTES = 2 << 20

export interface Tail {
  fromOffset: number
  entries: number
  /** Of all frames. */
  bytes: number
}

export class LogTail {
  readonly #log: Log

  constructor(log: Log) {
    this.#log = log
  }

  /** Hands out all definitions in the tail. Throws LOG_ENTRY_DAMAGED. */
  async examine(fromOffset: number, learn: (definitions: Definitions) => void): Promise<Tail> {
    const into = new Uint8Array(READ_BYTES)
    let bytes = 0
    let offset = fromOffset
    while (offset < this.#log.nextOffset) {
      for (const entry of await this.read(offset, into)) {
        const { definitions } = decodeFrame(entry.bytes)
        if (definitions !== undefined) learn(definitions)
        bytes += entry.bytes.length
        offset = entry.offset + 1
      }
    }
    return { fromOffset, entries: offset - fromOffset, bytes }
  }

  /** Some entries, at least one. They may be views of `into`. */
  read(fromOffset: number, into: Uint8Array<ArrayBuffer>): Promise<LogEntry[]> {
    return this.#log.read(fromOffset, into.length, into)
  }
}
