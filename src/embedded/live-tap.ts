/**
 * What people watch, taken from the stream as it passes: anomalies always, readings of the devices
 * that somebody follows. Costs nothing per reading while nobody does.
 */
import type { LiveEvent } from '../api/api.ts'
import { decodeFrame, type Definitions, type SeriesDefinition } from '../batch/batch.ts'
import { FATE_DUPLICATE, type StreamOutput } from '../stream/stream.ts'

/** A burst beyond this in one batch is thinned: a page draws no more. */
const READINGS_PER_BATCH_MAX = 500

export class LiveTap {
  readonly #emit: (event: LiveEvent) => void
  readonly #series = new Map<number, SeriesDefinition>()
  readonly #texts = new Map<number, string>()
  readonly #numbers = new Map<string, number>()
  #followed = new Set<number>()
  #followedIds: string[] = []

  constructor(emit: (event: LiveEvent) => void) {
    this.#emit = emit
  }

  define(definitions: Definitions): void {
    for (const definition of definitions.series) {
      this.#series.set(definition.series, definition)
      this.#numbers.set(definition.deviceId, definition.device)
    }
    for (const [id, text] of definitions.texts) this.#texts.set(id, text)
    this.#refresh()
  }

  follow(deviceIds: string[]): void {
    this.#followedIds = deviceIds
    this.#refresh()
  }

  #refresh(): void {
    const numbers = this.#followedIds.map((id) => this.#numbers.get(id))
    this.#followed = new Set(numbers.filter((number) => number !== undefined))
  }

  /**
   * Of what is replayed after a restart, anomalies go out all the same, since nobody knows whether
   * they did before; its readings are no news.
   */
  tap(output: StreamOutput, isReplayed: boolean): void {
    for (const {
      id,
      deviceId,
      metric,
      detectorId,
      eventTimeUs,
      value,
      score,
    } of output.anomalies) {
      const ts = eventTimeUs / 1000
      const data = { id, device_id: deviceId, metric, detector_id: detectorId, ts, value, score }
      this.#emit({ event: 'anomaly', data })
    }
    const batch = decodeFrame(output.frame)
    if (batch.definitions !== undefined) this.define(batch.definitions)
    if (this.#followed.size > 0 && !isReplayed) this.#readings(output, batch)
  }

  #readings(output: StreamOutput, batch: ReturnType<typeof decodeFrame>): void {
    let reading = 0
    let left = READINGS_PER_BATCH_MAX
    for (let m = 0; m < batch.messageCount && left > 0; m++) {
      const first = reading
      reading += batch.readingsInMessage[m]!
      if (!this.#followed.has(batch.device[m]!)) continue
      for (let r = first; r < reading; r++) {
        const series = this.#series.get(batch.series[r]!)
        if (series === undefined || output.fates?.[r] === FATE_DUPLICATE) continue
        left--
        const { deviceId: device_id, metric } = series
        const ts = batch.eventTimeUs[m]! / 1000
        const value = this.#value(series, batch.value[r]!)
        this.#emit({ event: 'reading', data: { device_id, metric, ts, value } })
      }
    }
  }

  #value(series: SeriesDefinition, stored: number): number | boolean | string {
    if (series.kind === 'number') return stored
    return series.kind === 'boolean' ? stored === 1 : (this.#texts.get(stored) ?? '')
  }
}
