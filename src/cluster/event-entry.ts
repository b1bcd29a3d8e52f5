/** The values of the events topic, as JSON. */
import type { SeriesName } from '../batch/batch.ts'
import type { AnomalyEvent, RuleEvent } from '../stream/stream.ts'

export type EventEntry =
  | { type: 'alert'; event: RuleEvent }
  | { type: 'anomaly'; event: SeriesAnomaly }
  /** Windows that start in [fromMs, toMs) are to be computed from stored readings. */
  | { type: 'dirty'; series: SeriesName; fromMs: number; toMs: number }

export type SeriesAnomaly = Omit<AnomalyEvent, 'series'>
