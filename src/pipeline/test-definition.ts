/**
 * Tests of rules, beside the rules: what one device sends, and when which rule is to say what. If
 * you add a key, also document it in docs/pipeline.md.
 */
import Type, { type Static } from 'typebox'
import { closed, Duration, Name } from './rule-definition.ts'

const Text = (length: number, expected: string) =>
  Type.String({ pattern: `^[\\s\\S]{1,${length}}$`, expected })

const VALUE = 'a number, true, false or a text'
const Value = Type.Union(
  [Type.Number(), Type.Boolean(), Type.String({ pattern: '^[\\s\\S]{0,256}$' })],
  { expected: VALUE },
)
const Values = Type.Union([Value, Type.Array(Value, { minItems: 1, maxItems: 10_000 })], {
  expected: `${VALUE}, or a list of such to be sent in turn`,
})

/** Metrics stand beside these keys, so one of such a name cannot be sent. */
const ReadingsDefinition = Type.Object(
  {
    at: Duration,
    every: Type.Optional(Duration),
    times: Type.Optional(Type.Integer({ minimum: 1, maximum: 100_000 })),
  },
  {
    ...closed,
    patternProperties: { '^[^\\x00-\\x1f\\x7f]{1,128}$': Values },
    expected: 'readings such as { at: 10s, temperature: 81 }',
  },
)

const ExpectedDefinition = Type.Object(
  { at: Duration, rule: Name, state: Type.Enum(['firing', 'resolved']) },
  { ...closed, expected: 'an event such as { at: 40s, rule: hot, state: firing }' },
)

export const TestDefinition = Type.Object(
  {
    name: Text(200, 'what the test is about, in 1 to 200 characters'),
    device: Type.Optional(
      Type.Object(
        {
          id: Type.Optional(Text(128, 'a device id')),
          type: Type.Optional(Name),
          location: Type.Optional(Text(256, 'a location')),
          tags: Type.Optional(
            Type.Record(Type.String({ pattern: '^.{1,128}$' }), Text(256, 'a tag’s value'), {
              ...closed,
              maxProperties: 16,
              expected: 'a map of at most 16 tags and their values',
            }),
          ),
        },
        closed,
      ),
    ),
    start: Type.Optional(
      Type.String({
        pattern: '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d(:\\d\\d)?(Z|[+-]\\d\\d:\\d\\d)$',
        expected: 'a time such as 2026-01-05T08:00:00Z',
      }),
    ),
    until: Type.Optional(Duration),
    rules: Type.Optional(Type.Array(Name, { minItems: 1, maxItems: 100 })),
    readings: Type.Array(ReadingsDefinition, { maxItems: 1_000 }),
    expect: Type.Array(ExpectedDefinition, { maxItems: 1_000 }),
  },
  { ...closed, expected: 'a test: a map with name, readings and expect' },
)

export type TestDefinition = Static<typeof TestDefinition>
export type TestValue = Static<typeof Value>
/** TypeBox knows nothing of the metrics. */
export type ReadingsDefinition = Static<typeof ReadingsDefinition> & {
  [metric: string]: TestValue | TestValue[] | undefined
}
