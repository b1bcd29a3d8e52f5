/**
 * The pipeline definition as people write it, in YAML or as an object. The schema below is its only
 * description: types, checks and messages come from it. If you add a key, also document it in
 * docs/pipeline.md (its examples are compiled by a test) and carry it into `Plan`.
 */
import Type, { type Static } from 'typebox'
import { closed, Duration, Name, RuleDefinition } from './rule-definition.ts'
import { TestDefinition } from './test-definition.ts'

const METRIC_NAME_PATTERN = '^[^\\x00-\\x1f\\x7f]{1,128}$'
const MetricName = Type.String({
  pattern: METRIC_NAME_PATTERN,
  expected: 'a metric name of 1 to 128 characters',
})

const MetricDefinition = Type.Object(
  {
    type: Type.Optional(Type.Enum(['number', 'boolean', 'text'], { default: 'number' })),
    /** As in UCUM; "1" for a bare count or ratio. Needed for numbers. */
    unit: Type.Optional(Type.String({ pattern: '^.{1,32}$', expected: 'a unit such as "°C"' })),
    min: Type.Optional(Type.Number()),
    max: Type.Optional(Type.Number()),
    required: Type.Optional(Type.Boolean({ default: true })),
    critical: Type.Optional(Type.Boolean({ default: false })),
    values: Type.Optional(Type.Array(Type.String(), { minItems: 1, maxItems: 1_000 })),
  },
  closed,
)

const SchemaDefinition = Type.Record(
  Type.String({ pattern: METRIC_NAME_PATTERN }),
  MetricDefinition,
  {
    ...closed,
    minProperties: 1,
    maxProperties: 1_000,
    expected: 'a map of 1 to 1,000 metric names, each with its unit, type and range',
  },
)

const TypeDefinition = Type.Object(
  {
    dimensions: Type.Optional(
      Type.Array(Type.String({ pattern: '^.{1,128}$', expected: 'a tag name' }), { maxItems: 16 }),
    ),
    timeSource: Type.Optional(Type.Enum(['event', 'ingest'], { default: 'event' })),
    schemas: Type.Optional(
      Type.Record(Type.String({ pattern: '^[1-9]\\d{0,8}$' }), SchemaDefinition, {
        ...closed,
        minProperties: 1,
        maxProperties: 100,
        expected: 'a map of schema versions (1, 2, …), each a map of metrics',
      }),
    ),
    /** Versions that are still accepted; all of them when left out. */
    active: Type.Optional(Type.Array(Type.Integer({ minimum: 1 }), { minItems: 1, maxItems: 100 })),
  },
  closed,
)

const TimeDefinition = Type.Object(
  {
    disorder: Type.Optional(Duration),
    future: Type.Optional(Duration),
    past: Type.Optional(Duration),
    allowedLateness: Type.Optional(Duration),
    idleTimeout: Type.Optional(Duration),
    alertStaleness: Type.Optional(Duration),
  },
  closed,
)

const AGES = {
  hot: Type.Optional(Duration),
  warm: Type.Optional(Duration),
  cold: Type.Optional(Duration),
}

const RetentionDefinition = Type.Object(
  {
    ...AGES,
    export: Type.Optional(Type.Boolean()),
    only: Type.Optional(
      Type.Array(
        Type.Object(
          {
            tenant: Type.Optional(Name),
            type: Type.Optional(Name),
            metric: Type.Optional(MetricName),
            ...AGES,
          },
          closed,
        ),
        { maxItems: 1_000 },
      ),
    ),
  },
  closed,
)

const DetectorDefinition = Type.Object(
  {
    id: Name,
    type: Type.Optional(Name),
    metric: MetricName,
    zscore: Type.Object(
      {
        n: Type.Integer({ minimum: 2, maximum: 1024 }),
        threshold: Type.Number({ exclusiveMinimum: 0 }),
      },
      closed,
    ),
  },
  closed,
)

export const PipelineDefinition = Type.Object(
  {
    version: Type.Literal(1),
    types: Type.Optional(
      Type.Record(Name, TypeDefinition, {
        ...closed,
        maxProperties: 1_000,
        expected: 'a map of device type names (letters, digits, "_", "." and "-")',
      }),
    ),
    time: Type.Optional(TimeDefinition),
    windows: Type.Optional(Type.Array(Duration, { minItems: 1, maxItems: 8 })),
    retention: Type.Optional(RetentionDefinition),
    detectors: Type.Optional(Type.Array(DetectorDefinition, { maxItems: 1_000 })),
    rules: Type.Optional(Type.Array(RuleDefinition, { maxItems: 10_000 })),
    tests: Type.Optional(Type.Array(TestDefinition, { maxItems: 1_000 })),
  },
  { ...closed, expected: 'a pipeline definition: a map with the key version: 1' },
)

export type PipelineDefinition = Static<typeof PipelineDefinition>
export type TypeDefinition = Static<typeof TypeDefinition>
export type SchemaDefinition = Static<typeof SchemaDefinition>
export type MetricDefinition = Static<typeof MetricDefinition>
export type DetectorDefinition = Static<typeof DetectorDefinition>
export type RetentionDefinition = Static<typeof RetentionDefinition>
export type TimeDefinition = Static<typeof TimeDefinition>

/** Gives a definition written in TypeScript its type; `compilePipeline` then checks it. */
export function definePipeline(definition: PipelineDefinition): PipelineDefinition {
  return definition
}
