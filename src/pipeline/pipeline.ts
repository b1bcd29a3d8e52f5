/**
 * The pipeline's plan: what a definition (YAML or object) compiles to. Engines interpret a plan and
 * never see YAML or CEL. The embedded engine's operators are its first back end. Plain data: it is
 * passed between threads by structured clone.
 */
import type { ValueKind } from '../batch/batch.ts'

export interface Plan {
  version: 1
  /** SHA-256 (hex, 16 digits) of the canonical definition. */
  fingerprint: string
  types: Record<string, DeviceType>
  time: TimePolicy
  /** Tumbling window sizes in ms, ascending; the first divides all others. */
  windowsMs: number[]
  detectors: Detector[]
  rules: Rule[]
}

export interface DeviceType {
  name: string
  /** The built-in type `generic` takes any metric; every other type is strict. */
  isStrict: boolean
  /** Tags that are part of a series' identity. Line protocol always adds `measurement`. */
  dimensions: string[]
  timeSource: 'event' | 'ingest'
  /** By version, ascending. The last active one is used when a message names none. */
  schemas: Schema[]
}

export interface Schema {
  version: number
  isActive: boolean
  metrics: Metric[]
}

export interface Metric {
  name: string
  type: 'number' | 'boolean' | 'text'
  unit: string
  /** Inclusive bounds; -Infinity and Infinity where none is set. */
  min: number
  max: number
  isRequired: boolean
  isCritical: boolean
  /** Allowed texts (an enum), or undefined. */
  values: string[] | undefined
}

/** All in µs. */
export interface TimePolicy {
  disorderUs: number
  futureUs: number
  pastUs: number
  allowedLatenessUs: number
  idleTimeoutUs: number
  alertStalenessUs: number
}

/** z-score against mean and sample deviation of the n accepted readings before the current one. */
export interface Detector {
  id: string
  /** Device type, or undefined for every type. */
  type: string | undefined
  metric: string
  kind: 'zscore'
  n: number
  threshold: number
}

export interface Rule {
  id: string
  version: number
  type: string | undefined
  /** Only this device, when set. */
  deviceId: string | undefined
  when: string
  /** The condition must hold this long, in ingest time; 0 fires at once. */
  forUs: number
  severity: string
  /** Metric names in the order of the program's variables. */
  metrics: string[]
  /**
   * The kinds that the condition takes `metrics` for, in the same order: a series of another kind
   * (type generic has no schema) is none of its variables.
   */
  metricKinds: ValueKind[]
  program: Program
}

/**
 * A rule's condition as a stack program over the message's metrics. Each instruction is
 * `[operation, operand?]`; `run` in `program.ts` interprets it, and so does Flink's operator.
 * Booleans are 0 and 1. `metric` pushes the value of variable `operand`, `text` a text constant's
 * index in `texts`.
 */
export type Instruction =
  | ['constant', number]
  | ['text', number]
  | ['metric', number]
  | ['add' | 'subtract' | 'multiply' | 'divide' | 'modulo' | 'negate']
  | ['less' | 'less-or-equal' | 'greater' | 'greater-or-equal' | 'equal' | 'not-equal']
  | ['not' | 'and' | 'or']
  | ['select']

export interface Program {
  instructions: Instruction[]
  /** Text constants; compared with text metrics. */
  texts: string[]
  stackDepthMax: number
  /**
   * Set when the whole condition is one comparison of one number metric with a constant, so the hot
   * path needs no interpreter.
   */
  threshold:
    | { comparison: 'less' | 'less-or-equal' | 'greater' | 'greater-or-equal'; value: number }
    | undefined
}

export type { RuleDefinition } from './definition.ts'
export { run } from './program.ts'
