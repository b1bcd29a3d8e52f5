/**
 * What lies in the topics behind the stream, as batches for the writer. One object decodes one
 * partition of one topic, in order. Errors of a single entry: ENTRY_MALFORMED, SERIES_LIMIT,
 * TEXT_LIMIT; it is left out and told.
 */
import type { DeadLetter } from '../batch/batch.ts'
import { decodeWindow, deviceKey, hashKey } from '../entries/entries.ts'
import type { DecoderLimits, WindowSeries } from '../entries/entries.ts'
import { WeirError } from '../errors/errors.ts'
import type { ReadEntry } from '../kafka/kafka.ts'
import { SeriesIds, type SeriesName, type WriterBatch } from '../postgres/postgres.ts'
import { PARTIAL_SERIES, PARTIAL_STRIDE } from '../stream/stream.ts'
import type { EventEntry } from './output-entries.ts'
import { ReadingDecoder, takeTexts } from './reading-columns.ts'
import type { EntryDecoder } from './topic-writer.ts'

/** What a batch holds beside its place in the topic. */
export type Rows = Omit<WriterBatch, 'topic' | 'partition' | 'fromOffset' | 'nextOffset'>

type BatchDecoder = EntryDecoder<Rows>

export type Malformed = (offset: number, error: WeirError) => void

export type BatchKind = 'readings' | 'windows' | 'events' | 'dead-letters'

export function createDecoder(
  kind: BatchKind,
  options: { partition: number; limits: DecoderLimits; malformed: Malformed },
): BatchDecoder {
  const { partition, limits, malformed } = options
  if (kind === 'readings') return new ReadingBatches(limits, malformed)
  if (kind === 'windows') return new WindowBatches(partition, malformed)
  return kind === 'events' ? new EventBatches(malformed) : new DeadLetters(partition, malformed)
}

const withHash = (name: Omit<SeriesName, 'deviceHash'>): SeriesName => ({
  ...name,
  deviceHash: hashKey(deviceKey(name.tenant, name.deviceId)),
})

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
  readonly #decoder: ReadingDecoder
  readonly #malformed: Malformed
  /** The decoder numbers series as they appear, and so do these. */
  readonly #series = new SeriesIds()
  readonly #isText: boolean[] = []

  constructor(limits: DecoderLimits, malformed: Malformed) {
    this.#decoder = new ReadingDecoder(limits, (one) => {
      this.#series.add(withHash(one))
      this.#isText.push(one.kind === 'text')
    })
    this.#malformed = malformed
  }

  decode(entries: readonly ReadEntry[]): Rows {
    const decoder = this.#decoder
    decoder.begin()
    tryEach(entries, this.#malformed, ({ value }) => decoder.add(value))
    const { count, timeUs, ...columns } = decoder.take()
    // The next entries are decoded while these are written.
    const series = columns.series.slice()
    const value = columns.value.slice()
    const isText = (one: number): boolean => this.#isText[one] === true
    const texts = takeTexts({ series, value, texts: decoder.texts }, isText)
    return { series: this.#series, readings: { count, series, timeUs, value, texts } }
  }
}

/** Series of windows and events, which are few beside the readings. */
class NamedSeriesIds {
  readonly ids = new SeriesIds()
  readonly #known = new Map<string, number>()

  indexOf({ tenant, deviceId, deviceType, metric, dimensions, kind }: WindowSeries): number {
    const key = JSON.stringify([tenant, deviceId, metric, dimensions, kind])
    let index = this.#known.get(key)
    if (index === undefined) {
      const name = { tenant, deviceId, deviceType, metric, dimensions, kind }
      index = this.ids.add(withHash(name))
      this.#known.set(key, index)
    }
    return index
  }
}

class WindowBatches implements BatchDecoder {
  readonly #partition: number
  readonly #malformed: Malformed
  readonly #series = new NamedSeriesIds()

  constructor(partition: number, malformed: Malformed) {
    this.#partition = partition
    this.#malformed = malformed
  }

  decode(entries: readonly ReadEntry[]): Rows {
    const rows: Float64Array[] = []
    let watermarkMs = -Infinity
    tryEach(entries, this.#malformed, ({ value }) => {
      const window = decodeWindow(value)
      if ('watermarkMs' in window) watermarkMs = Math.max(watermarkMs, window.watermarkMs)
      else {
        window.row[PARTIAL_SERIES] = this.#series.indexOf(window.series)
        rows.push(window.row)
      }
    })
    const partials = new Float64Array(rows.length * PARTIAL_STRIDE)
    for (const [at, row] of rows.entries()) partials.set(row, at * PARTIAL_STRIDE)
    const partition = this.#partition
    const coverage =
      watermarkMs === -Infinity ? [] : [{ partition, fromMs: undefined, watermarkMs }]
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
  readonly #malformed: Malformed
  readonly #series = new NamedSeriesIds()

  constructor(malformed: Malformed) {
    this.#malformed = malformed
  }

  decode(entries: readonly ReadEntry[]): Rows {
    const alerts: NonNullable<WriterBatch['alerts']>[number][] = []
    const anomalies: NonNullable<WriterBatch['anomalies']>[number][] = []
    const dirty: NonNullable<WriterBatch['dirty']>[number][] = []
    tryEach(entries, this.#malformed, ({ value }) => {
      const entry = parseJson(value) as EventEntry
      if (entry.type === 'alert') alerts.push(entry.event)
      else if (entry.type === 'anomaly') anomalies.push(entry.event)
      else if (entry.type === 'dirty') {
        const { fromMs, toMs } = entry
        dirty.push({ series: this.#series.indexOf(entry.series), fromMs, toMs })
      } else throw new WeirError('ENTRY_MALFORMED', 'an event of an unknown type')
    })
    return { series: this.#series.ids, alerts, anomalies, dirty }
  }
}

class DeadLetters implements BatchDecoder {
  readonly #partition: number
  readonly #malformed: Malformed
  readonly #series = new SeriesIds()

  constructor(partition: number, malformed: Malformed) {
    this.#partition = partition
    this.#malformed = malformed
  }

  decode(entries: readonly ReadEntry[]): Rows {
    const deadLetters: NonNullable<WriterBatch['deadLetters']>[number][] = []
    tryEach(entries, this.#malformed, ({ offset, value }) => {
      const one = parseJson(value) as DeadLetter
      deadLetters.push({ ...one, partition: this.#partition, offset })
    })
    return { series: this.#series, deadLetters }
  }
}
