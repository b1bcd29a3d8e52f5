/** For tests: questions, and what a store is given so that it can answer them. */
import type { DeadLetter, SeriesDefinition, ValueKind } from '../batch/batch.ts'
import type { AnomalyEvent, DirtyRange } from '../stream/stream.ts'
import type { Query, QueryLimits, ReadingsQuestion, Value } from './query.ts'

export interface GivenReading {
  series: number
  timeUs: number
  value: Value
}

/** What the suites' readings count from, ms since 1970: a store may refuse what is too old. */
export const BASE_MS = Date.UTC(2024, 0, 1)

/** Everything of one kind in the order in which it came. */
export interface Given {
  series?: readonly SeriesDefinition[]
  /** Of one identity the first counts. */
  readings?: readonly GivenReading[]
  /** Rows of PARTIAL_* places. */
  partials?: readonly number[][]
  /**
   * Where partials tell everything, for stores that are told; others see it in the partials, so
   * these begin and end there.
   */
  coverage?: { fromMs: number; watermarkMs: number }
  dirty?: readonly DirtyRange[]
  anomalies?: readonly AnomalyEvent[]
  deadLetters?: readonly DeadLetter[]
}

/** A store, fresh, that can be given more. */
export interface QueryBench {
  query: Query
  give: (given: Given) => Promise<void>
  close: () => Promise<void>
}

/** Runs one test of the suite on a fresh store. */
export type Promised = (
  name: string,
  run: (bench: QueryBench) => Promise<void>,
  limits?: QueryLimits,
) => void

export const defineSeries = (
  series: number,
  metric: string,
  how: { kind?: ValueKind; dimensions?: [string, string][]; deviceId?: string } = {},
): SeriesDefinition => ({
  series,
  device: 1,
  tenant: 'default',
  deviceId: how.deviceId ?? 'pump-1',
  deviceType: 'generic',
  metric,
  dimensions: how.dimensions ?? [],
  kind: how.kind ?? 'number',
})

export const ask = (parts: Partial<ReadingsQuestion> = {}): ReadingsQuestion => ({
  tenant: 'default',
  deviceId: 'pump-1',
  metric: 'temperature',
  startUs: 0,
  endUs: 4e15,
  dimensions: {},
  aggregate: undefined,
  stepUs: undefined,
  pointsMax: 10_000,
  ...parts,
})

/** The partial of these readings, which are in time order and in one window. */
export function partialOf(
  readings: readonly { series: number; timeUs: number; value: number }[],
  { windowMs, isLate }: { windowMs: number; isLate: boolean },
): number[] {
  const [first, last] = [readings[0]!, readings.at(-1)!]
  const values = readings.map(({ value }) => value)
  const sum = values.reduce((total, value) => total + value, 0)
  const mean = sum / values.length
  const squares = values.reduce((total, value) => total + (value - mean) ** 2, 0)
  const startMs = Math.floor(first.timeUs / 1000 / windowMs) * windowMs
  const key = [first.series, windowMs, startMs, Number(isLate)]
  const sums = [values.length, sum, Math.min(...values), Math.max(...values), mean, squares]
  return [...key, ...sums, first.value, first.timeUs, last.value, last.timeUs]
}
