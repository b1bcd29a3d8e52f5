/**
 * The stream stage between its two neighbours: frames in, outputs and checkpoints out. One
 * checkpoint is on its way at a time; the next is made when storage has committed it and the
 * processor finds one due.
 */
import type { Plan } from '../pipeline/pipeline.ts'
import { StreamProcessor } from '../stream/processor.ts'
import type { StreamLimits } from '../stream/limits.ts'
import type { StreamOutput } from '../stream/stream.ts'
import type { Definitions } from '../batch/batch.ts'
import { transferOf } from './rpc.ts'
import type { FrameMessage, StreamControl, StreamMessage } from './threads.ts'

export interface StreamLoopParts {
  plan: Plan
  limits: StreamLimits
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
  /** Frames that came before storage said where to begin. */
  #early: FrameMessage[] | undefined = []
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
    if (this.#early === undefined) this.#take(message)
    else this.#early.push(message)
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
    const waiting = this.#early ?? []
    this.#early = undefined
    for (const frame of waiting) this.#take(frame)
  }

  /** Makes a checkpoint of what was processed so far; resolves once storage committed it. */
  flush(): Promise<void> {
    if (this.#lastOffset <= this.#committedOffset) return Promise.resolve()
    return new Promise<void>((resolve) => {
      this.#flushes.push({ offset: this.#lastOffset, resolve })
      if (this.#committing === undefined) this.#checkpoint()
    })
  }

  #take({ offset, frame, isReplayed }: FrameMessage): void {
    const output = this.processor.process(offset, frame)
    this.#lastOffset = offset
    this.#parts.watch.tap(output, isReplayed)
    const { fates, partials } = output
    this.#parts.send({ output }, transferOf(frame, fates, partials) as ArrayBuffer[])
    if (this.#committing === undefined && this.processor.shouldCheckpoint) this.#checkpoint()
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
    const isDue = this.#flushes.length > 0 || this.processor.shouldCheckpoint
    if (this.#lastOffset > offset && isDue) this.#checkpoint()
  }
}
