/**
 * The way from the log to the stages behind.
 *
 *   live     a frame goes on the moment it is durable
 *   replay   after a restart the log's tail goes first, while the doors are open already: what
 *            becomes durable meanwhile lies in the log behind the tail and is read from there in
 *            its turn. So the order is the log's, and a long tail costs no memory.
 *
 * The brake, live: at most `lagBytesMax` are under way, since that is memory. While replaying:
 * what was accepted since the start is at most `lagBytesMax` and half of what was replayed. So
 * however hard the doors are pushed, the replay ends, at the latest after twice the tail.
 */
import type { Log } from '../log/log.ts'
import type { FramePool } from './frame-pool.ts'
import type { LogTail, Tail } from './log-tail.ts'

/** Large enough for the disk, small enough that no PUBACK waits long for a checksum. */
const READ_BYTES = 2 << 20
/** Under way while replaying: enough that all stages have work, and no more memory than that. */
const WINDOW_BYTES_MAX = 16 << 20

/** Hands a frame to the stages behind. Its buffer is given away. */
export type Forward = (
  offset: number,
  frame: Uint8Array<ArrayBuffer>,
  /** It was acknowledged before the restart, or while the replay was under way. */
  isReplayed: boolean,
) => void

export interface ForwardingParts {
  pool: FramePool
  limits: { lagBytesMax: number }
  forward: Forward
}

/** A log that this process reads back after a restart. */
export interface ReplaySource {
  log: Log
  tail: LogTail
  /** While replaying: where the log ends now. Everything before that was acknowledged. */
  logEnds: (nextOffset: number) => void
}

export class Forwarding {
  readonly #parts: ForwardingParts
  /** Under way while replaying. */
  readonly #windowBytes: number
  /** Everything before it was handed on. */
  #nextOffset = 0
  /** Handed on, and their buffers not back yet. */
  #underWayBytes = 0
  /** Set while the log is replayed. */
  #source: ReplaySource | undefined
  #isStopping = false
  #tailBytes = 0
  #appendedBefore = 0
  /** Of the tail, and of what was appended behind it. */
  #replayedBytes = 0
  #replayedEntries = 0
  /** Wakes the replay: there is room, or it is to stop. */
  #wake: (() => void) | undefined

  constructor(parts: ForwardingParts) {
    this.#parts = parts
    this.#windowBytes = Math.min(WINDOW_BYTES_MAX, parts.limits.lagBytesMax)
  }

  /** True while nothing more should be accepted. */
  get isFull(): boolean {
    const { lagBytesMax } = this.#parts.limits
    if (this.#source === undefined) return this.#underWayBytes > lagBytesMax
    const takenBytes = this.#replayedBytes - this.#underWayBytes
    return this.#acceptedBytes(this.#source) > lagBytesMax + takenBytes / 2
  }

  /** Bytes of durable frames that the stages behind have not yet taken. */
  get lagBytes(): number {
    if (this.#source === undefined) return this.#underWayBytes
    const waitingBytes = this.#tailBytes + this.#acceptedBytes(this.#source) - this.#replayedBytes
    return waitingBytes + this.#underWayBytes
  }

  /** Since the replay began. */
  #acceptedBytes({ log }: ReplaySource): number {
    return log.statistics.bytesAppended - this.#appendedBefore
  }

  get replayedEntries(): number {
    return this.#replayedEntries
  }

  /** Entries still to be replayed, those that came since the start included. */
  get waitingEntries(): number {
    return this.#source === undefined ? 0 : this.#source.log.nextOffset - this.#nextOffset
  }

  /** From now on frames wait for the tail. To be called before anything is appended. */
  hold(tail: Tail, source: ReplaySource): void {
    const { log, logEnds } = source
    this.#nextOffset = tail.fromOffset
    this.#tailBytes = tail.bytes
    this.#appendedBefore = log.statistics.bytesAppended
    // What lies before an empty tail storage has: nothing is to be replayed.
    this.#source = tail.fromOffset < log.nextOffset ? source : undefined
    logEnds(log.nextOffset)
  }

  /** The frame of this offset became durable. */
  durable(offset: number, frame: Uint8Array<ArrayBuffer>): void {
    // The log's copy goes on while replaying; and also what the replay had read already when this
    // call, which comes a moment after the flush, was still on its way.
    if (this.#source !== undefined || offset < this.#nextOffset)
      this.#parts.pool.release(frame.buffer)
    else this.#forward(offset, frame)
  }

  /** The stages behind have taken a frame; its buffer comes back. */
  taken(frameBytes: number, buffer: ArrayBuffer | undefined): void {
    this.#underWayBytes -= frameBytes
    if (buffer !== undefined) this.#parts.pool.release(buffer)
    if (this.#hasRoom) this.#wake?.()
  }

  /** Resolves when all that is in the log was handed on and frames go on at once, or by stop(). */
  async replay(): Promise<void> {
    const source = this.#source
    if (source === undefined) return
    const { log, tail, logEnds } = source
    const { pool } = this.#parts
    const into = new Uint8Array(Math.min(READ_BYTES, this.#windowBytes))
    while (!this.#isStopping && this.#nextOffset < log.nextOffset) {
      logEnds(log.nextOffset)
      const { entries, nextOffset } = await tail.read(this.#nextOffset, into)
      for (const entry of entries) {
        this.#replayedBytes += entry.bytes.length
        this.#replayedEntries++
        this.#forward(entry.offset, tail.frame(entry, pool.allocate))
      }
      this.#nextOffset = nextOffset
      while (!this.#isStopping && !this.#hasRoom)
        await new Promise<void>((resolve) => (this.#wake = resolve))
    }
    // In the turn in which the log's end was seen: the next entry to become durable is the next.
    if (!this.#isStopping) this.#source = undefined
  }

  /** What was not replayed stays in the log for the next start. */
  stop(): void {
    this.#isStopping = true
    this.#wake?.()
  }

  get #hasRoom(): boolean {
    return this.#underWayBytes < this.#windowBytes
  }

  #forward(offset: number, frame: Uint8Array<ArrayBuffer>): void {
    this.#nextOffset = offset + 1
    this.#underWayBytes += frame.length
    this.#parts.forward(offset, frame, this.#source !== undefined)
  }
}
