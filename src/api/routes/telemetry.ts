/** The doors for readings: JSON, and line protocol as InfluxDB's clients speak it. */
import { Type } from 'typebox'
import type { Principal } from '../../control/control.ts'
import { ERRORS, WeirError, type ErrorCode } from '../../errors/errors.ts'
import type { IngestRequest, IngestResult } from '../../gateway/gateway.ts'
import type { RouteKey } from '../access.ts'
import { jsonAnswer, rawRoute, type Answer, type Route } from '../route.ts'
import type { DoorPorts } from '../api.ts'
import type { Services } from '../services.ts'
import { Rejected, Value } from '../shapes.ts'
import { requireDevice } from './devices.ts'

const TAG = 'telemetry'

const Message = Type.Object(
  {
    ts: Type.Optional(
      Type.Union([Type.Number(), Type.String()], {
        description: 'Milliseconds since 1970 or RFC 3339; without it, the time of arrival.',
      }),
    ),
    id: Type.Optional(Type.String({ description: 'Recognises a repeat of the whole message.' })),
    device: Type.Optional(Type.String({ description: 'For gateway and admin keys.' })),
    schema: Type.Optional(Type.String({ description: 'type@version; else the newest active.' })),
    metrics: Type.Optional(Type.Record(Type.String(), Value)),
    tags: Type.Optional(Type.Record(Type.String(), Type.String())),
  },
  { description: 'With `metrics`, or flat: every other key is a metric.' },
)

const Messages = Type.Union([Message, Type.Array(Message)])

const Historical = Type.Optional(
  Type.Boolean({
    description:
      'Any past is believed; no watermark, rule or detector sees the readings. Admin and gateway keys.',
  }),
)

/** What the gateway may throw for a request as a whole. */
const DOOR_PROBLEMS: ErrorCode[] = [
  'GATEWAY_OVERLOADED',
  'GATEWAY_SHUTTING_DOWN',
  'LOG_DISK_FULL',
  'LOG_FLUSH_FAILED',
]

export function telemetryRoutes(services: Services<DoorPorts>): Route[] {
  return [
    telemetryRoute(services, 'POST /v1/telemetry'),
    telemetryRoute(services, 'POST /v1/devices/{id}/telemetry'),
    lineRoute(services, 'POST /api/v2/write'),
    lineRoute(services, 'POST /write'),
  ]
}

function telemetryRoute({ ports }: Services<DoorPorts>, key: RouteKey): Route {
  const hasPathDevice = key.includes('{id}')
  return rawRoute({
    key,
    summary: hasPathDevice ? 'Send readings of one device' : 'Send readings',
    description: 'Answered once everything accepted, and every dead letter, is on disk.',
    tag: TAG,
    query: Type.Object({ historical: Historical }),
    body: { kind: 'raw', mediaTypes: ['application/json', 'text/plain'], schema: Messages },
    answers: {
      200: jsonAnswer('All are durable.', Type.Object({ accepted: Type.Integer() })),
      207: jsonAnswer('Some were refused, and are dead letters.', PartlyAccepted),
    },
    problems: [
      ...DOOR_PROBLEMS,
      'TELEMETRY_JSON_INVALID',
      ...(hasPathDevice ? (['API_NOT_FOUND'] as const) : []),
    ],
    async handle({ body, query, id, tenant, principal }) {
      if (hasPathDevice) await requireDevice(ports, tenant, id)
      const result = await ports.telemetry.ingest({
        format: 'json',
        body,
        principal: requireWriter(principal),
        deviceId: hasPathDevice ? id : undefined,
        isHistorical: query.historical ?? false,
        precision: 'ms',
      })
      return telemetryAnswer(result)
    },
  })
}

const PartlyAccepted = Type.Object({
  accepted: Type.Integer(),
  rejected: Rejected,
  rejected_count: Type.Optional(
    Type.Integer({ description: 'When more were refused than are listed.' }),
  ),
})

/** The access table lets nobody reach a door without a credential; the compiler cannot know. */
function requireWriter(principal: Principal | undefined): Principal {
  if (principal === undefined) throw new WeirError('API_UNAUTHORIZED')
  return principal
}

/** 200, 207, or 422 with the list as an extension member of the problem. */
function telemetryAnswer({ accepted, rejected, rejectedCount }: IngestResult): Answer {
  if (rejectedCount === 0) return { status: 200, json: { accepted } }
  const uncounted = rejectedCount > rejected.length ? { rejected_count: rejectedCount } : {}
  const summary = { accepted, rejected, ...uncounted }
  if (accepted > 0) return { status: 207, json: summary }
  const { code = 'TELEMETRY_SHAPE_INVALID', detail = '' } = rejected[0] ?? {}
  const many = rejectedCount === 1 ? '' : `none of ${rejectedCount} messages is valid; the first: `
  // The first message's code, so that one bad message sent alone is told exactly what is wrong.
  throw new WeirError(isErrorCode(code) ? code : 'TELEMETRY_SHAPE_INVALID', many + detail, {
    details: { problem: { status: 422, ...summary } },
  })
}

const isErrorCode = (code: string): code is ErrorCode => Object.hasOwn(ERRORS, code)

type Precision = IngestRequest['precision']

const PRECISIONS = ['ns', 'us', 'ms', 's', 'm', 'h'] as const

/** The spellings of InfluxDB 1.x and 3. */
const PRECISION_ALIASES: Record<string, Precision> = {
  n: 'ns',
  u: 'us',
  µ: 'us',
  nanosecond: 'ns',
  microsecond: 'us',
  millisecond: 'ms',
  second: 's',
}

const ignored = (what: string) =>
  Type.Optional(Type.String({ description: `InfluxDB’s ${what}; accepted and ignored.` }))

const LineQuery = Type.Object({
  precision: Type.Optional(
    Type.Enum([...PRECISIONS, ...Object.keys(PRECISION_ALIASES)], { default: 'ns' }),
  ),
  org: ignored('organisation'),
  orgID: ignored('organisation id'),
  bucket: ignored('bucket'),
  db: ignored('database'),
  rp: ignored('retention policy'),
  consistency: ignored('write consistency'),
  u: Type.Optional(Type.String({ description: 'User name; the password alone decides.' })),
  p: Type.Optional(Type.String({ description: 'Password: the key or token.' })),
  historical: Historical,
})

function lineRoute({ ports }: Services<DoorPorts>, key: RouteKey): Route {
  return rawRoute({
    key,
    summary: 'Send readings as line protocol',
    description:
      'As InfluxDB 1.x and 2.x take it. Bad lines are kept as dead letters, since senders do not ' +
      'retry a batch that was answered with 4xx. The field is the metric; the measurement is a ' +
      'dimension of the series; the device is the first of the tags device_id, host, name, device.',
    tag: TAG,
    query: LineQuery,
    isLineDoor: true,
    body: { kind: 'raw', mediaTypes: ['*/*'], schema: Type.String() },
    answers: {
      204: {
        description: 'Every line is stored or a dead letter.',
        headers: { 'X-Weir-Rejected': 'How many lines are dead letters.' },
      },
    },
    problems: DOOR_PROBLEMS,
    async handle({ body, query, principal }) {
      const { precision = 'ns', historical = false } = query
      const { rejectedCount } = await ports.telemetry.ingest({
        format: 'line',
        body,
        principal: requireWriter(principal),
        deviceId: undefined,
        isHistorical: historical,
        precision: PRECISION_ALIASES[precision] ?? (precision as Precision),
      })
      return { status: 204, headers: { 'x-weir-rejected': String(rejectedCount) } }
    },
  })
}
