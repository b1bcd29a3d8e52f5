/**
 * The stream stage of a cluster: one process reads all partitions of the telemetry topic and writes
 * readings without repeats, windows and events to theirs, partition by partition.
 *
 *   read ──▶ process ──▶ append to Kafka ──▶ (now and then) checkpoint to PostgreSQL
 *
 * A checkpoint is saved only when everything that was output before it is acknowledged. After a
 * crash the last one is restored and what followed is processed again: windows and events are
 * output with the same keys, readings only from where their topic ends.
 *
 * One process at a time: a lease says which, and its epoch stands in each checkpoint's transaction.
 *
 * It works on one generation of the topics at a time. When that has come to its end, the
 * checkpoints of its partitions are divided among those of the next one (`growing.ts`).
 */
import type { WeirError } from '../errors/errors.ts'
import { streamSamples } from '../embedded/stage-metrics.ts'
import type { MetricSample } from '../observe/observe.ts'
import type { Lease } from '../postgres/postgres.ts'
import type { StreamState } from '../postgres/stream-state.ts'
import type { Clock } from '../world/world.ts'
import { currentGeneration, divideCheckpoints } from './growing.ts'
import { metric } from './metrics.ts'
import type { PartitionStreamParts } from './partition-stream.ts'
import { Repeating } from './repeating.ts'
import { StreamLife } from './stream-life.ts'
import type { Topics } from './topics.ts'
import { whileLeased } from './while-leased.ts'

const LEASE = 'stream'

export interface StreamRoleParts {
  topics: Topics
  state: StreamState
  clock: Clock
  options: Pick<PartitionStreamParts, 'plan' | 'limits'> & { bytesMax: number; waitMs: number }
  /** Each partition gets one, for those who watch live. */
  createTap: () => PartitionStreamParts['tap']
  removeTap: (tap: PartitionStreamParts['tap']) => void
  malformed: (topic: string, offset: number, error: WeirError) => void
  /** Kafka has forgotten entries that were never processed. */
  lost: (fields: { topic: string; partition: number; fromOffset: number; toOffset: number }) => void
  /** It is tried again. */
  failed: (error: unknown) => void
}

export class StreamRole {
  readonly #parts: StreamRoleParts
  readonly #work: Repeating
  /** Set while this process is the stream. */
  #life: StreamLife | undefined

  constructor(parts: StreamRoleParts) {
    this.#parts = parts
    const { clock, failed } = parts
    this.#work = new Repeating({ clock, failed, run: (isStopping) => this.#run(isStopping) })
  }

  /** While somebody else is the stream, this one stands by. */
  start(): void {
    this.#work.start()
  }

  /** A checkpoint is made, so that the next one need not process anything again. */
  async stop(): Promise<void> {
    await this.#work.stop()
    await this.#parts.state.close()
  }

  #run(isStopping: () => boolean): Promise<void> {
    const claim = () => this.#parts.state.claim(LEASE)
    return whileLeased({ claim, isStopping }, async (lease, isOver) => {
      while (!isOver()) await this.#live(lease, isStopping)
    })
  }

  /** One life: from the checkpoints of a generation to its end, or to what ends this process. */
  async #live(lease: Lease, isStopping: () => boolean): Promise<void> {
    const { state, topics } = this.#parts
    const generation = await currentGeneration(state, topics)
    await state.forgetBefore(lease, generation.number)
    const life = new StreamLife(this.#parts, lease, generation)
    this.#life = life
    try {
      await life.restore()
      while (!isStopping() && !lease.lost.aborted && !life.isOver) await life.step()
      if (isStopping() || life.isOver) await life.finish()
    } finally {
      this.#life = undefined
      await life.close()
    }
    if (life.isOver) await divideCheckpoints(state, lease, { topics, generation })
  }

  /** Of the partitions, which each have a processor. */
  metrics(): MetricSample[] {
    const each = [...(this.#life?.streams ?? [])]
    const isActive = this.#life === undefined ? 0 : 1
    return [
      metric('weir_stream_is_active', '1 in the process that is the stream.', isActive),
      ...each.flatMap(([partition, { processor }]) =>
        streamSamples(processor).map((sample) => ({
          ...sample,
          labels: { partition: String(partition) },
        })),
      ),
    ]
  }
}
