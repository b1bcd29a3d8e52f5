/**
 * The stream stage's words: what it emits, what a checkpoint is. The stage itself is a pure
 * function of the log (`processor.ts`): same entries in, same outputs out, after any restart.
 *
 * S1 Outputs carry deterministic keys; replaying entries from a checkpoint emits the same again.
 * S2 A checkpoint is the state after an offset; it is committed by storage together with everything
 *    emitted up to that offset, or not at all.
 * S3 Order per device is the log's order.
 */

/** What became of a reading. */
export const FATE_FRESH = 0
/** Its identity was seen: not stored, not counted. */
export const FATE_DUPLICATE = 1
/** Older than the deduplication memory reaches: stored, resolved at query (first write wins). */
export const FATE_UNVERIFIED = 2

/** One window partial: PARTIAL_STRIDE float64 in `partials`, at these places. */
export const PARTIAL_STRIDE = 14
export const PARTIAL_SERIES = 0
export const PARTIAL_WINDOW_MS = 1
export const PARTIAL_START_MS = 2
/** 0 on-time, 1 late. Key: (series, window, start, is late); a later row of a key replaces. */
export const PARTIAL_IS_LATE = 3
export const PARTIAL_COUNT = 4
export const PARTIAL_SUM = 5
export const PARTIAL_MIN = 6
export const PARTIAL_MAX = 7
export const PARTIAL_MEAN = 8
/** Centred sum of squares (Welford, Chan for merges). */
export const PARTIAL_SQUARES = 9
export const PARTIAL_FIRST = 10
export const PARTIAL_FIRST_TIME_US = 11
export const PARTIAL_LAST = 12
export const PARTIAL_LAST_TIME_US = 13

export interface RuleEvent {
  /** Hash of tenant, rule, rule version, device and event time of the first breach. */
  id: string
  tenant: string
  ruleId: string
  ruleVersion: number
  severity: string
  deviceId: string
  state: 'firing' | 'resolved'
  triggeredAtUs: number
  resolvedAtUs: number | undefined
  /** Event time of the first breach, µs. */
  breachEventTimeUs: number
  /** Numbers and booleans that decided, by name. */
  values: Record<string, number>
  /** What a person is told of it: the same in a replay, as all of an event. */
  reason: RuleReason
}

export interface RuleReason {
  /** `silence`: the device said nothing for too long. */
  kind: 'condition' | 'silence'
  /** As written: `temperature > 80`, `silent for 30 s`. */
  condition: string
  /** Of a rule that compares one metric with a constant. */
  metric?: string
  unit?: string
  value?: number
  threshold?: number
  /** The last value before the first breach. */
  valueBefore?: number
  /** Ids of the recipients that the rule names; without, those who want to hear of it. */
  notify?: string[]
}

export interface AnomalyEvent {
  /** Hash of tenant, detector, series and event time. */
  id: string
  tenant: string
  detectorId: string
  deviceId: string
  metric: string
  series: number
  eventTimeUs: number
  value: number
  score: number
}

/** Windows of this series that start in [fromMs, toMs) must be computed from stored readings. */
export interface DirtyRange {
  series: number
  fromMs: number
  toMs: number
}

/** Sent to storage for every log entry, in order. Buffers are transferred. */
export interface StreamOutput {
  offset: number
  frame: Uint8Array<ArrayBuffer>
  /** One FATE_* per reading, or undefined when all are fresh. */
  fates: Uint8Array<ArrayBuffer> | undefined
  partials: Float64Array<ArrayBuffer> | undefined
  ruleEvents: RuleEvent[]
  anomalies: AnomalyEvent[]
  dirty: DirtyRange[]
  /** By size, where windows were closed: also such in which nothing was said. */
  closed: ClosedWindows[]
}

/** All windows of this size that start before `beforeMs` were emitted. */
export interface ClosedWindows {
  windowMs: number
  beforeMs: number
}

/**
 * State after `offset`, as named binary parts; parts that did not change since the last are absent.
 */
export interface Checkpoint {
  offset: number
  parts: { name: string; bytes: Uint8Array<ArrayBuffer> }[]
}
