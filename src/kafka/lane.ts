/** What waits for one partition, in order, and the batch that is on its way. */
import { WeirError } from '../errors/errors.ts'
import type { NewEntry } from './kafka.ts'
import { BATCH_HEADER_BYTES, encodeBatch, recordBytes, stampBatch } from './record-batch.ts'

/** Larger batches gain nothing, and a reader gets each as a whole. */
const BATCH_BYTES_WANTED = 1 << 20
/** The protocol's numbers end here and begin again, or must not go on. */
const SEQUENCES = 2 ** 31
const EPOCH_MAX = 32_767

/** One call of append(). */
export interface Call {
  /** Entries that no broker has acknowledged. */
  missing: number
  firstOffsets: Map<number, number>
  isRefused: boolean
  resolve(firstOffsets: Map<number, number>): void
  reject(error: unknown): void
}

function refuse(call: Call, error: unknown): void {
  call.isRefused = true
  call.reject(error)
}

/** Entries of one call that lie one behind the other in a partition. */
interface Piece {
  call: Call
  entries: readonly NewEntry[]
  /** Those before this are in a batch. */
  next: number
}

interface Batch {
  bytes: Uint8Array
  count: number
  parts: { call: Call; count: number }[]
}

export class Lane {
  readonly partition: number
  isSending = false
  /** Since when it is tried in vain, by the monotonic clock; undefined when all is well. */
  failingSinceMs: number | undefined
  /** A failed batch is not sent again before. */
  pausedUntilMs = 0
  /** Undefined until a broker gave one. */
  producerId: bigint | undefined
  #epoch = 0
  #sequence = 0
  #pieces: Piece[] = []
  #batch: Batch | undefined

  constructor(partition: number) {
    this.partition = partition
  }

  get hasWork(): boolean {
    return this.#batch !== undefined || this.#pieces.length > 0
  }

  add(call: Call, entries: readonly NewEntry[]): void {
    this.#pieces.push({ call, entries, next: 0 })
  }

  identify(producerId: bigint): void {
    this.producerId = producerId
    this.#epoch = 0
    this.#sequence = 0
  }

  /** The batch to be sent, or sent again; undefined when nothing is left to send. */
  take(bytesMax: number, timestampMs: number): Uint8Array | undefined {
    this.#batch ??= this.#fill(bytesMax, timestampMs)
    return this.#batch?.bytes
  }

  #fill(bytesMax: number, timestampMs: number): Batch | undefined {
    const entries: NewEntry[] = []
    const parts: Batch['parts'] = []
    const room = Math.min(bytesMax, BATCH_BYTES_WANTED) - BATCH_HEADER_BYTES
    let bytes = 0
    while (this.#pieces.length > 0) {
      const piece = this.#pieces[0]!
      const before = entries.length
      while (!piece.call.isRefused && piece.next < piece.entries.length) {
        const entry = piece.entries[piece.next]!
        const more = recordBytes(entry, entries.length)
        if (entries.length > 0 && bytes + more > room) break
        if (BATCH_HEADER_BYTES + more > bytesMax) {
          // Those of the same call that are in this batch already go without it.
          refuse(piece.call, tooLarge(more, bytesMax))
          break
        }
        entries.push(entry)
        bytes += more
        piece.next++
      }
      if (entries.length > before) parts.push({ call: piece.call, count: entries.length - before })
      if (!piece.call.isRefused && piece.next < piece.entries.length) break
      this.#pieces.shift()
    }
    if (entries.length === 0) return undefined
    const batch = { bytes: encodeBatch(entries, bytes, timestampMs), count: entries.length, parts }
    this.#stamp(batch)
    return batch
  }

  #stamp(batch: Batch): void {
    const [producerId, epoch] = [this.producerId!, this.#epoch]
    stampBatch(batch.bytes, { producerId, epoch, sequence: this.#sequence })
  }

  /** All of the batch is on all in-sync replicas. */
  acknowledged(baseOffset: number): void {
    const { count, parts } = this.#batch!
    let offset = baseOffset
    for (const { call, count } of parts) {
      if (!call.firstOffsets.has(this.partition)) call.firstOffsets.set(this.partition, offset)
      offset += count
      call.missing -= count
      if (call.missing === 0) call.resolve(call.firstOffsets)
    }
    this.#sequence = (this.#sequence + count) % SEQUENCES
    this.#batch = undefined
    this.failingSinceMs = undefined
  }

  /**
   * Under the next epoch sequences begin at zero, and what is still on its way under the last one
   * is refused by the leader.
   */
  renew(): void {
    this.#sequence = 0
    if (++this.#epoch > EPOCH_MAX) this.producerId = undefined
    else if (this.#batch !== undefined) this.#stamp(this.#batch)
  }

  /**
   * All that waits here is refused, so that nothing gets before what its caller appends again. The
   * batch may be written all the same: what comes next must not be taken for it.
   */
  fail(error: unknown): void {
    const calls = [...(this.#batch?.parts ?? []), ...this.#pieces].map(({ call }) => call)
    this.#batch = undefined
    this.#pieces = []
    this.failingSinceMs = undefined
    this.renew()
    for (const call of calls) refuse(call, error)
  }
}

const tooLarge = (bytes: number, bytesMax: number): WeirError =>
  new WeirError(
    'LOG_ENTRY_TOO_LARGE',
    `An entry takes ${bytes} bytes; at most ${bytesMax - BATCH_HEADER_BYTES} fit into the topic’s max.message.bytes`,
  )
