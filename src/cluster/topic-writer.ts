/**
 * Writes one topic behind the stream into one PostgreSQL: each partition's entries in transactions
 * that hold their offsets too, so that whatever ends this process, the next one goes on exactly
 * there.
 *
 * **Of several stores each has a TopicWriter of its own**, which reads the whole topic and keeps
 * the devices of its range: with its own offsets and its own lease, so each store's transactions
 * are exact for themselves, and a store that is away or slow holds up no other. The price: the
 * topic is read and decoded once per store. One reader that split its batches would save that, but
 * would have to go on from the lowest offset of all, at the pace of the slowest.
 *
 * One process at a time: a lease of the topic says which, and its epoch is checked in each of those
 * transactions. Others stand by.
 */
import { WeirError } from '../errors/errors.ts'
import type { Kafka, ReadEntry, Reader } from '../kafka/kafka.ts'
import type { HashRange, Lease, PostgresWriter } from '../postgres/postgres.ts'
import type { Clock } from '../world/world.ts'
import { Repeating } from './repeating.ts'
import { createDecoder, type BatchDecoder, type BatchKind } from './writer-batches.ts'

export interface TopicWriterParts {
  kafka: Kafka
  writer: PostgresWriter
  /** The devices that are kept. */
  range: HashRange
  clock: Clock
  kind: BatchKind
  topic: string
  partitions: number
  options: { bytesMax: number; waitMs: number; seriesMax: number; textsMax: number }
  malformed: (topic: string, offset: number, error: WeirError) => void
  /** Kafka has forgotten entries that were never written. */
  lost: (fields: { topic: string; partition: number; fromOffset: number; toOffset: number }) => void
  /** It is tried again. */
  failed: (error: unknown) => void
}

interface Place {
  decoder: BatchDecoder
  /** Where the last batch ended. */
  writtenOffset: number
  /** Where to read on: further, when Kafka has nothing there any more. */
  readOffset: number
}

export class TopicWriter {
  readonly #parts: TopicWriterParts
  readonly #work: Repeating
  /** Totals since start; entries of other stores' devices count, since they are read too. */
  entries = 0
  duplicates = 0

  constructor(parts: TopicWriterParts) {
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
    const { writer, kafka, topic, kind } = this.#parts
    const lease = await writer.claim(`writer-${kind}`)
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

  async #places(): Promise<Map<number, Place>> {
    const { writer, kafka, topic, partitions, kind, range, options, malformed } = this.#parts
    const offsets = await writer.offsets(topic)
    const places = new Map<number, Place>()
    for (let partition = 0; partition < partitions; partition++) {
      const { firstOffset } = await kafka.bounds(topic, partition)
      const writtenOffset = offsets.get(partition) ?? 0
      const decoder = createDecoder(kind, {
        ...{ partition, range },
        limits: options,
        malformed: (offset, error) => malformed(topic, offset, error),
      })
      const place = { decoder, writtenOffset, readOffset: writtenOffset }
      if (firstOffset > writtenOffset) this.#skip(place, partition, firstOffset)
      places.set(partition, place)
    }
    return places
  }

  #skip(place: Place, partition: number, toOffset: number): void {
    const { lost, topic } = this.#parts
    const { readOffset: fromOffset } = place
    place.readOffset = toOffset
    lost({ topic, partition, fromOffset, toOffset })
  }

  async #read(reader: Reader, places: Map<number, Place>): Promise<Map<number, ReadEntry[]>> {
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
    places: Map<number, Place>,
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
    { partition, entries, place }: { partition: number; entries: ReadEntry[]; place: Place },
  ): Promise<void> {
    const { writer, topic } = this.#parts
    const nextOffset = entries.at(-1)!.offset + 1
    const rows = place.decoder.decode(entries)
    const { writtenOffset: fromOffset } = place
    const result = await writer.write(lease, { topic, partition, fromOffset, nextOffset, ...rows })
    // Somebody was here, or a crash took the last transactions: begin anew where they say.
    if (!result.isWritten) {
      const detail = `${topic}/${partition} is written up to ${result.nextOffset}, not ${fromOffset}`
      throw new WeirError('STORAGE_UNAVAILABLE', detail)
    }
    place.writtenOffset = result.nextOffset
    this.entries += entries.length
    this.duplicates += result.duplicates
  }
}
