/**
 * The storage stage between its neighbours: outputs and checkpoints in, committed offsets to the
 * stream, taken frames and the offset that the log may forget to the gateway.
 */
import { readingsOfFrame } from '../batch/batch.ts'
import type { Storage } from '../storage/storage.ts'
import { FATE_DUPLICATE, type Checkpoint, type StreamOutput } from '../stream/stream.ts'
import type { Clock } from '../world/world.ts'
import type { LoopMessage, StreamControl, StreamMessage } from './threads.ts'

type Taken = Extract<LoopMessage, { taken: number }>

const COMMIT_RETRY_MS = 1000

export interface StorageLoopParts {
  storage: Storage
  clock: Clock
  /** Beyond this frames are not given back, which is the gateway's brake. */
  memoryReadingsMax: number
  toStream: (message: StreamControl) => void
  /** The buffers are given away. */
  toGateway: (message: LoopMessage, transfer: ArrayBuffer[]) => void
  /** Nothing is lost by it: it is tried again. */
  commitFailed: (offset: number, error: unknown) => void
  commitRecovered: (offset: number, outageMs: number) => void
}

export class StorageLoop {
  /** Since start, what was replayed included. */
  readingsTaken = 0
  /**
   * When the stream's state was lost, known once start() has resolved: the time of the last commit,
   * µs. Rules start anew, so nothing ends what fired until then.
   */
  stateLostAtUs: number | undefined
  readonly #parts: StorageLoopParts
  /** Readings output and not yet in a segment. */
  #readingsInMemory = 0
  /** Frames that are not given back while memory is full. */
  readonly #withheld: Taken[] = []
  #isStopping = false

  constructor(parts: StorageLoopParts) {
    this.#parts = parts
  }

  /** Says where to begin. */
  async start(): Promise<void> {
    const { storage, toStream, toGateway } = this.#parts
    const recovered = await storage.recover()
    if (recovered.floors !== undefined) {
      this.stateLostAtUs = storage.statistics().lastCommitAtUs
    }
    toStream({ recovered })
    // The gateway wants the dictionary and the offset; the state is the stream's alone.
    toGateway({ recovered: { ...recovered, state: [], floors: undefined } }, [])
  }

  /** From the stream. */
  take(message: StreamMessage): void {
    if ('checkpoint' in message) return void this.#commit(message.checkpoint)
    const { output } = message
    const { frame } = output
    this.#parts.storage.output(output)
    const count = countTaken(output)
    this.readingsTaken += count
    this.#readingsInMemory += count
    this.#giveBack({ taken: frame.length, buffer: frame.buffer })
  }

  stop(): Promise<void> {
    this.#isStopping = true
    return this.#parts.storage.close()
  }

  #giveBack(taken: Taken): void {
    if (this.#readingsInMemory > this.#parts.memoryReadingsMax) this.#withheld.push(taken)
    else this.#parts.toGateway(taken, [taken.buffer])
  }

  async #commit(checkpoint: Checkpoint): Promise<void> {
    const sealed = this.#readingsInMemory
    await this.#commitOnce(checkpoint)
    this.#readingsInMemory -= sealed
    this.#parts.toStream({ committed: checkpoint.offset })
    // T1: everything up to the checkpoint is durable here, so the log may forget it.
    this.#parts.toGateway({ trimBefore: checkpoint.offset + 1 }, [])
    for (const taken of this.#withheld.splice(0)) this.#giveBack(taken)
  }

  /** Tries until it succeeds: until then everything stays in memory and in the log. */
  async #commitOnce(checkpoint: Checkpoint): Promise<void> {
    const { storage, clock, commitFailed, commitRecovered } = this.#parts
    const { offset } = checkpoint
    const startMs = clock.monotonicMs()
    for (let attempt = 1; ; attempt++) {
      try {
        await storage.commit(checkpoint)
        if (attempt > 1) commitRecovered(offset, Math.round(clock.monotonicMs() - startMs))
        return
      } catch (error) {
        if (this.#isStopping) return new Promise(() => {})
        commitFailed(offset, error)
        await new Promise<void>((resolve) => clock.after(COMMIT_RETRY_MS, resolve))
      }
    }
  }
}

function countTaken({ frame, fates }: StreamOutput): number {
  if (fates === undefined) return readingsOfFrame(frame)
  let taken = 0
  for (const fate of fates) if (fate !== FATE_DUPLICATE) taken++
  return taken
}
