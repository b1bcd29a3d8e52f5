/** What a person deals with: alerts, and what is done about them. */
import { Type, type Static } from 'typebox'
import type { AlertAction, AlertFilter, AlertRecord, HistoryEntry } from '../../alerts/alerts.ts'
import { WeirError } from '../../errors/errors.ts'
import { Alert, alertJson } from '../alert-json.ts'
import { deviceRule } from '../device-rules.ts'
import type { AlertPorts } from '../api.ts'
import { Meta, withMeta } from '../completeness.ts'
import { ETAG_HEADER, keptAnswer } from '../revisions.ts'
import { jsonAnswer, jsonRoute, type Call, type Route } from '../route.ts'
import type { Services } from '../services.ts'
import { DeviceId, Duration, Limit, Milliseconds, Moment } from '../shapes.ts'
import { durationUsOf, parseTime } from '../times.ts'
import { Delivery, deliveryJson } from './deliveries.ts'
import { requireDevice } from './devices.ts'
import { DeviceRuleBody, Rule, RULE_PROBLEMS, ruleJson } from './rules.ts'

const TAG = 'alerts'
/** Of one alert, with it. */
const DELIVERIES_SHOWN = 100

const HistoryItem = Type.Object({
  at: Milliseconds,
  what: Type.String({
    description:
      'fired, reopened, resolved, flapping, escalated, acknowledge, snooze, wake or note.',
  }),
  by: Type.Optional(Type.String()),
  text: Type.Optional(Type.String()),
  episode_id: Type.Optional(Type.String()),
})

const historyJson = ({ atUs, what, by, text, episodeId }: HistoryEntry) => ({
  ...{ at: atUs / 1000, what },
  ...(by !== undefined && { by }),
  ...(text !== undefined && { text }),
  ...(episodeId !== undefined && { episode_id: episodeId }),
})

export function alertRoutes({ ports }: Services<AlertPorts>): Route[] {
  return [listRoute(ports), createRoute(ports), getRoute(ports), ...actionRoutes(ports)]
}

function listRoute(ports: AlertPorts): Route {
  const answer = Type.Object({
    alerts: Type.Array(Alert),
    next: Type.Union([Type.String(), Type.Null()], {
      description: 'What `cursor` is for the next page; null on the last one.',
    }),
    meta: Meta,
  })
  return jsonRoute({
    key: 'GET /v1/alerts',
    summary: 'Alerts, newest first',
    description:
      'An alert is one or more episodes of a rule on a device that follow each other closely. A ' +
      'page is longer than `limit` where its last alerts are of one moment.',
    tag: TAG,
    query: Type.Object({
      device_id: Type.Optional(DeviceId),
      rule_id: Type.Optional(Type.String()),
      state: Type.Optional(Type.Enum(['firing', 'resolved'])),
      severity: Type.Optional(Type.String()),
      cursor: Type.Optional(Type.String({ description: '`next` of the page before.' })),
      limit: Limit,
    }),
    answers: { 200: jsonAnswer('Alerts.', answer) },
    problems: ['API_NOT_FOUND', 'QUERY_FAILED', 'CONTROL_UNAVAILABLE'],
    async handle({ tenant, query }) {
      const { device_id: deviceId, rule_id: ruleId, state, severity, limit = 100 } = query
      if (deviceId !== undefined) await requireDevice(ports, tenant, deviceId)
      const filter: AlertFilter = {
        ...(deviceId !== undefined && { deviceId }),
        ...(ruleId !== undefined && { ruleId }),
        ...(state !== undefined && { state }),
        ...(severity !== undefined && { severity }),
        ...(query.cursor !== undefined && { after: placeOf(query.cursor) }),
        limit: limit + 1,
      }
      const { rows, meta } = await withMeta(ports, () => ports.alerts.list(tenant, filter))
      const { shown, next } = cutPage(rows, limit)
      return { status: 200, json: { alerts: shown.map(alertJson), next, meta } }
    },
  })
}

function cutPage(
  found: readonly AlertRecord[],
  limit: number,
): { shown: readonly AlertRecord[]; next: string | null } {
  const shown = found.slice(0, limit)
  const last = shown.at(-1)
  const isLast = last === undefined || found.length <= limit
  return { shown, next: isLast ? null : `${last.triggeredAtUs}-${last.id}` }
}

function placeOf(cursor: string): NonNullable<AlertFilter['after']> {
  const [, time, id] = /^(\d{1,16})-(.{1,200})$/.exec(cursor) ?? []
  if (time !== undefined && id !== undefined) return { triggeredAtUs: Number(time), id }
  throw new WeirError('API_PARAMETER_INVALID', 'cursor: found no `next` of a page before')
}

