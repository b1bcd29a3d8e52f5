/** One life of the stream stage on one generation of the topics: from its checkpoints on. */
import { encodeTick } from '../entries/entries.ts'
import type { Appender, ReadEntry, Reader } from '../kafka/kafka.ts'
import type { Lease } from '../postgres/postgres.ts'
import { lastSource } from './last-source.ts'
import {
  PartitionStream,
  type PartitionStreamParts,
  type StreamEntries,
} from './partition-stream.ts'
import type { StreamRoleParts } from './stream-role.ts'
import { endsOf, type Generation } from './topics.ts'

/** Between two looks for a newer generation. */
const LOOK_MS = 1000

export class StreamLife {
  readonly #parts: StreamRoleParts
  readonly #lease: Lease
  readonly #generation: Generation
  readonly #telemetry: string
  readonly #reader: Reader
  readonly #readings: Appender
  readonly #windows: Appender
  readonly #events: Appender
  readonly #deadLetters: Appender
  readonly streams = new Map<number, PartitionStream>()
  readonly #taps: PartitionStreamParts['tap'][] = []
  /** The entries of the step before, on their way. */
  #appending: Promise<unknown> = Promise.resolve()
  #lookedAtMs = -Infinity
  /** Where its telemetry ends, by partition, once that is sealed. */
  #ends: readonly number[] | undefined

  constructor(parts: StreamRoleParts, lease: Lease, generation: Generation) {
    this.#parts = parts
    this.#lease = lease
    this.#generation = generation
    const { topics } = parts
    const { kafka } = topics
    this.#telemetry = topics.name('telemetry', generation)
    this.#reader = kafka.createReader(this.#telemetry)
    this.#readings = kafka.createAppender(topics.name('readings', generation))
    this.#windows = kafka.createAppender(topics.name('windows', generation))
    this.#events = kafka.createAppender(topics.nameOf('events'))
    this.#deadLetters = kafka.createAppender(topics.nameOf('dead-letters'))
  }

  /** Nothing of this generation is left to process. */
  get isOver(): boolean {
    const ends = this.#ends
    return ends?.every((end, at) => this.streams.get(at)!.nextOffset >= end) ?? false
  }

  async restore(): Promise<void> {
    const { topics } = this.#parts
    const topic = topics.name('readings', this.#generation)
    const emitted = topics.kafka.createReader(topic)
    try {
      for (let partition = 0; partition < this.#generation.partitions; partition++) {
        const stream = await this.#restoreOne(partition)
        stream.skipThrough(await lastSource(topics.kafka, emitted, { topic, partition }))
        this.streams.set(partition, stream)
      }
    } finally {
      await emitted.close()
    }
  }

  async #restoreOne(partition: number): Promise<PartitionStream> {
    const { state, topics, options, malformed, lost, createTap } = this.#parts
    const topic = this.#telemetry
    const tap = createTap()
    this.#taps.push(tap)
    const stream = new PartitionStream({
      ...{ partition, eventPartition: partition % topics.partitions, tap },
      ...{ plan: options.plan, limits: options.limits },
      malformed: (offset, error) => malformed(topic, offset, error),
    })
    const { firstOffset } = await topics.kafka.bounds(topic, partition)
    const checkpoint = await state.load({ generation: this.#generation.number, partition })
    const fromOffset = checkpoint?.nextOffset ?? 0
    if (fromOffset < firstOffset) lost({ topic, partition, fromOffset, toOffset: firstOffset })
    stream.restore(checkpoint, firstOffset)
    return stream
  }

  /** While Kafka takes what one step gave, the next is read and processed. */
  async step(): Promise<void> {
    const { bytesMax, waitMs } = this.#parts.options
    await this.#lookForEnd()
    const positions = new Map([...this.streams].map(([at, { nextOffset }]) => [at, nextOffset]))
    const read = await this.#reader.readMany({ positions, bytesMax, waitMs })
    const given = [...read].map(([partition, entries]) => this.#process(partition, entries))
    await this.#appending
    this.#appending = this.#append(given)
    // Whoever throws before the next step awaits it must not leave it unheard.
    this.#appending.catch(() => undefined)
    await this.#checkpoint(({ processor }) => processor.shouldCheckpoint)
  }

  /** Once there is a newer generation, nothing more must come into this one. */
  async #lookForEnd(): Promise<void> {
    const { topics, clock } = this.#parts
    const nowMs = clock.monotonicMs()
    if (this.#ends !== undefined || nowMs - this.#lookedAtMs < LOOK_MS) return
    this.#lookedAtMs = nowMs
    if ((await topics.after(this.#generation)) === undefined) return
    const { partitions } = this.#generation
    await topics.kafka.seal(this.#telemetry, partitions, encodeTick(clock.nowUs()))
    this.#ends = await endsOf(topics, 'telemetry', this.#generation)
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
    const { number } = this.#generation
    for (const stream of due) {
      await this.#parts.state.save(this.#lease, number, stream.checkpoint())
    }
  }
}
