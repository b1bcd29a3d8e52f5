/**
 * What the stream stage says, as entries for Kafka: there names stand in place of the numbers that
 * its partition gave to series.
 */
import type { DeadLetter, Definitions, SeriesDefinition } from '../../../src/batch/batch.ts'
import { deviceKey, encodeWatermark, encodeWindow } from '../../../src/entries/entries.ts'
import type { WeirError } from '../../../src/errors/errors.ts'
import type { NewEntry, ReadEntry } from '../../../src/kafka/kafka.ts'
import {
  PARTIAL_SERIES,
  PARTIAL_STRIDE,
  type DirtyRange,
  type StreamOutput,
} from '../../../src/stream/stream.ts'
import type { EventEntry, SeriesAnomaly } from '../../../src/cluster/event-entry.ts'
import { hashKey } from '../../../src/stream/keys.ts'

const text = new TextEncoder()
/** Of an entry that is kept as a dead letter, bytes; in base64 a third more. */
const PAYLOAD_BYTES_MAX = 48 << 10

export class OutputEntries {
  readonly #partition: number
  readonly #eventPartition: number
  readonly #series: SeriesDefinition[] = []

  /** Events and dead letters have topics that do not grow: `eventPartition` is theirs. */
  constructor({ partition, eventPartition }: { partition: number; eventPartition: number }) {
    this.#partition = partition
    this.#eventPartition = eventPartition
  }

  define({ series }: Definitions): void {
    for (const one of series) this.#series[one.series] = one
  }

  addWindows({ partials }: StreamOutput, into: NewEntry[]): void {
    if (partials === undefined) return
    for (let at = 0; at < partials.length; at += PARTIAL_STRIDE) {
      const row = partials.subarray(at, at + PARTIAL_STRIDE)
      const series = this.#series[row[PARTIAL_SERIES]!]!
      const key = deviceKey(series.tenant, series.deviceId)
      into.push({ partition: this.#partition, key, value: encodeWindow(series, row) })
    }
  }

  /** Everything that the windows below it hold stands before it. */
  watermark(watermarkUs: number): NewEntry {
    return { partition: this.#partition, value: encodeWatermark(Math.floor(watermarkUs / 1000)) }
  }

  addEvents({ ruleEvents, anomalies, dirty }: StreamOutput, into: NewEntry[]): void {
    for (const event of ruleEvents) {
      into.push(this.#event(event.tenant, event.deviceId, { type: 'alert', event }))
    }
    for (const { series, ...rest } of anomalies) {
      const event = { ...rest, id: this.#anomalyId(series, rest) }
      into.push(this.#event(event.tenant, event.deviceId, { type: 'anomaly', event }))
    }
    for (const range of dirty) into.push(this.#dirty(range))
  }

  /** Its key says whose it was, if it has the form that ours have. */
  deadLetter({ key, value, timestampMs }: ReadEntry, error: WeirError): NewEntry {
    const [tenant = '', deviceId = ''] = Buffer.from(key ?? [])
      .toString()
      .split('/', 2)
    const payload = Buffer.from(value.subarray(0, PAYLOAD_BYTES_MAX)).toString('base64')
    const receivedAtUs = timestampMs * 1000
    const { code, message: detail } = error
    const letter: DeadLetter = { tenant, deviceId, receivedAtUs, code, detail, payload }
    return this.#entry(tenant, deviceId, text.encode(JSON.stringify(letter)))
  }

  /** By names: another partition has given the same number to another series. */
  #anomalyId(number: number, { tenant, detectorId, eventTimeUs }: SeriesAnomaly): string {
    const { deviceId, metric, dimensions, kind } = this.#series[number]!
    const series = JSON.stringify([deviceId, metric, dimensions, kind])
    return hashKey([tenant, detectorId, series, eventTimeUs])
  }

  #dirty({ series: number, fromMs, toMs }: DirtyRange): NewEntry {
    const { series: _, device: __, ...series } = this.#series[number]!
    return this.#event(series.tenant, series.deviceId, { type: 'dirty', series, fromMs, toMs })
  }

  #event(tenant: string, deviceId: string, event: EventEntry): NewEntry {
    return this.#entry(tenant, deviceId, text.encode(JSON.stringify(event)))
  }

  #entry(tenant: string, deviceId: string, value: Uint8Array): NewEntry {
    return { partition: this.#eventPartition, key: deviceKey(tenant, deviceId), value }
  }
}
