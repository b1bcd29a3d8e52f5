/**
 * Entries of the readings topic, as the stream stage would have written them; with ticks, those of
 * telemetry, as a gateway would.
 */
import type { ReadingBatch, SeriesDefinition } from '../src/batch/batch.ts'
import { MessageEncoder } from '../src/entries/entries.ts'
import type { Appender } from '../src/kafka/kafka.ts'
import { PARTITIONS } from './cluster-place.ts'
import { METRICS_PER_MESSAGE } from './message-ring.ts'

const METRICS = ['temperature', 'pressure', 'vibration']

export class EntrySource {
  readonly #devices: number
  readonly #encoder = new MessageEncoder({ partitions: PARTITIONS })
  readonly #appender: Appender
  readonly #batch: ReadingBatch

  readonly #hasTicks: boolean

  constructor(appender: Appender, devices: number, { hasTicks = false } = {}) {
    this.#hasTicks = hasTicks
    this.#appender = appender
    this.#devices = devices
    this.#batch = batchOf(devices)
  }

  /** A message of each device at each of these times, the devices in turn. */
  async append(timesUs: Iterable<number>): Promise<void> {
    const batch = this.#batch
    const walk = Float64Array.from({ length: this.#devices }, () => 2150)
    let appending: Promise<unknown> = Promise.resolve()
    let turn = 0
    for (const timeUs of timesUs) {
      batch.baseIngestTimeUs = timeUs
      batch.eventTimeUs.fill(timeUs)
      turn++
      for (let device = 0; device < this.#devices; device++) {
        // What rises and falls by a few hundredths, like a temperature.
        walk[device]! += ((device * 7 + turn * 13) % 17) - 8
        const at = device * METRICS_PER_MESSAGE
        batch.value[at] = walk[device]! / 100
        batch.value[at + 1] = 1000 + walk[device]! / 100
        batch.value[at + 2] = walk[device]! / 10_000
      }
      const ticks = this.#hasTicks ? this.#encoder.encode({ ...batch, messageCount: 0 }) : []
      if (this.#hasTicks) batch.definitions = undefined
      const entries = [...ticks, ...this.#encoder.encode(batch)]
      batch.definitions = undefined
      // One is encoded while one is on its way.
      await appending
      appending = this.#appender.append(entries)
    }
    await appending
  }
}

function batchOf(devices: number): ReadingBatch {
  const readings = devices * METRICS_PER_MESSAGE
  return {
    ...{ messageCount: devices, readingCount: readings, baseIngestTimeUs: 0 },
    eventTimeUs: new Float64Array(devices),
    ingestDeltaUs: new Uint32Array(devices),
    device: Uint32Array.from({ length: devices }, (_, device) => device),
    identityHigh: undefined,
    identityLow: undefined,
    readingsInMessage: new Uint16Array(devices).fill(METRICS_PER_MESSAGE),
    flags: new Uint8Array(devices),
    value: new Float64Array(readings),
    series: Uint32Array.from({ length: readings }, (_, series) => series),
    definitions: { series: Array.from({ length: readings }, (_, at) => seriesOf(at)), texts: [] },
    deadLetters: undefined,
  }
}

function seriesOf(series: number): SeriesDefinition {
  const device = Math.floor(series / METRICS_PER_MESSAGE)
  const deviceId = `d${String(device).padStart(6, '0')}`
  const metric = METRICS[series % METRICS_PER_MESSAGE]!
  const name = { tenant: 'default', deviceId, deviceType: 'sensor', metric }
  return { series, device, ...name, dimensions: [], kind: 'number' }
}
