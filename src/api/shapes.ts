/** The schemas of what the API answers and of parameters that several routes share. */
import { Type } from 'typebox'
import { DURATION_PATTERN } from '../config/config.ts'
import { DEVICE_ID_PATTERN } from '../control/control.ts'

export const DeviceId = Type.String({ pattern: DEVICE_ID_PATTERN, description: 'A device’s id.' })

export const Metric = Type.String({ minLength: 1, description: 'A metric’s name.' })

export const Value = Type.Union([Type.Number(), Type.Boolean(), Type.String()])

export const Milliseconds = Type.Number({ description: 'Milliseconds since 1970.' })

export const MaybeMilliseconds = Type.Union([Milliseconds, Type.Null()])

/** What MaybeMilliseconds shows of a time in microseconds. */
export const millisecondsOf = (us: number | undefined): number | null =>
  us === undefined ? null : us / 1000

export const Time = Type.String({
  description: 'Milliseconds since 1970, or RFC 3339.',
  examples: ['1767225600000', '2026-01-01T00:00:00Z'],
})

export const Limit = Type.Optional(
  Type.Integer({ minimum: 1, maximum: 1000, default: 100, description: 'How many; newest first.' }),
)

export const Device = Type.Object({
  id: DeviceId,
  type: Type.String(),
  location: Type.Union([Type.String(), Type.Null()]),
  tags: Type.Record(Type.String(), Type.String()),
  parent: Type.Union([Type.String(), Type.Null()], {
    description: 'The gateway that may publish for it.',
  }),
  gateway: Type.Boolean(),
  created_at: Milliseconds,
})

export const Rejected = Type.Array(
  Type.Object({
    index: Type.Integer({ description: 'Place of the message in the body, from 0.' }),
    code: Type.String(),
    detail: Type.String(),
  }),
  { description: 'At most 1,000; each is kept as a dead letter.' },
)

export const Problem = Type.Object(
  {
    type: Type.String({ description: 'urn:weir:error:CODE' }),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String({ description: 'What was wrong this time, naming the place.' }),
    code: Type.String({ description: 'A permanent code of docs/errors.md.' }),
    hint: Type.String({ description: 'What to do.' }),
  },
  { description: 'RFC 9457 problem details.' },
)

export const After = Type.Optional(Type.String({ description: 'The `next` of the page before.' }))

export const PageLimit = Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, default: 100 }))

export const Next = Type.Union([Type.String(), Type.Null()], {
  description: 'Null on the last page.',
})

export const Duration = Type.String({
  pattern: DURATION_PATTERN,
  description: 'Such as 500ms, 30s, 5m, 1h or 8d.',
})

/** A moment in a body. */
export const Moment = Type.Union([Type.Number(), Type.String()], {
  description: 'Milliseconds since 1970, or RFC 3339.',
})

export const Hours = Type.Object(
  {
    from: Type.String({ examples: ['22:00'] }),
    to: Type.String({ examples: ['07:00'] }),
    time_zone: Type.String({ examples: ['Europe/Berlin'] }),
  },
  { additionalProperties: false, description: 'By the clock on the wall of a time zone.' },
)
