/**
 * The latest reading of every series by event time. Kept in parts of 65,536 series, 1 MB each: a
 * commit saves the parts that changed beside the stream's state.
 *
 *   part: f64[65536] event time µs (NaN: none) | f64[65536] value
 */
import type { ReadingBatch } from '../batch/batch.ts'
import { FATE_DUPLICATE } from '../stream/stream.ts'

const PART_BITS = 16
const PART_SERIES = 1 << PART_BITS

interface Part {
  timeUs: Float64Array
  value: Float64Array
  hasChanged: boolean
}

/** The prefix of this table's parts among the state parts. */
export const LAST_VALUES_PREFIX = 'storage/last-values/'

export class LastValues {
  readonly #parts: Part[] = []

  update(batch: ReadingBatch, fates: Uint8Array | undefined): void {
    const { messageCount, eventTimeUs, readingsInMessage, series, value } = batch
    let reading = 0
    for (let message = 0; message < messageCount; message++) {
      const time = eventTimeUs[message]!
      const end = reading + readingsInMessage[message]!
      for (; reading < end; reading++) {
        if (fates !== undefined && fates[reading] === FATE_DUPLICATE) continue
        const id = series[reading]!
        const part = this.#parts[id >>> PART_BITS] ?? this.#createPart(id >>> PART_BITS)
        const at = id & (PART_SERIES - 1)
        // NaN compares false, so an empty place is taken; an equal time keeps the first write.
        if (time <= part.timeUs[at]!) continue
        part.timeUs[at] = time
        part.value[at] = value[reading]!
        part.hasChanged = true
      }
    }
  }

  #createPart(index: number): Part {
    while (this.#parts.length <= index) {
      const timeUs = new Float64Array(PART_SERIES).fill(NaN)
      this.#parts.push({ timeUs, value: new Float64Array(PART_SERIES), hasChanged: false })
    }
    return this.#parts[index]!
  }

  get(series: number): { timeUs: number; value: number } | undefined {
    const part = this.#parts[series >>> PART_BITS]
    const at = series & (PART_SERIES - 1)
    const timeUs = part?.timeUs[at] ?? NaN
    return Number.isNaN(timeUs) ? undefined : { timeUs, value: part!.value[at]! }
  }

  /** By series, the highest event time; NaN where there is none. */
  highestTimes(): Float64Array {
    const times = new Float64Array(this.#parts.length * PART_SERIES)
    for (const [index, { timeUs }] of this.#parts.entries()) times.set(timeUs, index * PART_SERIES)
    return times
  }

  /** Takes a series' latest reading from what is stored. */
  set(series: number, { timeUs, value }: { timeUs: number; value: number }): void {
    const part = this.#parts[series >>> PART_BITS] ?? this.#createPart(series >>> PART_BITS)
    part.timeUs[series & (PART_SERIES - 1)] = timeUs
    part.value[series & (PART_SERIES - 1)] = value
    part.hasChanged = true
  }

  /** A series that has no reading any more. */
  clear(series: number): void {
    const part = this.#parts[series >>> PART_BITS]
    if (part === undefined) return
    part.timeUs[series & (PART_SERIES - 1)] = NaN
    part.value[series & (PART_SERIES - 1)] = 0
    part.hasChanged = true
  }

  /** Copies of the parts that changed since the last call. */
  takeChanged(): { name: string; bytes: Uint8Array<ArrayBuffer> }[] {
    const changed = []
    for (const [index, part] of this.#parts.entries()) {
      if (!part.hasChanged) continue
      part.hasChanged = false
      const columns = new Float64Array(2 * PART_SERIES)
      columns.set(part.timeUs)
      columns.set(part.value, PART_SERIES)
      const bytes = new Uint8Array(columns.buffer)
      changed.push({ name: `${LAST_VALUES_PREFIX}${index}`, bytes })
    }
    return changed
  }

  /** Takes back a part that takeChanged() gave. */
  restore(name: string, bytes: Uint8Array<ArrayBuffer>): void {
    const part = this.#createPart(Number(name.slice(LAST_VALUES_PREFIX.length)))
    const columns = new Float64Array(bytes.buffer, bytes.byteOffset, 2 * PART_SERIES)
    part.timeUs.set(columns.subarray(0, PART_SERIES))
    part.value.set(columns.subarray(PART_SERIES))
  }
}
