/**
 * Group commit: while one frame is being flushed, everything that arrives fills the next one. Only
 * when a frame is durable are its messages acknowledged, and only then does the stream see it.
 *
 *   builder ─seal─▶ queue ─append, flush─▶ acknowledge ─▶ forward to the stream
 *
 * The brake: no more is read from sockets while the queue is long, the stages behind are too far
 * behind (`forwarding.ts`), or the log takes nothing (full disk, no broker). Nothing that was read
 * is thrown away.
 */
import type { ErrorCode } from '../errors/errors.ts'
import { WeirError } from '../errors/errors.ts'
import type { LogAppender } from '../log/log.ts'
import type { Clock } from '../world/world.ts'
import type { BatchBuilder } from './batch-builder.ts'
import type { Dictionary } from './dictionary.ts'
import { Forwarding, type ForwardingParts, type ReplaySource } from './forwarding.ts'
import type { FrameRoom } from './frame-room.ts'
import type { Tail } from './log-tail.ts'

/** Full batches that may wait for the flush before reading stops. */
const QUEUE_MAX = 3
/** What gets better by itself. */
const PASSING: readonly ErrorCode[] = ['LOG_DISK_FULL', 'LOG_UNAVAILABLE']
const RETRY_MS = 500
/**
 * Under load a batch is filled for at least this long. Every batch costs a flush and one write a
 * connection: without this, half of the full rate kept the gateway busier than the full rate, and
 * p99 of publish to PUBACK was 15 ms instead of 11 (p50 3.1 instead of 2.9).
 */
const PACE_MS = 2
/** After a smaller batch nobody waits. */
const PACED_MESSAGES_MIN = 100

/** Told once everything put into the batch before `expect()` is durable, or why it is not. */
export interface Awaiting {
  /** Waits through a full disk, as a connection does whose client resends only on reconnect. */
  readonly isPatient: boolean
  durable(): void
  failed(error: WeirError): void
}

interface SealedBatch {
  frame: Uint8Array<ArrayBuffer>
  messages: number
  readings: number
  awaiting: Awaiting[]
}

export interface GroupCommitLimits {
  lagBytesMax: number
}

interface GroupCommitParts extends ForwardingParts {
  builder: BatchBuilder
  dictionary: Dictionary
  room: FrameRoom
  log: LogAppender
  clock: Clock
  limits: GroupCommitLimits
  /** A batch became durable, `flushMs` after it was handed to the log. */
  durable: (messages: number, readings: number, flushMs: number) => void
  /** Called just before the batch is taken out of the builder. */
  sealing: () => void
  /** Called when isBlocked turns false. */
  unblocked: () => void
}

export class GroupCommit {
  readonly #parts: GroupCommitParts
  readonly #queue: SealedBatch[] = []
  #awaiting: Awaiting[] = []
  #isScheduled = false
  #isPumping = false
  /** When the last batch was sealed, and how many messages it held. */
  #sealedMs = 0
  #sealedMessages = 0
  /** Ends the pause of the pump. */
  #resume: (() => void) | undefined
  readonly #forwarding: Forwarding
  #failure: WeirError | undefined
  #wasBlocked = false
  #drained: (() => void)[] = []

  constructor(parts: GroupCommitParts) {
    this.#parts = parts
    this.#forwarding = new Forwarding(parts)
  }

  /** True while nothing more should be read. */
  get isBlocked(): boolean {
    const isBlocked =
      this.#failure !== undefined || this.#queue.length >= QUEUE_MAX || this.#forwarding.isFull
    this.#wasBlocked ||= isBlocked
    return isBlocked
  }

  /** Why nothing can become durable now: PASSING, or a failed flush, which does not pass. */
  get failure(): WeirError | undefined {
    return this.#failure
  }

  /** How far the stages behind are behind. */
  get forwarding(): Pick<Forwarding, 'lagBytes' | 'waitingEntries' | 'replayedEntries'> {
    return this.#forwarding
  }

