/**
 * Reading the log's tail at the start. An entry that is damaged is stepped over and reported; what
 * it defined is lost with it. Readings behind it may use those numbers: their series get a name
 * that says so, and new texts get numbers that no lost entry can have given, so that nothing is
 * ever stored under somebody else's name.
 */
import {
  decodeFrame,
  encodeFrame,
  type Definitions,
  type ReadingBatch,
  type SeriesDefinition,
} from '../batch/batch.ts'
import type { DeviceReader } from '../control/control.ts'
import { WeirError } from '../errors/errors.ts'
import type { Log, LogEntry } from '../log/log.ts'
import type { Dictionary } from './dictionary.ts'

const READ_BYTES = 8 * 1024 * 1024
/** An entry lies in a segment of 1 GiB at most, and takes 6 bytes of JSON for a text at least. */
const TEXTS_PER_ENTRY_MAX = 2 ** 28

/** An entry that was acknowledged and cannot be read any more, and those right behind it. */
export interface LostEntries {
  segment: string
  fromOffset: number
  /** The first offset that can be read again. */
  toOffset: number
}

interface Parts {
  log: Log
  dictionary: Dictionary
  reader: DeviceReader
  tenant: string
  lost: (entries: LostEntries) => void
}

export class LogTail {
  readonly #parts: Parts
  #hasLost = false

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** The frames from `fromOffset` to the log's end, with all definitions that they need. */
  async *frames(fromOffset: number): AsyncGenerator<{
    offset: number
    frame: Uint8Array<ArrayBuffer>
  }> {
    const { log } = this.#parts
    let offset = fromOffset
    while (offset < log.nextOffset) {
      const entries = await this.#read(offset)
      if (!Array.isArray(entries)) {
        offset = entries.toOffset
        continue
      }
      for (const entry of entries) {
        yield { offset: entry.offset, frame: this.#complete(entry.bytes) }
        offset = entry.offset + 1
      }
    }
  }

  async #read(offset: number): Promise<LogEntry[] | LostEntries> {
    const { log, dictionary, lost } = this.#parts
    try {
      return await log.read(offset, READ_BYTES)
    } catch (error) {
      if (!(error instanceof WeirError) || error.code !== 'LOG_ENTRY_DAMAGED') throw error
      const entries: LostEntries = {
        segment: String(error.details['segment']),
        fromOffset: offset,
        toOffset: Number(error.details['resumeOffset']),
      }
      lost(entries)
      this.#hasLost = true
      dictionary.skipTexts((entries.toOffset - offset) * TEXTS_PER_ENTRY_MAX)
      return entries
    }
  }

  #complete(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
    const { dictionary } = this.#parts
    const frame = new Uint8Array(bytes.length)
    frame.set(bytes)
    const batch = decodeFrame(frame)
    if (batch.definitions !== undefined) dictionary.restore(batch.definitions)
    if (!this.#hasLost) return frame
    const nameless = this.#nameless(batch)
    if (nameless.length === 0) return frame
    const known = batch.definitions ?? { series: [], texts: [] }
    const definitions: Definitions = { ...known, series: [...known.series, ...nameless] }
    dictionary.restore(definitions)
    return encodeFrame({ ...batch, definitions })
  }

  /** Definitions that stand in for those that were lost. */
  #nameless(batch: ReadingBatch): SeriesDefinition[] {
    const found = new Map<number, SeriesDefinition>()
    let reading = 0
    for (let message = 0; message < batch.messageCount; message++) {
      const end = reading + batch.readingsInMessage[message]!
      for (; reading < end; reading++) {
        const series = batch.series[reading]!
        if (this.#parts.dictionary.isKnown(series) || found.has(series)) continue
        found.set(series, this.#standIn(series, batch.device[message]!))
      }
    }
    return [...found.values()].toSorted((a, b) => a.series - b.series)
  }

  #standIn(series: number, device: number): SeriesDefinition {
    const { reader, tenant } = this.#parts
    const known = reader.findByNumber(device)
    return {
      series,
      device,
      tenant: known?.tenant ?? tenant,
      deviceId: known?.id ?? `lost-${device}`,
      deviceType: known?.type ?? 'generic',
      metric: `lost_name_${series}`,
      dimensions: [],
      kind: 'number',
    }
  }
}
