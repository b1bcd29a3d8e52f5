/**
 * The log on one partition of a Kafka topic that only this process writes. An entry is a Kafka
 * entry without a key, and its offset is Kafka's.
 *
 * What waits while a request is under way goes together into the next (the appender does that).
 * Checksums, replicas and flushes are the brokers'. A full or failing disk of one is
 * LOG_UNAVAILABLE here, until another leads.
 */
import { WeirError } from '../errors/errors.ts'
import type { Appender, Kafka, ReadEntry, Reader } from '../kafka/kafka.ts'
import type { Log, LogEntry, LogStatistics } from './log.ts'

export interface KafkaLogSettings {
  /** Stays open when the log is closed. */
  kafka: Kafka
  /** Must be there, with `cleanup.policy=delete`. */
  topic: string
  partition: number
}

/** Less is not worth a request: batches come as a whole, and are up to 1 MiB. */
const FETCH_BYTES_MIN = 1 << 20
/** A leader that has just taken over learns in a moment what all replicas have. */
const READ_WAIT_MS = 5000
const READS_MAX = 6
/** Empty entries in one request. */
const FILLERS_MAX = 10_000

/** Errors: LOG_UNAVAILABLE, LOG_REQUEST_REFUSED. */
export async function openKafkaLog(settings: KafkaLogSettings): Promise<Log> {
  const { kafka, topic, partition } = settings
  const { firstOffset, nextOffset } = await kafka.bounds(topic, partition)
  return new KafkaLog(settings, firstOffset, nextOffset)
}

class KafkaLog implements Log {
  readonly #settings: KafkaLogSettings
  readonly #appender: Appender
  readonly #reader: Reader
  readonly #underWay = new Set<Promise<unknown>>()
  #firstOffset: number
  #nextOffset: number
  #isClosed = false
  #entriesAppended = 0
  #bytesAppended = 0

  constructor(settings: KafkaLogSettings, firstOffset: number, nextOffset: number) {
    this.#settings = settings
    this.#appender = settings.kafka.createAppender(settings.topic)
    this.#reader = settings.kafka.createReader(settings.topic)
    this.#firstOffset = firstOffset
    this.#nextOffset = nextOffset
  }

  get firstOffset(): number {
    return this.#firstOffset
  }

  get nextOffset(): number {
    return this.#nextOffset
  }

  /** Flushes, segments and bytes on disk are the brokers' and not known here. */
  get statistics(): LogStatistics {
    return {
      ...{ entriesAppended: this.#entriesAppended, bytesAppended: this.#bytesAppended },
      ...{ flushes: 0, segmentCount: 1, bytesOnDisk: 0 },
    }
  }

  async append(bytes: Uint8Array): Promise<number> {
    if (this.#isClosed) throw new WeirError('GATEWAY_SHUTTING_DOWN', 'The log is closed')
    const offset = await this.#put([bytes])
    this.#entriesAppended++
    this.#bytesAppended += bytes.length
    return offset
  }

  /** The offset of the first one; all of them are durable. */
  async #put(values: readonly Uint8Array[]): Promise<number> {
    const { partition } = this.#settings
    const appending = this.#appender.append(values.map((value) => ({ partition, value })))
    this.#underWay.add(appending)
    try {
      const offset = (await appending).get(partition)!
      this.#nextOffset = Math.max(this.#nextOffset, offset + values.length)
      return offset
    } finally {
      this.#underWay.delete(appending)
    }
  }

  async read(
    fromOffset: number,
    bytesMax: number,
    into?: Uint8Array<ArrayBuffer>,
  ): Promise<LogEntry[]> {
    const offset = Math.max(fromOffset, this.#firstOffset)
    if (offset >= this.#nextOffset) return []
    const entries = await this.#fetchSome(offset, Math.max(bytesMax, FETCH_BYTES_MIN))
    const taken = withinBytes(
      entries.filter((entry) => entry.offset < this.#nextOffset),
      bytesMax,
    )
    const place = placer(into)
    return taken.map(({ offset, value }) => {
      const bytes = place(value.length)
      bytes.set(value)
      return { offset, bytes }
    })
  }

  /** There are some, so none is not the answer. */
  async #fetchSome(fromOffset: number, bytesMax: number): Promise<ReadEntry[]> {
    for (let read = 0; read < READS_MAX && !this.#isClosed; read++) {
      const entries = await this.#fetch(fromOffset, bytesMax)
      if (entries.length > 0 || this.#firstOffset === this.#nextOffset) return entries
    }
    const { topic, partition } = this.#settings
    const place = `${topic}, partition ${partition}`
    throw new WeirError('LOG_UNAVAILABLE', `${place}: offset ${fromOffset} is not committed again`)
  }

  async #fetch(fromOffset: number, bytesMax: number): Promise<ReadEntry[]> {
    const { partition } = this.#settings
    try {
      return await this.#reader.read({ partition, fromOffset, bytesMax, waitMs: READ_WAIT_MS })
    } catch (error) {
      const { code, details } = error as WeirError
      const firstOffset = Number(details?.['firstOffset'])
      if (code !== 'LOG_OFFSET_GONE' || firstOffset <= fromOffset) throw error
      // The topic's retention was faster than trim().
      this.#firstOffset = firstOffset
      return firstOffset < this.#nextOffset ? this.#fetch(firstOffset, bytesMax) : []
    }
  }

  async trim(beforeOffset: number): Promise<void> {
    const offset = Math.min(beforeOffset, this.#nextOffset)
    if (offset <= this.#firstOffset) return
    const { kafka, topic, partition } = this.#settings
    await kafka.deleteBefore(topic, partition, offset)
    this.#firstOffset = Math.max(this.#firstOffset, offset)
  }

  /**
   * Kafka gives offsets itself: the ones that are skipped are taken by empty entries, which are
   * deleted at once. What was interrupted is done again by the next call.
   */
  async restartAt(offset: number): Promise<void> {
    while (this.#nextOffset < offset) {
      const count = Math.min(FILLERS_MAX, offset - this.#nextOffset)
      await this.#put(Array.from({ length: count }, () => new Uint8Array(0)))
    }
    await this.trim(offset)
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.allSettled(this.#underWay)
    await Promise.all([this.#appender.close(), this.#reader.close()])
  }
}

/** The first one, and what fits behind it. */
function withinBytes(entries: readonly ReadEntry[], bytesMax: number): readonly ReadEntry[] {
  let bytes = 0
  const end = entries.findIndex(({ value }, at) => {
    bytes += value.length
    return at > 0 && bytes > bytesMax
  })
  return end === -1 ? entries : entries.slice(0, end)
}

/** Gives bytes aligned to 8: of `into` while there is room, otherwise in a buffer of their own. */
function placer(into?: Uint8Array<ArrayBuffer>): (length: number) => Uint8Array<ArrayBuffer> {
  let end = 0
  return (length) => {
    if (into === undefined) return new Uint8Array(length)
    const at = end + ((8 - ((into.byteOffset + end) % 8)) % 8)
    if (at + length > into.length) return new Uint8Array(length)
    end = at + length
    return into.subarray(at, end)
  }
}
