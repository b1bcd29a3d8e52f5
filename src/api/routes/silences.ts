/** When nobody is told: silences and maintenance windows. */
import { Type, type Static } from 'typebox'
import type { Kept, Silence as KeptSilence } from '../../alerts/alerts.ts'
import { WeirError } from '../../errors/errors.ts'
import type { AlertPorts } from '../api.ts'
import { create } from '../created.ts'
import { hoursJson, hoursOf } from '../hours.ts'
import { ETAG_HEADER, expectedOf, keptAnswer, pageOf, withCurrent } from '../revisions.ts'
import { jsonAnswer, jsonRoute, type Route } from '../route.ts'
import type { Services } from '../services.ts'
import { After, DeviceId, Duration, Hours, Milliseconds, Moment } from '../shapes.ts'
import { Next, PageLimit } from '../shapes.ts'
import { parseTime } from '../times.ts'
import { untilUsOf } from './alerts.ts'

const TAG = 'silences'

const MATCHES = {
  device_id: Type.Optional(DeviceId),
  rule_id: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
  severity: Type.Optional(Type.String({ minLength: 1, maxLength: 32 })),
  hours: Type.Optional(Hours),
  days: Type.Optional(Type.Array(Type.Integer(), { description: '1 is Monday; with hours.' })),
}

const READ_ONLY_KEYS = { id: Type.String(), revision: Type.Integer(), updated_at: Milliseconds }

const Silence = Type.Object({
  ...READ_ONLY_KEYS,
  comment: Type.String(),
  ...MATCHES,
  from: Milliseconds,
  until: Milliseconds,
})

const SilenceBody = Type.Object(
  {
    ...Type.Partial(Type.Object(READ_ONLY_KEYS)).properties,
    comment: Type.Optional(Type.String()),
    ...MATCHES,
    from: Type.Optional(Moment),
    until: Type.Optional(Moment),
    for: Type.Optional(Duration),
  },
  {
    additionalProperties: false,
    description: 'From now on unless `from` says otherwise, `for` so long or `until` then.',
  },
)

const silenceJson = ({ id, revision, updatedAtUs, value }: Kept<KeptSilence>) => ({
  ...{ id, revision, updated_at: updatedAtUs / 1000, comment: value.comment },
  ...(value.deviceId !== undefined && { device_id: value.deviceId }),
  ...(value.ruleId !== undefined && { rule_id: value.ruleId }),
  ...(value.severity !== undefined && { severity: value.severity }),
  ...(value.hours !== undefined && { hours: hoursJson(value.hours) }),
  ...(value.days !== undefined && { days: value.days }),
  ...{ from: value.fromUs / 1000, until: value.untilUs / 1000 },
})

function silenceOf(body: Static<typeof SilenceBody>, nowUs: number): KeptSilence {
  const fromUs = body.from === undefined ? nowUs : parseTime(String(body.from), 'from')
  return {
    comment: body.comment ?? '',
    ...(body.device_id !== undefined && { deviceId: body.device_id }),
    ...(body.rule_id !== undefined && { ruleId: body.rule_id }),
    ...(body.severity !== undefined && { severity: body.severity }),
    ...(body.hours !== undefined && { hours: hoursOf(body.hours) }),
    ...(body.days !== undefined && { days: body.days }),
    ...{ fromUs, untilUs: untilUsOf(body, fromUs) },
  }
}

const PROBLEMS = [
  ...(['ALERT_SILENCE_INVALID', 'CONTROL_DEFINITIONS_EXCEEDED', 'CONTROL_REVISION_STALE'] as const),
  ...(['CONTROL_WRITE_FAILED', 'CONTROL_UNAVAILABLE'] as const),
]

export function silenceRoutes({ ports }: Services<AlertPorts>): Route[] {
  return [...listRoutes(ports), ...writingRoutes(ports)]
}

const unknown = (id: string): WeirError =>
  new WeirError('API_NOT_FOUND', `there is no silence "${id}"`)

function listRoutes({ alerts: { silences } }: AlertPorts): Route[] {
  const list = jsonRoute({
    key: 'GET /v1/silences',
    summary: 'List silences by id',
    tag: TAG,
    query: Type.Object({ after: After, limit: PageLimit }),
    answers: {
      200: jsonAnswer('One page.', Type.Object({ silences: Type.Array(Silence), next: Next })),
    },
    problems: ['CONTROL_UNAVAILABLE'],
    async handle({ tenant, query: { after, limit = 100 } }) {
      const found = await silences.list(tenant, { ...(after && { after }), limit: limit + 1 })
      const { items, next } = pageOf(found, limit)
      return { status: 200, json: { silences: items.map(silenceJson), next } }
    },
  })
  const get = jsonRoute({
    key: 'GET /v1/silences/{id}',
    summary: 'One silence',
    tag: TAG,
    answers: { 200: { ...jsonAnswer('The silence.', Silence), headers: ETAG_HEADER } },
    problems: ['API_NOT_FOUND', 'CONTROL_UNAVAILABLE'],
    async handle({ tenant, id }) {
      const kept = await silences.find(tenant, id)
      if (kept === undefined) throw unknown(id)
      return keptAnswer(kept, { status: 200, json: silenceJson(kept) })
    },
  })
  return [list, get]
}

function writingRoutes({ alerts: { silences }, clock }: AlertPorts): Route[] {
  const post = jsonRoute({
    key: 'POST /v1/silences',
    summary: 'Tell nobody of alerts that match',
    description: 'They are recorded all the same. What is left out matches all.',
    tag: TAG,
    body: SilenceBody,
    answers: {
      201: {
        ...jsonAnswer('The silence.', Silence),
        headers: { ...ETAG_HEADER, Location: 'Its path.' },
      },
    },
    problems: PROBLEMS,
    async handle({ tenant, body }) {
      const value = silenceOf(body, clock.nowUs())
      const kept = await create(silences, { tenant, value, nowUs: clock.nowUs() })
      const headers = { location: `/v1/silences/${kept.id}` }
      return keptAnswer(kept, { status: 201, headers, json: silenceJson(kept) })
    },
  })
  const put = jsonRoute({
    ...{ key: 'PUT /v1/silences/{id}', summary: 'Change a silence', tag: TAG, body: SilenceBody },
    description: '`If-Match` and `If-None-Match: *` as for rules.',
    answers: { 200: { ...jsonAnswer('The silence.', Silence), headers: ETAG_HEADER } },
    problems: PROBLEMS,
    async handle({ tenant, id, body, request }) {
      const value = silenceOf(body, clock.nowUs())
      const expected = await expectedOf(request, () => silences.find(tenant, id))
      const kept = await withCurrent(silenceJson, () => silences.put(tenant, id, value, expected))
      return keptAnswer(kept, { status: 200, json: silenceJson(kept) })
    },
  })
  const remove = jsonRoute({
    key: 'DELETE /v1/silences/{id}',
    summary: 'End a silence',
    tag: TAG,
    answers: { 204: { description: 'It is gone.' } },
    problems: ['API_NOT_FOUND', ...PROBLEMS],
    async handle({ tenant, id, request }) {
      const expected = await expectedOf(request, () => silences.find(tenant, id))
      const isGone = await withCurrent(silenceJson, () => silences.remove(tenant, id, expected))
      if (!isGone) throw unknown(id)
      return { status: 204 }
    },
  })
  return [post, put, remove]
}
