/**
 * What storage has not seen of the log. It is read twice after a restart: once before the doors
 * open, for what it defines; and once to hand it on.
 *
 * An entry that is damaged is stepped over and reported; what it defined is lost with it. Readings
 * behind it may use those numbers: their series get a name that says so, and new texts get numbers
 * that no lost entry can have given, so that nothing is ever stored under somebody else's name.
 */
import { decodeFrame, encodeFrame, plainBatch, type ReadingBatch } from '../batch/batch.ts'
import type { SeriesDefinition } from '../batch/batch.ts'
import type { DeviceNumbers } from '../control/control.ts'
import { WeirError } from '../errors/errors.ts'
import type { Log, LogEntry } from '../log/log.ts'
import type { Dictionary } from './dictionary.ts'

const READ_BYTES = 2 << 20
/** An entry lies in a segment of 1 GiB at most, and takes 6 bytes of JSON for a text at least. */
const TEXTS_PER_ENTRY_MAX = 2 ** 28

export interface Tail {
  fromOffset: number
  entries: number
  /** Of all frames. */
  bytes: number
}

/** An entry that was acknowledged and cannot be read any more, and those right behind it. */
export interface LostEntries {
  segment: string
  fromOffset: number
  /** The first offset that can be read again. */
  toOffset: number
}

export interface LogTailParts {
  log: Log
  dictionary: Dictionary
  numbers: Pick<DeviceNumbers, 'findByNumber'>
  tenant: string
  /** Told once of each. */
  lost: (entries: LostEntries) => void
}

export class LogTail {
  readonly #parts: LogTailParts
  readonly #told = new Set<number>()
  /** By the offset of the entry that needs them: definitions in place of lost ones. */
  readonly #standIns = new Map<number, SeriesDefinition[]>()

  constructor(parts: LogTailParts) {
    this.#parts = parts
  }

  /** Tells the dictionary all that the tail defines, up to the log's end. */
  async examine(fromOffset: number): Promise<Tail> {
    const { log, dictionary } = this.#parts
    const into = new Uint8Array(READ_BYTES)
    let bytes = 0
    let count = 0
    for (let offset = fromOffset; offset < log.nextOffset;) {
      const { entries, nextOffset } = await this.read(offset, into)
      for (const entry of entries) {
        const batch = decodeFrame(entry.bytes)
        if (batch.definitions !== undefined) dictionary.restore(batch.definitions)
        if (this.#told.size > 0) this.#nameLost(entry.offset, batch)
        bytes += entry.bytes.length
      }
      count += entries.length
      offset = nextOffset
    }
    return { fromOffset, entries: count, bytes }
  }

  /**
   * Some entries, which may be views of `into`, and where to read on; none where they are damaged.
   */
  async read(
    fromOffset: number,
    into: Uint8Array<ArrayBuffer>,
  ): Promise<{ entries: LogEntry[]; nextOffset: number }> {
    try {
      const entries = await this.#parts.log.read(fromOffset, into.length, into)
      const last = entries.at(-1)
      if (last === undefined) throw new RangeError(`the log has no entry at ${fromOffset}`)
      return { entries, nextOffset: last.offset + 1 }
    } catch (error) {
      if (!(error instanceof WeirError) || error.code !== 'LOG_ENTRY_DAMAGED') throw error
      const toOffset = Number(error.details['resumeOffset'])
      this.#lose({ segment: String(error.details['segment']), fromOffset, toOffset })
      return { entries: [], nextOffset: toOffset }
    }
  }

  /** The frame to hand on, in a buffer of its own: with all definitions that it needs. */
  frame(
    { offset, bytes }: LogEntry,
    allocate: (bytes: number) => ArrayBuffer,
  ): Uint8Array<ArrayBuffer> {
    const standIns = this.#standIns.get(offset)
    if (standIns === undefined) {
      const frame = new Uint8Array(allocate(bytes.length), 0, bytes.length)
      frame.set(bytes)
      return frame
    }
    const batch = decodeFrame(bytes)
    const { series, texts } = batch.definitions ?? { series: [], texts: [] }
    const definitions = { series: [...series, ...standIns], texts }
    return encodeFrame({ ...plainBatch(batch), definitions }, allocate)
  }

  #lose(entries: LostEntries): void {
    const { dictionary, lost } = this.#parts
    if (this.#told.has(entries.fromOffset)) return
    this.#told.add(entries.fromOffset)
    dictionary.skipTexts((entries.toOffset - entries.fromOffset) * TEXTS_PER_ENTRY_MAX)
    lost(entries)
  }

  #nameLost(offset: number, batch: ReadingBatch): void {
    const { dictionary } = this.#parts
    const found = new Map<number, SeriesDefinition>()
    let reading = 0
    for (let message = 0; message < batch.messageCount; message++) {
      const end = reading + batch.readingsInMessage[message]!
      for (; reading < end; reading++) {
        const series = batch.series[reading]!
        if (dictionary.isKnown(series) || found.has(series)) continue
        found.set(series, this.#standIn(series, batch.device[message]!))
      }
    }
    if (found.size === 0) return
    const series = [...found.values()].toSorted((a, b) => a.series - b.series)
    this.#standIns.set(offset, series)
    dictionary.restore({ series, texts: [] })
  }

  #standIn(series: number, device: number): SeriesDefinition {
    const { numbers, tenant } = this.#parts
    const known = numbers.findByNumber(device)
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
