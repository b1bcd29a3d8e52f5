/**
 * A rule as people write it: in the pipeline definition, and as JSON over the API. If you add a
 * key, also document it in docs/pipeline.md and carry it into `Rule`.
 */
import Type, { type Static } from 'typebox'
import { DURATION_PATTERN } from '../config/config.ts'

export const closed = { additionalProperties: false }

export const Duration = Type.String({
  pattern: DURATION_PATTERN,
  expected: 'a duration such as 500ms, 10s, 5m, 1h or 8d',
})

/** Also part of alert ids, file names and URLs, so kept plain. */
export const Name = Type.String({
  pattern: '^[A-Za-z0-9][A-Za-z0-9_.\\-]{0,63}$',
  expected: 'a name of 1 to 64 letters, digits, "_", "." or "-", beginning with a letter or digit',
})

const DeviceId = Type.String({ pattern: '^.{1,128}$', expected: 'a device id' })
const Condition = Type.String({
  pattern: '^[\\s\\S]{1,2000}$',
  expected: 'a condition such as temperature > 80',
})
const TagName = '^.{1,128}$'
const TagValue = Type.String({ pattern: '^[\\s\\S]{0,256}$', expected: 'a tag’s value' })

export const WEEKDAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const

const ScheduleDefinition = Type.Object(
  {
    days: Type.Optional(Type.Array(Type.Enum([...WEEKDAYS]), { minItems: 1, maxItems: 7 })),
    from: Type.String({ pattern: '^([01]\\d|2[0-3]):[0-5]\\d$', expected: 'a time such as 08:00' }),
    to: Type.String({
      pattern: '^(([01]\\d|2[0-3]):[0-5]\\d|24:00)$',
      expected: 'a time such as 18:00, or 24:00',
    }),
    timeZone: Type.String({ pattern: '^.{1,64}$', expected: 'a time zone such as Europe/Berlin' }),
  },
  closed,
)

export const RuleDefinition = Type.Object(
  {
    id: Name,
    version: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000_000, default: 1 })),
    type: Type.Optional(Name),
    device: Type.Optional(DeviceId),
    devices: Type.Optional(Type.Array(DeviceId, { minItems: 1, maxItems: 1_000 })),
    tags: Type.Optional(
      Type.Record(Type.String({ pattern: TagName }), TagValue, {
        ...closed,
        minProperties: 1,
        maxProperties: 16,
        expected: 'a map of 1 to 16 tags and their values',
      }),
    ),
    when: Type.Optional(Condition),
    clear: Type.Optional(Condition),
    for: Type.Optional(Duration),
    keep: Type.Optional(Duration),
    repeat: Type.Optional(
      Type.Object({ count: Type.Integer({ minimum: 2, maximum: 100 }), within: Duration }, closed),
    ),
    window: Type.Optional(Duration),
    early: Type.Optional(Type.Boolean({ default: false })),
    silent: Type.Optional(
      Type.Object(
        { interval: Duration, count: Type.Integer({ minimum: 1, maximum: 1_000 }) },
        closed,
      ),
    ),
    schedule: Type.Optional(ScheduleDefinition),
    severity: Type.Optional(
      Type.String({
        pattern: '^[a-z][a-z0-9_\\-]{0,31}$',
        expected: 'a severity such as info, warning or critical',
      }),
    ),
    notify: Type.Optional(
      Type.Array(Type.String({ pattern: '^.{1,128}$', expected: 'a recipient’s id' }), {
        minItems: 1,
        maxItems: 100,
      }),
    ),
    summary: Type.Optional(
      Type.String({ pattern: '^[\\s\\S]{1,1000}$', expected: 'a text of 1 to 1,000 characters' }),
    ),
    budget: Type.Optional(
      Type.Object({ alerts: Type.Integer({ minimum: 0 }), per: Duration }, closed),
    ),
  },
  { ...closed, expected: 'a rule: a map with an id, and "when" or "silent"' },
)

export type RuleDefinition = Static<typeof RuleDefinition>
