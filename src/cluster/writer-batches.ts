/**
 * What lies in the topics behind the stream, as batches for the writer. One object decodes one
 * partition of one topic, in order, and keeps what is of devices in the range of its store;
 * watermarks are of a partition, and for all stores. An entry that cannot be read is left out and
 * told.
 *
 * Names that were seen are remembered, up to a bound. Beyond it the next entries begin anew, with
 * numbers and ids of their own: that costs a question to the database and loses nothing.
 */
import type { DeadLetter, SeriesDefinition, SeriesName } from '../batch/batch.ts'
import { decodeWindow, hashDevice } from '../entries/entries.ts'
import { WeirError } from '../errors/errors.ts'
import type { ReadEntry } from '../kafka/kafka.ts'
import { isInRange, SeriesIds, type HashRange, type WriterBatch } from '../postgres/postgres.ts'
import { PARTIAL_SERIES, PARTIAL_STRIDE } from '../stream/stream.ts'
import type { EventEntry } from './event-entry.ts'
import { ReadingDecoder, takeTexts } from './reading-columns.ts'
import type { EntryDecoder } from './topic-writer.ts'
import type { Generation } from './topics.ts'

/** What a batch holds beside its place in the topic. */
export type Rows = Omit<WriterBatch, 'topic' | 'partition' | 'fromOffset' | 'nextOffset'>

type BatchDecoder = EntryDecoder<Rows>

export type Malformed = (offset: number, error: WeirError) => void

export type BatchKind = 'readings' | 'windows' | 'events' | 'dead-letters'

export function createDecoder(kind: BatchKind, options: DecoderOptions): BatchDecoder {
  if (kind === 'readings') return new ReadingBatches(options)
  if (kind === 'windows') return new WindowBatches(options)
  return kind === 'events' ? new EventBatches(options) : new DeadLetters(options)
}

export interface DecoderOptions {
  partition: number
  generation: Generation
  /** The devices that are kept. */
  range: HashRange
  known: KnownMax
  malformed: Malformed
}

/** What is remembered of a partition before it begins anew. */
export interface KnownMax {
  series: number
  texts: number
}

/** The entries that are decoded at once are few enough. */
const UNLIMITED = { seriesMax: Infinity, textsMax: Infinity }

interface DeviceName {
  tenant: string
  deviceId: string
}

const hashOf = ({ tenant, deviceId }: DeviceName): number => hashDevice(tenant, deviceId)

/** Of a series whose device is in another store. */
const FOREIGN = -1

/** What an entry's own bytes are to blame for is told; anything else is a fault of ours. */
function tryEach(
  entries: readonly ReadEntry[],
  malformed: Malformed,
  take: (entry: ReadEntry) => void,
): void {
  for (const entry of entries) {
    try {
      take(entry)
    } catch (error) {
      if (!(error instanceof WeirError)) throw error
      malformed(entry.offset, error)
    }
  }
}

class ReadingBatches implements BatchDecoder {
  readonly #options: DecoderOptions
  #known: KnownReadings

  constructor(options: DecoderOptions) {
    this.#options = options
    this.#known = new KnownReadings(options.range)
  }

  decode(entries: readonly ReadEntry[]): Rows {
    const { range, known, malformed } = this.#options
    if (this.#known.isBeyond(known)) this.#known = new KnownReadings(range)
    return this.#known.decode(entries, malformed)
  }
}

class KnownReadings {
  readonly #decoder: ReadingDecoder
  readonly #range: HashRange
  readonly #series = new SeriesIds()
  /** By the decoder's number of a series: ours, or FOREIGN. */
  readonly #indices: number[] = []
  /** By our index. */
  readonly #isText: boolean[] = []

  constructor(range: HashRange) {
    this.#range = range
    this.#decoder = new ReadingDecoder(UNLIMITED, (one) => this.#define(one))
  }

  isBeyond({ series, texts }: KnownMax): boolean {
    return this.#indices.length > series || this.#decoder.texts.length > texts
  }

  decode(entries: readonly ReadEntry[], malformed: Malformed): Rows {
    const decoder = this.#decoder
    decoder.begin()
    tryEach(entries, malformed, ({ value }) => decoder.add(value))
    const columns = decoder.take()
    // The next entries are decoded while these are written, so they are copied.
    const series = new Uint32Array(columns.count)
    const timeUs = new Float64Array(columns.count)
    const value = new Float64Array(columns.count)
    let count = 0
    for (let at = 0; at < columns.count; at++) {
      const index = this.#indices[columns.series[at]!]!
      if (index === FOREIGN) continue
      series[count] = index
      timeUs[count] = columns.timeUs[at]!
      value[count++] = columns.value[at]!
    }
    const kept = { series: series.subarray(0, count), value: value.subarray(0, count) }
    const isText = (one: number): boolean => this.#isText[one] === true
    const texts = takeTexts({ ...kept, texts: decoder.texts }, isText)
    const readings = { count, ...kept, timeUs: timeUs.subarray(0, count), texts }
    return { series: this.#series, readings }
  }

  #define(one: SeriesDefinition): void {
    const deviceHash = hashOf(one)
    const isOurs = isInRange(this.#range, deviceHash)
    const index = isOurs ? this.#series.add({ ...one, deviceHash }) : FOREIGN
    this.#indices[one.series] = index
    if (isOurs) this.#isText[index] = one.kind === 'text'
  }
}

/** Series of windows and events, which are few beside the readings. */
class NamedSeriesIds {
  ids = new SeriesIds()
  readonly #options: DecoderOptions
  readonly #known = new Map<string, number>()

