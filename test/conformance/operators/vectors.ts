/**
 * The shapes of the test vectors that both engines' operators are held to. In the files a step is a
 * line, so that a change of the semantics reads as a diff. JSON has no infinities: a watermark that
 * is not there yet and a score that is none are null.
 */
import { readFileSync } from 'node:fs'
import type { Instruction } from '../../../src/pipeline/pipeline.ts'

export interface Vectors {
  /** A step is `[event time µs, fate]`; all of one series. */
  deduplication: { name: string; steps: [number, number][] }
  /** A step is `[value, score or null]`. */
  zscore: { name: string; n: number; threshold: number; steps: [number, number | null][] }
  watermark: { name: string; disorderUs: number; idleTimeoutUs: number; steps: WatermarkStep[] }
  windows: { name: string; time: WindowTime; windowsMs: number[]; steps: WindowStep[] }
  program: ProgramCase
}
export type VectorName = keyof Vectors

/**
 * `observe` has the event time and the ingest time, `tick` the ingest time and what passed since
 * the last, µs; then whether the watermark moved, and where it is.
 */
export type WatermarkStep = ['observe' | 'tick', number, number, boolean, number | null]

export interface WindowTime {
  disorderUs: number
  idleTimeoutUs: number
  allowedLatenessUs: number
}

/** A message of readings that are all fresh, or, without readings, a tick. */
export interface WindowStep {
  ingestUs: number
  eventUs: number | null
  /** `[series, value]` */
  readings: [number, number][]
  /** After the step. */
  watermarkUs: number | null
  /** Rows of PARTIAL_STRIDE that the step emits, in the order of `inOrder`. */
  partials: number[][]
  /** Readings of the step that at least one window could take no more. */
  tooLate: number
}

export interface ProgramCase {
  name: string
  instructions: Instruction[]
  stackDepthMax: number
  /** Numbers of the text constants; -1: the dictionary has none. */
  textIds: number[]
  /** `[values, result]`; what is no JSON number is its name. */
  steps: [number[], number | string][]
}

export const VECTOR_NAMES: readonly VectorName[] = [
  ...(['deduplication', 'zscore', 'watermark', 'windows', 'program'] as const),
]

export const pathOf = (name: VectorName): URL => new URL(`${name}.json`, import.meta.url)

export function readVectors<N extends VectorName>(name: N): Vectors[N][] {
  return (JSON.parse(readFileSync(pathOf(name), 'utf8')) as { cases: Vectors[N][] }).cases
}

/**
 * Rows by window size, start, series, on time before late: the order of a step's rows is nobody's
 * promise.
 */
export function inOrder(rows: number[][]): number[][] {
  const key = ([series, windowMs, startMs, isLate]: number[]) => [
    windowMs!,
    startMs!,
    series!,
    isLate!,
  ]
  return rows.toSorted((a, b) => {
    const [x, y] = [key(a), key(b)]
    const at = x.findIndex((one, i) => one !== y[i])
    return at === -1 ? 0 : x[at]! - y[at]!
  })
}

/** As programs' results are written. */
export const asJson = (value: number): number | string =>
  Number.isFinite(value) ? value : String(value)
