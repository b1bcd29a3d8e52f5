/**
 * Writes one topic behind the stream to where its entries shall be. The target keeps, for each
 * partition, the offset of what it has, so that whatever ends this process, the next one goes on
 * there.
 *
 * One process at a time: a lease says which, and its epoch is checked when an offset moves. Others
 * stand by.
 *
 * Of a topic that has generations, one after the other is written to its end.
 */
import { WeirError } from '../errors/errors.ts'
import type { Kafka, ReadEntry, Reader } from '../kafka/kafka.ts'
import type { Lease } from '../postgres/postgres.ts'
import type { Clock } from '../world/world.ts'
import { Repeating } from './repeating.ts'
import type { Generation } from './topics.ts'
import { whileLeased } from './while-leased.ts'

/** Where the entries of a topic go. */
export interface TopicTarget<Rows> {
  /** It is a copy: what Kafka forgot before its first entry is not lost. */
  isCopy: boolean
  /** Undefined while somebody else writes. Errors: STORAGE_UNAVAILABLE. */
  claim: () => Promise<Lease | undefined>
  /** Where to go on, by partition; those never written are absent. Errors: STORAGE_UNAVAILABLE. */
  offsets: (topic: string) => Promise<Map<number, number>>
  createDecoder: (of: DecodedPartition) => EntryDecoder<Rows>
  /** Resolves when it is there, and the offset with it. Any error: it is written again. */
  write: (lease: Lease, span: TopicSpan, rows: Rows) => Promise<Written>
}

export interface DecodedPartition {
  topic: string
  partition: number
  generation: Generation
}

/** Of one partition, in order. */
export interface EntryDecoder<Rows> {
  decode: (entries: readonly ReadEntry[]) => Rows
}

/** [fromOffset, nextOffset) of one partition. */
export interface TopicSpan {
  topic: string
  partition: number
  /** Where the last one ended. */
  fromOffset: number
  nextOffset: number
}

export interface Written {
  /** False when the span does not begin at the stored offset. */
  isWritten: boolean
  /** Where the next one must begin. */
  nextOffset: number
}

/** A topic, of one generation after the other. */
export interface WrittenTopic {
  first: Generation
  nameOf: (generation: Generation) => string
  /** Where it ends for good, by partition; undefined while more may come. */
  finalEnds: (generation: Generation) => Promise<readonly number[] | undefined>
  after: (generation: Generation) => Promise<Generation | undefined>
}

export interface TopicWriterParts<Rows> {
  kafka: Kafka
  clock: Clock
  target: TopicTarget<Rows>
  topic: WrittenTopic
  options: { bytesMax: number; waitMs: number }
  /** Kafka has forgotten entries that were never written. */
  lost: (fields: { topic: string; partition: number; fromOffset: number; toOffset: number }) => void
  /** It is tried again. */
  failed: (error: unknown) => void
}

/** Between two looks for the end of a generation. */
const LOOK_MS = 1000

interface Place<Rows> {
  topic: string
  decoder: EntryDecoder<Rows>
  /** Where the last batch ended. */
  writtenOffset: number
  /** Where to read on: further, when Kafka has nothing there any more. */
  readOffset: number
}

export class TopicWriter<Rows> {
  readonly #parts: TopicWriterParts<Rows>
  readonly #work: Repeating
  /** Total since start. */
  entries = 0
  #lookedAtMs = -Infinity

  constructor(parts: TopicWriterParts<Rows>) {
    this.#parts = parts
    const { clock, failed } = parts
    this.#work = new Repeating({ clock, failed, run: (isStopping) => this.#run(isStopping) })
  }

  start(): void {
    this.#work.start()
  }

  stop(): Promise<void> {
    return this.#work.stop()
  }