function createRoute(ports: AlertPorts): Route {
  return jsonRoute({
    key: 'POST /v1/alerts',
    summary: 'Alert when a condition holds on a device',
    description:
      'Makes a rule for the device; with an id of another device’s rule that says the same, and with ' +
      'the id alone, the device is added to it. The same request twice makes one rule.',
    tag: TAG,
    body: Type.Object(
      { device_id: DeviceId, rule: DeviceRuleBody },
      { additionalProperties: false },
    ),
    answers: {
      201: {
        ...jsonAnswer('The rule.', Rule),
        headers: { ...ETAG_HEADER, Location: 'The rule’s path.' },
      },
    },
    problems: ['API_NOT_FOUND', 'RULE_EXISTS', ...RULE_PROBLEMS],
    async handle({ tenant, body }) {
      await requireDevice(ports, tenant, body.device_id)
      const kept = await deviceRule(ports.alerts.rules, {
        ...{ tenant, deviceId: body.device_id, rule: body.rule },
      })
      const headers = { location: `/v1/rules/${kept.id}` }
      return keptAnswer(kept, { status: 201, headers, json: ruleJson(kept) })
    },
  })
}

const AlertWithHistory = Type.Object({
  ...Alert.properties,
  history: Type.Array(HistoryItem),
  deliveries: Type.Array(Delivery, { description: `The newest ${DELIVERIES_SHOWN}.` }),
})

function getRoute({ alerts }: AlertPorts): Route {
  return jsonRoute({
    key: 'GET /v1/alerts/{id}',
    summary: 'One alert, with what happened and who was told',
    tag: TAG,
    answers: { 200: jsonAnswer('The alert.', AlertWithHistory) },
    problems: ['ALERT_UNKNOWN', 'CONTROL_UNAVAILABLE'],
    async handle({ tenant, id }) {
      const alert = await alerts.find(tenant, id)
      if (alert === undefined) throw new WeirError('ALERT_UNKNOWN', `there is no alert "${id}"`)
      const [history, deliveries] = await Promise.all([
        alerts.history(tenant, id),
        alerts.deliveries(tenant, { alertId: id, limit: DELIVERIES_SHOWN }),
      ])
      const json = { history: history.map(historyJson), deliveries: deliveries.map(deliveryJson) }
      return { status: 200, json: { ...alertJson(alert), ...json } }
    },
  })
}

const By = Type.Optional(
  Type.String({ minLength: 1, maxLength: 128, description: 'Who does it; for the history.' }),
)
const Note = Type.String({ minLength: 1, maxLength: 4000 })

type Verb = 'acknowledge' | 'snooze' | 'wake' | 'notes'

const BODIES = {
  acknowledge: Type.Object({ by: By, note: Type.Optional(Note) }, { additionalProperties: false }),
  snooze: Type.Object(
    { by: By, for: Type.Optional(Duration), until: Type.Optional(Moment) },
    { additionalProperties: false, description: 'Either `for` or `until`.' },
  ),
  wake: Type.Object({ by: By }, { additionalProperties: false }),
  notes: Type.Object({ by: By, text: Note }, { additionalProperties: false }),
} as const

const SUMMARIES: Record<Verb, string> = {
  acknowledge: 'Say that somebody deals with it: nobody else is told',
  snooze: 'Tell nobody of it for a while, unless it becomes graver',
  wake: 'End its snooze',
  notes: 'Add a note to its history',
}

function actionRoutes({ alerts, clock }: AlertPorts): Route[] {
  const act = <V extends Verb>(
    verb: V,
    toAction: (body: Static<(typeof BODIES)[V]>) => AlertAction,
  ): Route =>
    jsonRoute({
      key: `POST /v1/alerts/{id}/${verb}`,
      ...{ summary: SUMMARIES[verb], tag: TAG, body: BODIES[verb] },
      ...(verb === 'acknowledge' || verb === 'wake' ? { isBodyOptional: true as const } : {}),
      answers: { 200: jsonAnswer('The alert as it then is.', Alert) },
      problems: ['ALERT_UNKNOWN', 'CONTROL_WRITE_FAILED', 'CONTROL_UNAVAILABLE'],
      async handle(call) {
        const body = call.body as Static<(typeof BODIES)[V]>
        const by = body.by ?? actorOf(call)
        const alert = await alerts.act(call.tenant, call.id, toAction(body), by)
        return { status: 200, json: alertJson(alert) }
      },
    })
  return [
    act('acknowledge', ({ note }) => ({ do: 'acknowledge', ...(note !== undefined && { note }) })),
    act('snooze', (body) => ({ do: 'snooze', untilUs: untilUsOf(body, clock.nowUs()) })),
    act('wake', () => ({ do: 'wake' })),
    act('notes', ({ text }) => ({ do: 'note', text })),
  ]
}

/** There are no accounts of persons: a session is somebody at the page. */
const actorOf = ({ session }: Call<unknown, unknown>): string =>
  session === undefined ? 'admin' : 'page'

/** Throws API_BODY_INVALID unless one of both says a moment to come. */
export function untilUsOf(
  { for: duration, until }: { for?: string; until?: number | string },
  fromUs: number,
): number {
  if ((duration === undefined) === (until === undefined))
    throw new WeirError('API_BODY_INVALID', 'give either for or until')
  if (duration !== undefined) return fromUs + durationUsOf(duration, 'for')
  const untilUs = parseTime(String(until), 'until')
  if (untilUs > fromUs) return untilUs
  throw new WeirError('API_BODY_INVALID', 'until lies in the past')
}
