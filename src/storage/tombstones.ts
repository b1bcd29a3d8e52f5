/**
 * What was erased, and stays so: readings of these devices and times are not shown from the moment
 * of the request on, and what of them comes again, from a backlog or from the log, is not stored.
 */
import type { ReadingBatch } from '../batch/batch.ts'
import { addSpan, contains, type Span } from '../query/query.ts'
import {
  FATE_DUPLICATE,
  PARTIAL_SERIES,
  PARTIAL_START_MS,
  PARTIAL_STRIDE,
  PARTIAL_WINDOW_MS,
} from '../stream/stream.ts'
import type { Erasure } from './erasure-tables.ts'
import type { SeriesDirectory } from './series-directory.ts'

const NONE: readonly Span[] = []

const keyOf = (tenant: string, deviceId: string): string => `${tenant}\0${deviceId}`

export class Tombstones {
  readonly #directory: SeriesDirectory
  readonly #byDevice = new Map<string, readonly Span[]>()
  /** Of series that were looked at. */
  #bySeries = new Map<number, readonly Span[]>()
  /** Readings that came again and were not stored, since the start. */
  refused = 0

  constructor(directory: SeriesDirectory, erasures: readonly Erasure[]) {
    this.#directory = directory
    for (const erasure of erasures) this.add(erasure)
  }

  add({ tenant, deviceIds, fromUs, toUs }: Erasure): void {
    for (const deviceId of deviceIds) {
      const key = keyOf(tenant, deviceId)
      const span = { startUs: fromUs, endUs: toUs }
      this.#byDevice.set(key, addSpan(this.#byDevice.get(key) ?? [], span, Infinity))
    }
    this.#bySeries = new Map()
  }

  get isEmpty(): boolean {
    return this.#byDevice.size === 0
  }

  /** In order and apart. */
  ofSeries(series: number): readonly Span[] {
    if (this.isEmpty) return NONE
    const known = this.#bySeries.get(series)
    if (known !== undefined) return known
    const definition = this.#directory.get(series)
    // One that is not defined yet is asked again.
    if (definition === undefined) return NONE
    const { tenant, deviceId } = definition
    const spans = this.#byDevice.get(keyOf(tenant, deviceId)) ?? NONE
    this.#bySeries.set(series, spans)
    return spans
  }

  isErased(tenant: string, deviceId: string, timeUs: number): boolean {
    return contains(this.#byDevice.get(keyOf(tenant, deviceId)) ?? NONE, timeUs)
  }

  /** The fates with erased readings as duplicates: nobody stores those. */
  fates(batch: ReadingBatch, fates: Uint8Array | undefined): Uint8Array | undefined {
    if (this.isEmpty) return fates
    let changed = fates
    let reading = 0
    for (let message = 0; message < batch.messageCount; message++) {
      const timeUs = batch.eventTimeUs[message]!
      const end = reading + batch.readingsInMessage[message]!
      for (; reading < end; reading++) {
        if (!contains(this.ofSeries(batch.series[reading]!), timeUs)) continue
        if (changed === fates) changed = fates?.slice() ?? new Uint8Array(batch.readingCount)
        if (changed![reading] !== FATE_DUPLICATE) this.refused++
        changed![reading] = FATE_DUPLICATE
      }
    }
    return changed
  }

  /** Without those of windows that hold, or held, something erased: readings tell them. */
  partials(rows: Float64Array): Float64Array {
    if (this.isEmpty) return rows
    const kept: number[] = []
    for (let at = 0; at < rows.length; at += PARTIAL_STRIDE) {
      const startUs = rows[at + PARTIAL_START_MS]! * 1000
      const endUs = startUs + rows[at + PARTIAL_WINDOW_MS]! * 1000
      const spans = this.ofSeries(rows[at + PARTIAL_SERIES]!)
      const isTouched = spans.some((span) => span.startUs < endUs && startUs < span.endUs)
      if (!isTouched) kept.push(...rows.subarray(at, at + PARTIAL_STRIDE))
    }
    return kept.length === rows.length ? rows : Float64Array.from(kept)
  }
}