  /** Call after the builder got something. */
  touch(): void {
    const { room, clock } = this.#parts
    if (room.isFull) this.#seal()
    if (this.#isScheduled || this.#isPumping) return
    this.#isScheduled = true
    // All sockets that are readable now get into this batch.
    clock.soon(() => {
      this.#isScheduled = false
      this.#seal()
    })
  }

  /** In the middle of a body that may be cut: seals what is there when it is enough. */
  makeRoom(): void {
    if (this.#parts.room.isFull) this.#seal()
  }

  /** `awaiting` hears of the batch that is being filled now. */
  expect(awaiting: Awaiting): void {
    this.#awaiting.push(awaiting)
    this.touch()
  }

  /** A tick carries the clock to the stages behind when no message does. */
  tick(): void {
    if (this.#failure === undefined && this.#queue.length === 0) this.#seal()
  }

  /** The stages behind have taken a frame; its buffer comes back. */
  taken(frameBytes: number, buffer: ArrayBuffer | undefined): void {
    this.#forwarding.taken(frameBytes, buffer)
    this.#checkUnblocked()
  }

  /** Frames wait for the log's tail from now on, which replay() hands to the stages behind. */
  hold(tail: Tail, source: ReplaySource): void {
    this.#forwarding.hold(tail, source)
  }

  async replay(): Promise<void> {
    await this.#forwarding.replay()
    this.#checkUnblocked()
  }

  stopReplay(): void {
    this.#forwarding.stop()
  }

  /** Resolves once nothing is left to flush (or nothing can be flushed any more). */
  drain(): Promise<void> {
    if (!this.#parts.builder.isEmpty || this.#awaiting.length > 0) this.#seal()
    if (!this.#isPumping || this.#failure !== undefined) return Promise.resolve()
    return new Promise((resolve) => this.#drained.push(resolve))
  }

  #seal(): void {
    const { builder, dictionary, clock, pool } = this.#parts
    this.#parts.sealing()
    const { messageCount: messages, readingCount: readings } = builder
    const frame = builder.seal(clock.nowUs(), dictionary.takeNew(), pool.allocate)
    this.#queue.push({ frame, messages, readings, awaiting: this.#awaiting })
    this.#awaiting = []
    this.#sealedMs = clock.monotonicMs()
    this.#sealedMessages = messages
    this.#resume?.()
    if (!this.#isPumping) void this.#pump()
  }

  async #pump(): Promise<void> {
    const { clock } = this.#parts
    this.#isPumping = true
    for (;;) {
      const batch = this.#queue[0]
      if (batch === undefined) {
        const { builder } = this.#parts
        if (builder.isEmpty && this.#awaiting.length === 0) break
        await this.#pace()
        if (this.#queue.length === 0) this.#seal()
        continue
      }
      try {
        // G1: from here on the batch is durable.
        const startMs = clock.monotonicMs()
        const offset = await this.#parts.log.append(batch.frame)
        this.#queue.shift()
        this.#failure = undefined
        this.#parts.durable(batch.messages, batch.readings, clock.monotonicMs() - startMs)
        for (const waiting of batch.awaiting) waiting.durable()
        this.#forwarding.durable(offset, batch.frame)
      } catch (error) {
        const isPassing = await this.#failed(error)
        if (!isPassing) break
      }
      this.#checkUnblocked()
    }
    this.#isPumping = false
    for (const resolve of this.#drained.splice(0)) resolve()
  }

  /** Under load, lets the batch fill until PACE_MS after the last seal, or until it is full. */
  async #pace(): Promise<void> {
    const { clock } = this.#parts
    const leftMs = this.#sealedMs + PACE_MS - clock.monotonicMs()
    if (leftMs <= 0 || this.#sealedMessages < PACED_MESSAGES_MIN) return
    await new Promise<void>((resolve) => {
      const cancel = clock.after(leftMs, resolve)
      this.#resume = () => {
        cancel()
        resolve()
      }
    })
    this.#resume = undefined
  }

  /**
   * The batch stays at the head of the queue: its messages are not acknowledged, its senders wait
   * or send again, and its definitions keep their order. Those behind it cannot become durable
   * either. True when trying again can help.
   */
  async #failed(error: unknown): Promise<boolean> {
    const failure =
      error instanceof WeirError ? error : new WeirError('LOG_FLUSH_FAILED', String(error))
    this.#failure = failure
    this.#wasBlocked = true
    for (const batch of this.#queue) batch.awaiting = tellImpatient(batch.awaiting, failure)
    this.#awaiting = tellImpatient(this.#awaiting, failure)
    if (!PASSING.includes(failure.code)) return false
    await new Promise<void>((resolve) => this.#parts.clock.after(RETRY_MS, resolve))
    return true
  }

  #checkUnblocked(): void {
    if (!this.#wasBlocked || this.isBlocked) return
    this.#wasBlocked = false
    this.#parts.unblocked()
  }
}

/** Returns those who go on waiting. */
function tellImpatient(awaiting: readonly Awaiting[], failure: WeirError): Awaiting[] {
  for (const waiting of awaiting) if (!waiting.isPatient) waiting.failed(failure)
  return awaiting.filter(({ isPatient }) => isPatient)
}
