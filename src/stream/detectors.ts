/** All detectors of a plan, which of them look at a series, and the anomalies they find. */
import type { SeriesDefinition } from '../batch/batch.ts'
import type { Detector } from '../pipeline/pipeline.ts'
import { hashKey } from './keys.ts'
import type { AnomalyEvent } from './stream.ts'
import { ZScore } from './zscore.ts'

const ENTRY_STRIDE = 4
const DETECTOR = 0
const RECORD = 1
const NEXT = 2

export class Detectors {
  readonly zscores: ZScore[]
  /** First entry of a series, plus 1. */
  readonly #first: Uint32Array
  /** Per entry: detector | record | next entry + 1 | spare. */
  #entries = new Uint32Array(256 * ENTRY_STRIDE)
  readonly #definitions: SeriesDefinition[] = []
  #anomalies: AnomalyEvent[] = []

  constructor(detectors: readonly Detector[], seriesMax: number) {
    this.zscores = detectors.map((detector) => new ZScore(detector, seriesMax))
    this.#first = new Uint32Array(detectors.length > 0 ? seriesMax : 0)
  }

  get bytesHeld(): number {
    return this.zscores.reduce((sum, { bytesHeld }) => sum + bytesHeld, 0)
  }

  /** Lets every detector of this type and metric look at the series; true when there is one. */
  attach(definition: SeriesDefinition): boolean {
    const { series, deviceType, metric } = definition
    // Backwards, as each new entry goes to the front: detectors then run in the plan's order.
    for (let d = this.zscores.length - 1; d >= 0; d--) {
      const { detector } = this.zscores[d]!
      if (detector.type !== undefined && detector.type !== deviceType) continue
      if (detector.metric !== metric) continue
      this.#add([d, this.zscores[d]!.attach(series), this.#first[series]!, 0], definition)
      this.#first[series] = this.#definitions.length
    }
    return (this.#first[series] ?? 0) > 0
  }

  /** Feeds an accepted reading to the series' detectors. */
  observe(series: number, value: number, eventUs: number): void {
    let entry = this.#first[series]!
    while (entry > 0) {
      const at = (entry - 1) * ENTRY_STRIDE
      const zscore = this.zscores[this.#entries[at + DETECTOR]!]!
      const score = zscore.observe(this.#entries[at + RECORD]!, value)
      if (!Number.isNaN(score)) this.#found(entry - 1, zscore, { eventUs, value, score })
      entry = this.#entries[at + NEXT]!
    }
  }

  /** The series went silent for good. */
  forget(series: number): void {
    let entry = this.#first[series] ?? 0
    while (entry > 0) {
      const at = (entry - 1) * ENTRY_STRIDE
      this.zscores[this.#entries[at + DETECTOR]!]!.forget(this.#entries[at + RECORD]!)
      entry = this.#entries[at + NEXT]!
    }
  }

  /** All anomalies since the last call. */
  take(): AnomalyEvent[] {
    const taken = this.#anomalies
    this.#anomalies = []
    return taken
  }

  #add(entry: number[], definition: SeriesDefinition): void {
    const at = this.#definitions.length * ENTRY_STRIDE
    if (at === this.#entries.length) {
      const grown = new Uint32Array(at * 2)
      grown.set(this.#entries)
      this.#entries = grown
    }
    this.#entries.set(entry, at)
    this.#definitions.push(definition)
  }

  #found(
    entry: number,
    { detector }: ZScore,
    { eventUs, value, score }: { eventUs: number; value: number; score: number },
  ): void {
    const { tenant, deviceId, metric, series } = this.#definitions[entry]!
    this.#anomalies.push({
      id: hashKey([tenant, detector.id, series, eventUs]),
      tenant,
      detectorId: detector.id,
      deviceId,
      metric,
      series,
      eventTimeUs: eventUs,
      value,
      score,
    })
  }
}
