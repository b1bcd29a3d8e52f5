/**
 * The pipeline's plan: what a definition (YAML or object) compiles to. Engines interpret a plan and
 * never see YAML or CEL. The embedded engine's operators are its first back end. Plain data: it is
 * passed between threads by structured clone.
 */
import type { DeviceFacts, ValueKind } from '../batch/batch.ts'
import type { Schedule } from '../schedule/schedule.ts'
import type { RuleDefinition } from './rule-definition.ts'

export interface Plan {
  version: 1
  /** SHA-256 (hex, 16 digits) of the canonical definition. */
  fingerprint: string
  types: Record<string, DeviceType>
  time: TimePolicy
  /** Tumbling window sizes in ms, ascending; the first divides all others. */
  windowsMs: number[]
  detectors: Detector[]
  retention: Retention
  rules: Rule[]
  /** The same rules as they are written, which people see. */
  ruleDefinitions: RuleDefinition[]
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

/**
 * Ages in µs, ascending: readings are hot up to the first (with windows beside them), on this disk
 * up to the second, in the object store up to the third, and then no more.
 */
export interface RetentionAges {
  hotUs: number
  warmUs: number
  coldUs: number
}

export interface Retention extends RetentionAges {
  /** Nothing is deleted for its age before somebody has confirmed that it was exported. */
  isExportedFirst: boolean
  /** The first that fits a series has its ages; what is undefined fits any. */
  only: (RetentionAges & {
    tenant: string | undefined
    type: string | undefined
    metric: string | undefined
  })[]
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

/** Plain data that survives JSON: it goes through the log, and to other engines. */
export interface Rule {
  id: string
  version: number
  type: string | undefined
  /** Only these devices, when set: ascending, each once. */
  deviceIds: string[] | undefined
  /** Only devices that have all of these tags. */
  tags: Record<string, string>
  /** What decides: each reading, a window's partial, or that nothing is heard. */
  on: 'readings' | 'window' | 'silence'
  /** As written: `temperature > 80`, `silent for 30 s`. */
  when: string
  /** What the programs' variables stand for; of silence, none. */
  variables: Variable[]
  program: Program
  /** What fires resolves only when this holds; without, when `program` does not. */
  clear: Program | undefined
  /** One of the plan's window sizes; 0 on readings and silence. */
  windowMs: number
  /** Decided on the running window, too. */
  isEarly: boolean
  /** Silence: nothing said for so long; else 0. */
  silentUs: number
  /** The condition must hold this long, in ingest time; 0 fires at once. */
  forUs: number
  /** It must have ended for so long, in ingest time; 0 resolves at once. */
  keepUs: number
  /** It must have held on `count` evaluations within this time. */
  repeat: { count: number; withinUs: number } | undefined
  schedule: Schedule | undefined
  severity: string
  /** Ids of recipients; without, those who want to hear of it. */
  notify: string[] | undefined
  summary: string | undefined
  /** So many alerts are thought to be bearable. The stream takes no notice. */
  budget: { alerts: number; perUs: number } | undefined
}

export type Aggregate =
  | 'avg'
  | 'min'
  | 'max'
  | 'sum'
  | 'count'
  | 'stddev'
  | 'first'
  | 'last'
  | 'rate'

export type Variable = MetricVariable | DeviceVariable

/** A value that comes of readings: on readings the latest, …; of a window, an aggregate. */
export interface MetricVariable {
  of: 'latest' | 'previous' | 'delta' | Aggregate
  /** As people write it: `temperature`, `rate(temperature)`. */
  label: string
  metric: string
  /** A series of another kind (type generic has no schema) is none of its. */
  kind: ValueKind
  /** Empty where none is known. */
  unit: string
}

/** What the registry says of the device. */
export interface DeviceVariable {
  of: 'device'
  label: string
  field: 'id' | 'type' | 'location' | 'tag'
  /** The tag's name; empty for the others. */
  tag: string
  /** As a text, or what the text says as a number. */
  kind: 'text' | 'number'
}

/**
 * A rule's condition as a stack program over its variables. Each instruction is `[operation,
 * operand?]`; `run` in `program.ts` interprets it, and so does Flink's operator. Booleans are 0 and
 * 1. `metric` pushes the value of variable `operand`, `text` a text constant's index in `texts`.
 */
export type Instruction =
  | ['constant', number]
  | ['text', number]
  | ['metric', number]
  | ['add' | 'subtract' | 'multiply' | 'divide' | 'modulo' | 'negate' | 'absolute']
  | ['less' | 'less-or-equal' | 'greater' | 'greater-or-equal' | 'equal' | 'not-equal']
  | ['not' | 'and' | 'or']
  | ['select']

export interface Program {
  instructions: Instruction[]
  /** Text constants; compared with text metrics. */
  texts: string[]
  stackDepthMax: number
  /** The whole condition as one comparison of a number with a constant, if it is that. */
  threshold: Threshold | undefined
  /** Comparisons without all of which the condition cannot hold. */
  guards: Threshold[]
}

/** A comparison of one variable with a constant, the variable on the left. */
export interface Threshold {
  variable: number
  comparison: 'less' | 'less-or-equal' | 'greater' | 'greater-or-equal'
  value: number
}

/** A test of rules: what one device says, and what the rules are to say of it. All times µs. */
export interface RuleTest {
  name: string
  /** Where it stands in the definition. */
  path: readonly (string | number)[]
  device: DeviceFacts
  startUs: number
  /** In the order of their times; those of one time are one message. */
  readings: { timeUs: number; metric: string; kind: ValueKind; value: number | boolean | string }[]
  /** Up to then the clock goes on. */
  endUs: number
  /** What others say does not matter; without, all do. */
  rules: string[] | undefined
  /** `atUs` from the start. */
  expected: { atUs: number; ruleId: string; state: 'firing' | 'resolved' }[]
}

/** The names of the metrics that a rule looks at, each once. */
export const metricsOf = ({ variables }: Rule): string[] => [
  ...new Set(variables.flatMap((one) => (one.of === 'device' ? [] : [one.metric]))),
]

export { RuleDefinition } from './rule-definition.ts'
export { keptUs, retentionOf } from './retention.ts'
export { isRule } from './rule-shape.ts'
export { run } from './program.ts'