  constructor(options: DecoderOptions) {
    this.#options = options
  }

  /** Before the next entries. */
  begin(): void {
    if (this.#known.size <= this.#options.known.series) return
    this.#known.clear()
    this.ids = new SeriesIds()
  }

  /** Or FOREIGN. */
  indexOf({ tenant, deviceId, deviceType, metric, dimensions, kind }: SeriesName): number {
    const key = JSON.stringify([tenant, deviceId, metric, dimensions, kind])
    let index = this.#known.get(key)
    if (index === undefined) {
      const deviceHash = hashOf({ tenant, deviceId })
      const name = { tenant, deviceId, deviceType, metric, dimensions, kind, deviceHash }
      const isOurs = isInRange(this.#options.range, deviceHash)
      index = isOurs ? this.ids.add(name) : FOREIGN
      this.#known.set(key, index)
    }
    return index
  }
}

class WindowBatches implements BatchDecoder {
  readonly #options: DecoderOptions
  readonly #series: NamedSeriesIds

  constructor(options: DecoderOptions) {
    this.#options = options
    this.#series = new NamedSeriesIds(options)
  }

  decode(entries: readonly ReadEntry[]): Rows {
    const { malformed, partition, generation } = this.#options
    const rows: Float64Array[] = []
    let watermarkMs = -Infinity
    this.#series.begin()
    tryEach(entries, malformed, ({ value }) => {
      const window = decodeWindow(value)
      if ('watermarkMs' in window) {
        watermarkMs = Math.max(watermarkMs, window.watermarkMs)
        return
      }
      const series = this.#series.indexOf(window.series)
      if (series === FOREIGN) return
      window.row[PARTIAL_SERIES] = series
      rows.push(window.row)
    })
    const partials = new Float64Array(rows.length * PARTIAL_STRIDE)
    for (const [at, row] of rows.entries()) partials.set(row, at * PARTIAL_STRIDE)
    const of = { generation: generation.number, partition, partitions: generation.partitions }
    const coverage = watermarkMs === -Infinity ? [] : [{ ...of, fromMs: undefined, watermarkMs }]
    return { series: this.#series.ids, partials, coverage }
  }
}

const text = new TextDecoder('utf-8', { fatal: true })

function parseJson(value: Uint8Array): unknown {
  try {
    return JSON.parse(text.decode(value))
  } catch (cause) {
    throw new WeirError('ENTRY_MALFORMED', 'it is no JSON', { cause })
  }
}

class EventBatches implements BatchDecoder {
  readonly #options: DecoderOptions
  readonly #series: NamedSeriesIds

  constructor(options: DecoderOptions) {
    this.#options = options
    this.#series = new NamedSeriesIds(options)
  }

  decode(entries: readonly ReadEntry[]): Rows {
    const { malformed, range } = this.#options
    const anomalies: NonNullable<WriterBatch['anomalies']>[number][] = []
    const dirty: NonNullable<WriterBatch['dirty']>[number][] = []
    const isOurs = (name: DeviceName): boolean => isInRange(range, hashOf(name))
    this.#series.begin()
    tryEach(entries, malformed, ({ value }) => {
      const entry = parseJson(value) as EventEntry
      // The alerts read the topic themselves.
      if (entry.type === 'alert') return
      if (entry.type === 'anomaly') {
        if (isOurs(entry.event)) anomalies.push(entry.event)
      } else if (entry.type === 'dirty') {
        const { fromMs, toMs } = entry
        const series = this.#series.indexOf(entry.series)
        if (series !== FOREIGN) dirty.push({ series, fromMs, toMs })
      } else throw new WeirError('ENTRY_MALFORMED', 'an event of an unknown type')
    })
    return { series: this.#series.ids, anomalies, dirty }
  }
}

class DeadLetters implements BatchDecoder {
  readonly #options: DecoderOptions
  readonly #series = new SeriesIds()

  constructor(options: DecoderOptions) {
    this.#options = options
  }

  decode(entries: readonly ReadEntry[]): Rows {
    const { partition, range, malformed } = this.#options
    const deadLetters: NonNullable<WriterBatch['deadLetters']>[number][] = []
    tryEach(entries, malformed, ({ offset, value }) => {
      const one = parseJson(value) as DeadLetter
      if (isInRange(range, hashOf(one))) deadLetters.push({ ...one, partition, offset })
    })
    return { series: this.#series, deadLetters }
  }
}
