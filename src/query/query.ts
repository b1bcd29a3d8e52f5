/**
 * The questions that can be asked of what is stored. All times are µs; start included, end
 * excluded.
 */
import type { SeriesDefinition } from '../batch/batch.ts'
import type { AnomalyRow, DeadLetterRow, EventsFilter } from './event-rows.ts'
import type { Fill } from './fill.ts'
import type { FleetMinutes } from './fleet-minutes.ts'
import type { CalendarStep } from './step-grid.ts'
import type { EngineMeta } from './told-groups.ts'

export type Quantile = 'p1' | 'p5' | 'p10' | 'p25' | 'p50' | 'p75' | 'p90' | 'p95' | 'p99'

/**
 * `delta` is the last value less the first, `rate` that by the seconds between them. `p95` is the
 * value that 95 of a hundred do not exceed: see Quantiles.
 */
export type Aggregate =
  | ('avg' | 'min' | 'max' | 'sum' | 'count' | 'stddev' | 'first' | 'last')
  | ('rate' | 'delta' | Quantile)
export const AGGREGATES: readonly Aggregate[] = [
  'avg',
  'min',
  'max',
  'sum',
  'count',
  'stddev',
  'first',
  'last',
  'rate',
  'delta',
  ...(['p1', 'p5', 'p10', 'p25', 'p50', 'p75', 'p90', 'p95', 'p99'] as const),
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
  /**
   * Only with `aggregate`; steps are aligned to 1970 UTC. Undefined: one step for the whole span.
   */
  stepUs: number | undefined
  /** Instead of `stepUs`. */
  calendar?: CalendarStep | undefined
  /** Only with steps; `none` without. */
  fill?: Fill | undefined
  pointsMax: number
  /** Readings as they are, page by page, instead of `pointsMax` of them; not with `aggregate`. */
  page?: Page | undefined
}

export interface Page {
  /** Readings at most. */
  limit: number
  /** The page begins behind this place; undefined: with the span. */
  after?: PagePlace | undefined
}

/** Of one reading, in the order of times and, at one time, of series. */
export interface PagePlace {
  timeUs: number
  /** Its number in the store. */
  series: number
  /** Whatever `PagePlace` a page gave: where to look next, µs. It changes no answer. */
  widthUs: number
}

export type Value = number | boolean | string

export interface ReadingsAnswer {
  /** `[ms, value]`, oldest first; with an aggregate the time is the step's start. */
  points: [number, Value | null][]
  /** Of a page: its last place. Undefined: there is nothing behind, for now. */
  next?: PagePlace | undefined
  meta: {
    series: { metric: string; dimensions: Record<string, string> }[]
    /** 'memory', 'hot', 'warm', 'cold', 'postgres', 'rollup-1m', …: where it came from. */
    tiers: string[]
    /** 0 for raw readings, else the step or the downsampling width. */
    resolution_ms: number
    /**
     * Of quantiles, and only there: how far a value may be from one that has its rank, 0 when it is
     * exact. 0.005: half a percent.
     */
    relative_error?: number
    /** 1 when everything accepted is in the answer; see ReadingView. */
    completeness: number
    segments_read: number
    segments_skipped: number
    /** Segments that may hold something wanted, but are damaged. */
    segments_damaged: number
    frozen?: FrozenSpan[]
    /** It was computed for an earlier question that was equal, a moment ago. */
    cached: boolean
    engine?: EngineMeta
  }
}

/**
 * ms, `to` excluded: readings of this time are in the archive of a bucket, and not in the answer.
 * Answers say it where there are some, and then their completeness is below 1.
 */
