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
 */
import type { WeirError } from '../errors/errors.ts'
import { streamSamples } from '../embedded/stage-metrics.ts'
import type { Appender, Kafka, ReadEntry, Reader } from '../kafka/kafka.ts'
import type { MetricSample } from '../observe/observe.ts'
import type { Lease } from '../postgres/postgres.ts'
import type { StreamState } from '../postgres/stream-state.ts'
import type { Clock } from '../world/world.ts'
import {
  PartitionStream,
  type PartitionStreamParts,
  type StreamEntries,
} from './partition-stream.ts'
import { lastSource } from './last-source.ts'
import { metric } from './metrics.ts'
import { Repeating } from './repeating.ts'

const LEASE = 'stream'

export interface StreamRoleParts {
  kafka: Kafka
  topics: Record<'telemetry' | 'readings' | 'windows' | 'events' | 'deadLetters', string>
  partitions: number
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

  /** One life: from the lease to what ends it. */
  async #run(isStopping: () => boolean): Promise<void> {
    const { state } = this.#parts
    const lease = await state.claim(LEASE)
    if (lease === undefined) return
    const life = new StreamLife(this.#parts, lease)
    this.#life = life
    try {
      await life.restore()
      while (!isStopping() && !lease.lost.aborted) await life.step()
      if (isStopping()) await life.finish()
    } finally {
      this.#life = undefined
      await life.close()
      await lease.release()
    }
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

class StreamLife {
  readonly #parts: StreamRoleParts
  readonly #lease: Lease
  readonly #reader: Reader
  readonly #readings: Appender
  readonly #windows: Appender
  readonly #events: Appender
  readonly #deadLetters: Appender
  readonly streams = new Map<number, PartitionStream>()
  readonly #taps: PartitionStreamParts['tap'][] = []
  /** The entries of the step before, on their way. */
  #appending: Promise<unknown> = Promise.resolve()

  constructor(parts: StreamRoleParts, lease: Lease) {
    this.#parts = parts
    this.#lease = lease
    const { kafka, topics } = parts
    this.#reader = kafka.createReader(topics.telemetry)
    this.#readings = kafka.createAppender(topics.readings)
    this.#windows = kafka.createAppender(topics.windows)
    this.#events = kafka.createAppender(topics.events)
    this.#deadLetters = kafka.createAppender(topics.deadLetters)
  }

  async restore(): Promise<void> {
    const emitted = this.#parts.kafka.createReader(this.#parts.topics.readings)
    try {
      await this.#restoreAll(emitted)
    } finally {
      await emitted.close()
    }
  }

  /** `emitted` reads what was said before. */
  async #restoreAll(emitted: Reader): Promise<void> {
    const { state, kafka, topics, partitions, options, malformed, lost } = this.#parts
    for (let partition = 0; partition < partitions; partition++) {
      const tap = this.#parts.createTap()
      this.#taps.push(tap)
      const stream = new PartitionStream({
        ...{ partition, plan: options.plan, limits: options.limits, tap },
        malformed: (offset, error) => malformed(topics.telemetry, offset, error),
      })
      const { firstOffset } = await kafka.bounds(topics.telemetry, partition)
      const checkpoint = await state.load(partition)
      const fromOffset = checkpoint?.nextOffset ?? 0
      if (fromOffset < firstOffset)
        lost({ topic: topics.telemetry, partition, fromOffset, toOffset: firstOffset })
      stream.restore(checkpoint, firstOffset)
      stream.skipThrough(await lastSource(kafka, emitted, { topic: topics.readings, partition }))
      this.streams.set(partition, stream)
    }
  }

  /** While Kafka takes what one step gave, the next is read and processed. */
  async step(): Promise<void> {
    const { bytesMax, waitMs } = this.#parts.options
    const positions = new Map([...this.streams].map(([at, { nextOffset }]) => [at, nextOffset]))
    const read = await this.#reader.readMany({ positions, bytesMax, waitMs })
    const given = [...read].map(([partition, entries]) => this.#process(partition, entries))
    await this.#appending
    this.#appending = this.#append(given)
    // Whoever throws before the next step awaits it must not leave it unheard.
    this.#appending.catch(() => undefined)
    await this.#checkpoint(({ processor }) => processor.shouldCheckpoint)
  }

  async finish(): Promise<void> {
    await this.#appending
    await this.#checkpoint(() => true)
  }

  async close(): Promise<void> {
    await this.#appending.catch(() => undefined)
    this.#taps.forEach(this.#parts.removeTap)
    const all = [this.#reader, this.#readings, this.#windows, this.#events, this.#deadLetters]
    await Promise.all(all.map((one) => one.close()))
  }

  #process(partition: number, entries: readonly ReadEntry[]): StreamEntries {
    return this.streams.get(partition)!.process(entries)
  }

  /** Readings first: a window that is there has its readings there. */
  async #append(given: readonly StreamEntries[]): Promise<void> {
    const all = (kind: keyof StreamEntries) => given.flatMap((one) => one[kind])
    const appendAll = async (appender: Appender, kind: keyof StreamEntries): Promise<void> => {
      const entries = all(kind)
      if (entries.length > 0) await appender.append(entries)
    }
    await Promise.all([
      appendAll(this.#readings, 'readings'),
      appendAll(this.#events, 'events'),
      appendAll(this.#deadLetters, 'deadLetters'),
    ])
    await appendAll(this.#windows, 'windows')
  }

  async #checkpoint(isDue: (stream: PartitionStream) => boolean): Promise<void> {
    const due = [...this.streams.values()].filter(isDue)
    if (due.length === 0) return
    await this.#appending
    for (const stream of due) await this.#parts.state.save(this.#lease, stream.checkpoint())
  }
}
