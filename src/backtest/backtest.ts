/**
 * Back-tests: what rules would have said over the readings that are stored, as the stream says it
 * of readings that come at once: the time of arrival is the event time.
 *
 * K1 The episodes are those that the stream's own rules give for these readings, fed in order with
 *    a clock that ticks at every moment that matters.
 * K2 Episodes become alerts as those of live do: what follows closely is one alert.
 * K3 Memory is bounded: a report holds counts, not episodes.
 */
import type { DeviceFacts } from '../batch/batch.ts'
import type { Plan, Rule, RuleDefinition } from '../pipeline/pipeline.ts'
import type { ReadingScan, Span } from '../query/query.ts'
import type { RuleEvent } from '../stream/stream.ts'

/** Plain data: it goes to a thread of its own. */
export interface BacktestQuestion extends Span {
  tenant: string
  /** Compiled; their versions do not matter. */
  rules: Rule[]
  plan: Pick<Plan, 'time' | 'windowsMs'>
  /** What rules may ask of a device; of those that are not here, nothing is known. */
  facts: DeviceFacts[]
}

export interface BacktestProgress {
  readings: number
  devicesDone: number
  devicesTotal: number
}

export interface BacktestReport extends Span {
  readings: number
  /** That have readings which the rules look at. */
  devices: number
  /** Less than 1: not all that was acknowledged was there to be looked at. */
  completeness: number
  /** In the order of the question. */
  rules: RuleReport[]
}

export interface RuleReport {
  ruleId: string
  severity: string
  /** Each time that the rule fired. */
  episodes: number
  /** What people would have been told of: episodes that follow each other closely are one. */
  alerts: number
  /** Alerts that came and went so often that they were folded for longer. */
  flapping: number
  /** Devices for which it fired. */
  devices: number
  firingUs: number
  /** Of each day of the span in UTC, the first to the last; alerts by when they began. */
  days: { startUs: number; episodes: number; alerts: number }[]
  /** Those with the most alerts, then episodes. */
  noisiest: { deviceId: string; episodes: number; alerts: number }[]
  /** `resolvedAtUs` undefined: it still fires at the end. */
  longest: { deviceId: string; triggeredAtUs: number; resolvedAtUs: number | undefined }[]
  budget: BudgetReport | undefined
}

/** Of stretches of `perUs` from the span's end backwards, the one with the most alerts decides. */
export interface BudgetReport {
  alerts: number
  perUs: number
  most: number
  mostFromUs: number
  isKept: boolean
}

/** One at a time, in a thread of its own. */
export interface Backtests {
  /** Errors: PIPELINE_RULE_INVALID, PIPELINE_DEFINITION_INVALID. */
  compile(rule: RuleDefinition): Rule
  /**
   * Whether it starts is known at once: throws BACKTEST_RUNNING when one is under way. `signal`
   * ends it, with its own reason. Errors besides: those of the scan.
   */
  start(question: Omit<BacktestQuestion, 'plan'>, how: BacktestHandle): Promise<BacktestReport>
}

export interface BacktestHandle {
  onProgress: (progress: BacktestProgress) => void
  signal: AbortSignal
}

export interface BacktestOptions {
  scan: ReadingScan
  /** Called after each step. */
  onProgress?: (progress: BacktestProgress) => void
  /** All events of one device, in their order. */
  onEvents?: (events: readonly RuleEvent[]) => void
}

export { runBacktest, scanQuestionOf } from './run.ts'
