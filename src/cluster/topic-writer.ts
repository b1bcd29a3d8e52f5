/**
 * Writes one topic behind the stream to where its entries shall be. The target keeps, for each
 * partition, the offset of what it has, so that whatever ends this process, the next one goes on
 * there.
 *
 * One process at a time: a lease says which, and its epoch is checked when an offset moves. Others
 * stand by.
 */
import { WeirError } from '../errors/errors.ts'
import type { Kafka, ReadEntry, Reader } from '../kafka/kafka.ts'
import type { Lease } from '../postgres/postgres.ts'
import type { Clock } from '../world/world.ts'
import { Repeating } from './repeating.ts'

/** Where the entries of a topic go. */
export interface TopicTarget<Rows> {
  /** It is a copy: what Kafka forgot before its first entry is not lost. */
  isCopy: boolean
  /** Undefined while somebody else writes. Errors: STORAGE_UNAVAILABLE. */
  claim: () => Promise<Lease | undefined>
  /** Where to go on, by partition; those never written are absent. Errors: STORAGE_UNAVAILABLE. */
  offsets: () => Promise<Map<number, number>>
  createDecoder: (partition: number) => EntryDecoder<Rows>
  /** Resolves when it is there, and the offset with it. Any error: it is written again. */
  write: (lease: Lease, span: TopicSpan, rows: Rows) => Promise<Written>
}

/** Of one partition, in order. */
export interface EntryDecoder<Rows> {
  decode: (entries: readonly ReadEntry[]) => Rows
}

/** [fromOffset, nextOffset) of one partition. */
export interface TopicSpan {
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

export interface TopicWriterParts<Rows> {
  kafka: Kafka
  clock: Clock
  target: TopicTarget<Rows>
  topic: string
  partitions: number
  options: { bytesMax: number; waitMs: number }
  /** Kafka has forgotten entries that were never written. */
  lost: (fields: { topic: string; partition: number; fromOffset: number; toOffset: number }) => void
  /** It is tried again. */
  failed: (error: unknown) => void
}

interface Place<Rows> {
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

  async #run(isStopping: () => boolean): Promise<void> {
    const { target, kafka, topic } = this.#parts
    const lease = await target.claim()
    if (lease === undefined) return
    const reader = kafka.createReader(topic)
    try {
      const places = await this.#places()
      let writing: Promise<unknown> = Promise.resolve()
      while (!isStopping() && !lease.lost.aborted) {
        // While one read is written, the next is under way.
        const read = await this.#read(reader, places)
        await writing
        writing = this.#write(lease, places, read)
        writing.catch(() => undefined)
      }
      await writing
    } finally {
      await reader.close()
      await lease.release()
    }
  }

  async #places(): Promise<Map<number, Place<Rows>>> {
    const { target, kafka, topic, partitions } = this.#parts
    const offsets = await target.offsets()
    const places = new Map<number, Place<Rows>>()
    for (let partition = 0; partition < partitions; partition++) {
      const { firstOffset } = await kafka.bounds(topic, partition)
      const writtenOffset = offsets.get(partition) ?? 0
      const readOffset = Math.max(firstOffset, writtenOffset)
      const isNew = target.isCopy && !offsets.has(partition)
      if (readOffset > writtenOffset && !isNew) {
        const { lost } = this.#parts
        lost({ topic, partition, fromOffset: writtenOffset, toOffset: readOffset })
      }
      const decoder = target.createDecoder(partition)
      places.set(partition, { decoder, writtenOffset, readOffset })
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
    const { target, topic } = this.#parts
    const nextOffset = entries.at(-1)!.offset + 1
    const rows = place.decoder.decode(entries)
    const { writtenOffset: fromOffset } = place
    const result = await target.write(lease, { partition, fromOffset, nextOffset }, rows)
    // Somebody was here, or a crash took the last transactions: begin anew where they say.
    if (!result.isWritten) {
      const detail = `${topic}/${partition} is written up to ${result.nextOffset}, not ${fromOffset}`
      throw new WeirError('STORAGE_UNAVAILABLE', detail)
    }
    place.writtenOffset = result.nextOffset
    this.entries += entries.length
  }
}
