/**
 * The stream stage between its neighbours: frames in, outputs and checkpoints out, rule events to
 * the alerts. One checkpoint is on its way at a time; the next is made when storage has committed
 * it and the processor finds one due.
 *
 * No checkpoint stands for rule events that the alerts have not made durable: while some are on
 * their way and a checkpoint is due, frames wait. So what a crash takes from the alerts is
 * processed again.
 */
import type { Plan } from '../pipeline/pipeline.ts'
import { StreamProcessor } from '../stream/processor.ts'
import type { StreamLimits } from '../stream/limits.ts'
import type { StreamOutput } from '../stream/stream.ts'
import type { Definitions } from '../batch/batch.ts'
import { transferOf } from './rpc.ts'
import type { FrameMessage, RuleEventsMessage, StreamControl, StreamMessage } from './threads.ts'

export interface StreamLoopParts {
  plan: Plan
  limits: StreamLimits
  /** To the alerts, which say alertsTaken() once they are durable. */
  alert: (message: RuleEventsMessage) => void
  /** To storage; the buffers are given away. */
  send: (message: StreamMessage, transfer: ArrayBuffer[]) => void
  /** Sees each output before it leaves. */
  watch: {
    define(definitions: Definitions): void
    tap(output: StreamOutput, isReplayed: boolean): void
  }
}

export class StreamLoop {
  readonly processor: StreamProcessor
  readonly #parts: StreamLoopParts
  /** Frames that wait: until storage says where to begin, or for the alerts. */
  #waiting: FrameMessage[] | undefined = []
  /** Offsets of the last output with rule events, and of the last that the alerts have. */
  #alertedOffset = -1
  #alertsTakenOffset = -1
  #areAlertsFailing = false
  /** Offset of the checkpoint that storage is committing. */
  #committing: number | undefined
  #lastOffset = -1
  #committedOffset = -1
  #flushes: { offset: number; resolve: () => void }[] = []

  constructor(parts: StreamLoopParts) {
    this.#parts = parts
    const { plan, limits } = parts
    this.processor = new StreamProcessor({ plan, limits })
  }

  /** From the gateway. */
  frame(message: FrameMessage): void {
    if (this.#waiting === undefined) this.#take(message)
    else this.#waiting.push(message)
  }

  /** From storage. */
  control(message: StreamControl): void {
    if ('committed' in message) return this.#committed(message.committed)
    const { state, floors, definitions, nextOffset } = message.recovered
    if (floors === undefined) this.processor.restore(state, definitions)
    else this.processor.restart(floors, definitions)
    this.#parts.watch.define(definitions)
    this.#lastOffset = nextOffset - 1
    this.#committedOffset = this.#lastOffset
    this.#goOn()
  }

  /** From the alerts: the events of all outputs up to this one are durable. */
  alertsTaken(offset: number): void {
    this.#alertsTakenOffset = offset
    this.#areAlertsFailing = false
    if (this.#hasAlertsUnderWay) return
    if (this.#isDue) this.#checkpoint()
    if (this.#waiting !== undefined) this.#goOn()
  }

  /**
   * From the alerts: they cannot write, and try again. Nothing waits for them then but checkpoints:
   * what is in the log is processed, and people see it.
   */
  alertsFailing(): void {
    this.#areAlertsFailing = true
    if (this.#waiting !== undefined) this.#goOn()
  }

  get #isDue(): boolean {
    if (this.#committing !== undefined || this.#lastOffset <= this.#committedOffset) return false
    return this.#flushes.length > 0 || this.processor.shouldCheckpoint
  }

  get #hasAlertsUnderWay(): boolean {
    return this.#alertsTakenOffset < this.#alertedOffset
  }

  #goOn(): void {
    const waiting = this.#waiting ?? []
    this.#waiting = undefined
    for (const frame of waiting) this.frame(frame)
  }

  /**
   * Makes a checkpoint of what was processed so far, and of what is on its way up to this offset;
   * resolves once storage committed it.
   */
  flush(upTo = -1): Promise<void> {
    const offset = Math.max(upTo, this.#lastOffset)
    if (offset <= this.#committedOffset) return Promise.resolve()
    return new Promise<void>((resolve) => {
      this.#flushes.push({ offset, resolve })
      if (this.#isDue) this.#checkpointSoon()
    })
  }

  #take({ offset, frame, isReplayed }: FrameMessage): void {
    const output = this.processor.process(offset, frame)
    this.#lastOffset = offset
    this.#parts.watch.tap(output, isReplayed)
    const { fates, partials, ruleEvents: events } = output
    if (events.length > 0) {
      this.#alertedOffset = offset
      this.#parts.alert({ offset, events })
    }
    this.#parts.send({ output }, transferOf(frame, fates, partials) as ArrayBuffer[])
    if (this.#isDue) this.#checkpointSoon()
  }

  /** Now, or when the alerts have what was said so far. */
  #checkpointSoon(): void {
    if (!this.#hasAlertsUnderWay) this.#checkpoint()
    else if (!this.#areAlertsFailing) this.#waiting ??= []
  }

  #checkpoint(): void {
    const checkpoint = this.processor.checkpoint(this.#lastOffset)
    this.#committing = this.#lastOffset
    this.#parts.send(
      { checkpoint },
      checkpoint.parts.map((part) => part.bytes.buffer),
    )
  }

  #committed(offset: number): void {
    this.#committing = undefined
    this.#committedOffset = offset
    for (const flush of this.#flushes) if (flush.offset <= offset) flush.resolve()
    this.#flushes = this.#flushes.filter((flush) => flush.offset > offset)
    // Not only with the next frame: storage may withhold all buffers until this frees its memory.
    if (this.#isDue) this.#checkpointSoon()
  }
}