  #run(isStopping: () => boolean): Promise<void> {
    const { target, topic } = this.#parts
    const claim = () => target.claim()
    return whileLeased({ claim, isStopping }, async (lease, isOver) => {
      let generation: Generation | undefined = topic.first
      while (generation !== undefined && !isOver()) {
        await this.#writeGeneration(lease, generation, isOver)
        generation = await topic.after(generation)
      }
    })
  }

  /** Until all of it is written, or it is to stop. */
  async #writeGeneration(
    lease: Lease,
    generation: Generation,
    isStopping: () => boolean,
  ): Promise<void> {
    const { kafka, topic } = this.#parts
    const reader = kafka.createReader(topic.nameOf(generation))
    try {
      const places = await this.#places(generation)
      let writing: Promise<unknown> = Promise.resolve()
      while (!isStopping() && !(await this.#isWritten(generation, places))) {
        // While one read is written, the next is under way.
        const read = await this.#read(reader, places)
        await writing
        writing = this.#write(lease, places, read)
        writing.catch(() => undefined)
      }
      await writing
    } finally {
      await reader.close()
    }
  }

  /** Whether nothing of it is left to be read. */
  async #isWritten(generation: Generation, places: Map<number, Place<Rows>>): Promise<boolean> {
    const { clock, topic } = this.#parts
    const nowMs = clock.monotonicMs()
    if (nowMs - this.#lookedAtMs < LOOK_MS) return false
    const ends = await topic.finalEnds(generation)
    const isWritten = ends?.every((end, at) => places.get(at)!.readOffset >= end) ?? false
    // The next generation may be over as well.
    this.#lookedAtMs = isWritten ? -Infinity : nowMs
    return isWritten
  }

  async #places(generation: Generation): Promise<Map<number, Place<Rows>>> {
    const { target, kafka } = this.#parts
    const topic = this.#parts.topic.nameOf(generation)
    const offsets = await target.offsets(topic)
    const places = new Map<number, Place<Rows>>()
    for (let partition = 0; partition < generation.partitions; partition++) {
      const { firstOffset } = await kafka.bounds(topic, partition)
      const writtenOffset = offsets.get(partition) ?? 0
      const readOffset = Math.max(firstOffset, writtenOffset)
      const isNew = target.isCopy && !offsets.has(partition)
      if (readOffset > writtenOffset && !isNew) {
        const { lost } = this.#parts
        lost({ topic, partition, fromOffset: writtenOffset, toOffset: readOffset })
      }
      const decoder = target.createDecoder({ topic, partition, generation })
      places.set(partition, { topic, decoder, writtenOffset, readOffset })
    }
    return places
  }

  async #read(reader: Reader, places: Map<number, Place<Rows>>): Promise<Map<number, ReadEntry[]>> {
    const { bytesMax, waitMs } = this.#parts.options
    const positions = new Map([...places].map(([at, { readOffset }]) => [at, readOffset]))
    const read = await reader.readMany({ positions, bytesMax, waitMs })
    for (const [partition, entries] of read) {
      const last = entries.at(-1)
      if (last !== undefined) places.get(partition)!.readOffset = last.offset + 1
    }
    return read
  }

  async #write(
    lease: Lease,
    places: Map<number, Place<Rows>>,
    read: Map<number, ReadEntry[]>,
  ): Promise<void> {
    const full = [...read].filter(([, entries]) => entries.length > 0)
    await Promise.all(
      full.map(([partition, entries]) =>
        this.#writeOne(lease, { partition, entries, place: places.get(partition)! }),
      ),
    )
  }

  async #writeOne(
    lease: Lease,
    { partition, entries, place }: { partition: number; entries: ReadEntry[]; place: Place<Rows> },
  ): Promise<void> {
    const { target } = this.#parts
    const nextOffset = entries.at(-1)!.offset + 1
    const rows = place.decoder.decode(entries)
    const { topic, writtenOffset: fromOffset } = place
    const result = await target.write(lease, { topic, partition, fromOffset, nextOffset }, rows)
    // Somebody was here, or a crash took the last transactions: begin anew where they say.
    if (!result.isWritten) {
      const detail = `${topic}/${partition} is written up to ${result.nextOffset}, not ${fromOffset}`
      throw new WeirError('STORAGE_UNAVAILABLE', detail)
    }
    place.writtenOffset = result.nextOffset
    this.entries += entries.length
  }
}