export interface FrozenSpan {
  from: number
  to: number
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

/**
 * One merged window (on-time and late, or recomputed). stddev is the sample one, null for one
 * reading.
 */
export interface WindowRow {
  window_start: number
  count: number
  sum: number
  avg: number
  min: number
  max: number
  stddev: number | null
  first: number
  last: number
}

export interface WindowsAnswer {
  /** Oldest first; windows without readings are left out. */
  windows: WindowRow[]
  meta: Omit<ReadingsAnswer['meta'], 'series'>
}

export interface LatestQuestion {
  tenant: string
  metric: string
  /** Devices of this type; undefined: of any. */
  deviceType: string | undefined
  /** Only devices behind this one in the answer's order. */
  afterDeviceId: string | undefined
  /** Devices at most. */
  limit: number
}

/**
 * A row a device, as columns of one length: a fleet of 10,000 goes from one thread to another as
 * columns in a fifth of the time that 10,000 objects take.
 */
export interface LatestColumns {
  deviceIds: string[]
  timesMs: number[]
  values: Value[]
}

/** Of many devices: see answerGroups(). */
export interface GroupsQuestion extends Omit<ReadingsQuestion, 'deviceId' | 'aggregate' | 'page'> {
  aggregate: Aggregate
  /** Undefined: of any type. */
  deviceTypes?: readonly string[] | undefined
  /** One group of all, one a type or device, or devices by their ids: others are left out. */
  groups: 'all' | 'type' | 'device' | ReadonlyMap<string, string>
  /** Of each group. */
  pointsMax: number
}

export interface GroupsAnswer {
  /** In the order of their names, '' for the one of all; those without points are left out. */
  groups: { group: string; points: ReadingsAnswer['points'] }[]
  meta: Omit<ReadingsAnswer['meta'], 'series'> & {
    /** So many were asked. */
    series: number
  }
}

/**
 * Errors: API_NOT_FOUND for an unknown device or metric is the API's business; here it is no
 * points. Once its `signal` is aborted a question reads no further block or page, and fails with
 * the signal's reason.
 */
export interface Query {
  readings(question: ReadingsQuestion, signal?: AbortSignal): Promise<ReadingsAnswer>
  windows(question: WindowsQuestion, signal?: AbortSignal): Promise<WindowsAnswer>
  groups(question: GroupsQuestion, signal?: AbortSignal): Promise<GroupsAnswer>
  latest(tenant: string, deviceId: string): Promise<Record<string, { ts: number; value: Value }>>
  /**
   * The newest reading of one metric of each device that has any, in the order of
   * compareDeviceIds(). Of several series of the metric on one device the newest counts.
   */
  latestOfMetric(question: LatestQuestion, signal?: AbortSignal): Promise<LatestColumns>
  anomalies(filter: EventsFilter): Promise<AnomalyRow[]>
  deadLetters(filter: EventsFilter): Promise<DeadLetterRow[]>
  /**
   * For rows that do not say it of themselves. 1: they hold everything that was acknowledged. Less
   * while a restart replays the log: the share of it that is here. Asked before the rows, it never
   * promises too much.
   */
  completeness(): Promise<number>
}

/**
 * All readings of many devices, for those who look at each reading once, such as a back-test.
 *
 * V1 Every reading of the question that was visible when scan() was called comes once; of one
 *    identity the first write.
 * V2 Device by device, and each device in the order of its times. What comes in meanwhile may be
 *    there or not.
 * V3 Memory is bounded, whatever a device has. Ending the generator ends the work;
 *    whoever does not ask for more makes it wait. Commits and other questions go on.
 */
export interface ReadingScan {
  /** Errors: QUERY_FAILED, STORAGE_UNAVAILABLE. */
  scan(question: ScanQuestion): AsyncGenerator<ScanStep, void>
}

/** What is left out may be anything. */
export interface ScanQuestion extends Span {
  tenant: string
  metrics?: readonly string[] | undefined
  deviceTypes?: readonly string[] | undefined
  deviceIds?: readonly string[] | undefined
}

export interface ScanStep {
  blocks: ScanBlock[]
  /** Of `devicesTotal`, those whose last reading is in this step or before. */
  devicesDone: number
  /** Devices that have such series. */
  devicesTotal: number
  /** Of the look that it comes from: see ReadingView. */
  completeness: number
}

/** Readings of one device, `count` rows in the order of their times. */
export interface ScanBlock {
  series: readonly SeriesDefinition[]
  /** The ids that stand for texts in this block. */
  texts: [number, string][]
  count: number
  timeUs: Float64Array<ArrayBuffer>
  value: Float64Array<ArrayBuffer>
  /**
   * The place in `series` of each row, ascending within one time; undefined: all are of the first.
   */
  place: Uint16Array<ArrayBuffer> | undefined
  /** The next block is of another device. */
  isLast: boolean
}

/** A stretch of event time in µs; start included, end excluded. */
export interface Span {
  startUs: number
  endUs: number
}

/** The readings of one series in these spans, which are in order and apart. */
export interface Wanted {
  series: number
  spans: readonly Span[]
}

/** Readings as columns, `count` rows, in no order. Valid during the call that hands them over. */
export interface ReadingRows {
  count: number
  series: Int32Array
  timeUs: Float64Array
  value: Float64Array
}

/**
 * What the answers are computed from; storage implements it. A view is one consistent look: what
 * is output, sealed or merged while it is held changes nothing in it. Release it in a `finally`.
 */
export interface ReadingSource {
  series(tenant: string, deviceId: string, metric: string): SeriesDefinition[]
  text(id: number): string
  view(): ReadingView
}

/** What answers about many devices are computed from. */
export interface GroupsSource {
  /**
   * Calls back with all series that have the metric, and a view of them: at once or, where a view
   * is of one device, for each. A view is released when the call is done.
   */
  looks(
    question: Pick<GroupsQuestion, 'tenant' | 'metric' | 'deviceTypes' | 'groups'>,
    run: (series: readonly SeriesDefinition[], view: ReadingView) => Promise<void>,
    signal?: AbortSignal,
  ): Promise<void>
}

/**
 * What all series of numbers of one tenant, device type and metric had in an hour, as one partial.
 * A fleet has the number of one of its series. Hours without one are to be asked of its series.
 */
export interface FleetHours {
  /** Where there is something. */
  span: Span
  fleetOf(series: number): number
  /** How many series it has. */
  size(fleet: number): number
  /** Where its hours do not tell everything; in order and apart. */
  unsure(fleet: number): readonly Span[]
  /** See ReadingView.partials(). */
  hours(
    fleets: readonly number[],
    what: { span: Span; hasSketches: boolean },
    consume: (row: Float64Array, sketch?: Uint8Array) => void,
  ): Promise<void>
  /** Undefined where none are kept. */
  readonly minutes?: FleetMinutes | undefined
}

export interface ReadingView {
  /** Every identity once (T4). `consume` may throw to end it. */
  readings(wanted: readonly Wanted[], consume: (rows: ReadingRows) => void): Promise<void>
  /**
   * Window partials that start in the span, the newest of each key once (PARTIAL_* places). Of one
   * whose count is below 0 the readings are to be asked. Sketches only where they are asked for,
   * and kept.
   */
  partials(
    series: readonly number[],
    windows: { windowMs: number; span: Span; hasSketches?: boolean },
    consume: (row: Float64Array, sketch?: Uint8Array) => void,
  ): Promise<void>
  /** Window sizes, ascending, and where their partials tell everything that was committed. */
  readonly coverage: readonly { windowMs: number; fromMs: number; toMs: number }[]
  /**
   * Where partials of this size are kept only if they are much smaller than their readings: these
   * tell the windows of which there is none. Elsewhere such a window is empty. Undefined: nowhere.
   */
  sparse?(windowMs: number): Span | undefined
  /** Where the partials of a series and window size do not tell everything. */
  dirty(series: number, windowMs: number): readonly Span[]
  /** Event times of a series' readings that are in memory only, within the span; in no order. */
  memoryTimes(series: number, span: Span): Float64Array
  /** Undefined where none are kept. */
  readonly fleets?: FleetHours | undefined
  readonly tiers: ReadonlySet<string>
  readonly segmentsRead: number
  readonly segmentsSkipped: number
  readonly segmentsDamaged: number
  /** Of which readings are in an archive, as far as they were looked at. */
  readonly frozen?: readonly Span[]
  /**
   * Of what was acknowledged, the share that this look holds. Below 1 while a restart replays the
   * log; and as soon as a segment that may hold something wanted is damaged, by the rows in memory
   * and in all such segments: an estimate, as nobody knows what it held.
   */
  readonly completeness: number
  release(): void
}

export interface QueryLimits {
  /** Stored rows that one query may look at. */
  rowsMax: number
  /** Windows that one answer may hold. */
  windowsMax: number
}

export type { AnomalyRow, DeadLetterRow, EventsFilter } from './event-rows.ts'
export { compareDeviceIds } from './device-order.ts'
export { FILLS } from './fill.ts'
export type { FleetMinutes } from './fleet-minutes.ts'
export { Flights } from './flights.ts'
export { questionKey } from './question-key.ts'
export { matchesDimensions } from './matching.ts'
export { LatestRows } from './latest-rows.ts'
export { gridOf, isOfDays, startOfStepBehind, stepsBefore, type CalendarStep } from './step-grid.ts'
export { answerGroups, seriesAsked } from './groups.ts'
export { answerReadings } from './readings.ts'
export { Sketch } from './sketch.ts'
export { scanDevices, type ScanSource } from './scan.ts'
export { addPartial, addReading, emptyPartial } from './partials.ts'
export { addSpan, alignOutwards, clipSpans, contains, subtractSpans } from './spans.ts'
export { sortByTime } from './time-order.ts'
export type { EngineMeta, ToldGroups } from './told-groups.ts'
export { ToldWindows } from './told-windows.ts'
export { answerWindows } from './windows.ts'
