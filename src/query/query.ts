/** The questions that can be asked of what is stored. All times are µs; start included, end excluded. */
export type Aggregate = 'avg' | 'min' | 'max' | 'sum' | 'count' | 'stddev' | 'first' | 'last'
export const AGGREGATES: readonly Aggregate[] = [
  'avg',
  'min',
  'max',
  'sum',
  'count',
  'stddev',
  'first',
  'last',
]

export interface ReadingsQuestion {
  tenant: string
  deviceId: string
  metric: string
  startUs: number
  endUs: number
  /** Series dimensions that must match; those not named may be anything. */
  dimensions: Record<string, string>
  aggregate: Aggregate | undefined
  /** Only with `aggregate`; steps are aligned to 1970 UTC. Undefined: one step for the whole span. */
  stepUs: number | undefined
  pointsMax: number
}

export type Value = number | boolean | string

export interface ReadingsAnswer {
  /** `[ms, value]`, oldest first; with an aggregate the time is the step's start. */
  points: [number, Value | null][]
  meta: {
    series: { metric: string; dimensions: Record<string, string> }[]
    /** Where the answer came from: 'memory', 'segments', 'rollup-1m', 'rollup-5m'. */
    tiers: string[]
    /** 0 for raw readings, else the step or the downsampling width. */
    resolution_ms: number
    /** 1 when everything accepted is in the answer. */
    completeness: number
    segments_read: number
    segments_skipped: number
  }
}

export interface WindowsQuestion {
  tenant: string
  deviceId: string
  metric: string
  windowMs: number
  startUs: number
  endUs: number
  dimensions: Record<string, string>
}

/** One merged window (on-time and late, or recomputed). stddev is the sample one, null for one reading. */
export interface WindowRow {
  window_start: number
  count: number
  avg: number
  min: number
  max: number
  stddev: number | null
  first: number
  last: number
}

export interface AlertRow {
  id: string
  device_id: string
  rule_id: string
  triggered_at: number
  resolved_at: number | null
  severity: string
  state: 'firing' | 'resolved'
}

export interface DeadLetterRow {
  id: string
  device_id: string
  received_at: number
  code: string
  detail: string
  payload: string
}

export interface AnomalyRow {
  id: string
  device_id: string
  metric: string
  detector_id: string
  ts: number
  value: number
  score: number
}

export interface EventsFilter {
  tenant: string
  deviceId: string | undefined
  /** At most 1,000. Newest first. */
  limit: number
}

/** Errors: API_NOT_FOUND for an unknown device or metric is the API's business; here it is no points. */
export interface Query {
  readings(question: ReadingsQuestion): Promise<ReadingsAnswer>
  windows(question: WindowsQuestion): Promise<WindowRow[]>
  latest(tenant: string, deviceId: string): Promise<Record<string, { ts: number; value: Value }>>
  alerts(filter: EventsFilter): Promise<AlertRow[]>
  anomalies(filter: EventsFilter): Promise<AnomalyRow[]>
  deadLetters(filter: EventsFilter): Promise<DeadLetterRow[]>
}
