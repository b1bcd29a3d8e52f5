/** What is stored: readings, windows, rule events, anomalies, dead letters. */
import { Type } from 'typebox'
import { formatDurationUs, parseDurationUs } from '../../config/config.ts'
import type { EventsFilter } from '../../query/query.ts'
import type { ConsolePorts, QueryPorts } from '../api.ts'
import { Meta, withMeta } from '../completeness.ts'
import { invalidParameter } from '../parameters.ts'
import { NOT_MODIFIED, questionAnswer } from '../question-answer.ts'
import { jsonAnswer, jsonRoute, type Route } from '../route.ts'
import type { Services } from '../services.ts'
import { DeviceId, Limit, Metric, Milliseconds, Time } from '../shapes.ts'
import { requireDevice } from './devices.ts'
import { fleetRoute } from './fleet.ts'
import { readingsRoute } from './readings.ts'
import {
  AnswerMeta,
  checkMetric,
  Dimension,
  QUESTION_PROBLEMS,
  seriesQuestion,
} from './series-question.ts'

const TAG = 'queries'

export function queryRoutes(services: Services<ConsolePorts>): Route[] {
  const { ports } = services
  return [
    ...[readingsRoute(services), windowsRoute(services), fleetRoute(services)],
    ...[anomaliesRoute(ports), deadLettersRoute(ports)],
  ]
}

function windowsRoute({ ports, gates, limits }: Services<QueryPorts>): Route {
  return jsonRoute({
    key: 'GET /v1/aggregations',
    summary: 'Tumbling windows of one metric',
    description: 'On-time and late readings merged. Windows without readings are left out.',
    tag: TAG,
    query: Type.Object({
      device_id: DeviceId,
      metric: Metric,
      window: Type.String({ description: 'A window size of the pipeline.', examples: ['1m'] }),
      start: Time,
      end: Time,
      dimension: Dimension,
    }),
    answers: { 200: jsonAnswer('By start.', Windows), 304: NOT_MODIFIED },
    problems: ['API_NOT_FOUND', ...QUESTION_PROBLEMS],
    async handle({ tenant, request, reply, query }) {
      const { type } = await requireDevice(ports, tenant, query.device_id)
      const question = seriesQuestion(tenant, query)
      const windowMs = parseWindow(query.window, ports.plan.windowsMs)
      const answer = await gates.query.run({ tenant, reply }, (signal) =>
        ports.query.windows({ ...question, windowMs }, signal),
      )
      if (answer.windows.length === 0) checkMetric(ports, type, query.metric)
      return questionAnswer({ json: answer }, { request, limits })
    },
  })
}

const Window = Type.Object({
  window_start: Milliseconds,
  count: Type.Integer(),
  avg: Type.Number(),
  min: Type.Number(),
  max: Type.Number(),
  stddev: Type.Union([Type.Number(), Type.Null()], {
    description: 'Of the sample; null for one reading.',
  }),
  first: Type.Number(),
  last: Type.Number(),
})

const Windows = Type.Object({
  windows: Type.Array(Window),
  meta: Type.Object(AnswerMeta),
})

function parseWindow(text: string, windowsMs: number[]): number {
  const ms = (parseDurationUs(text) ?? 0) / 1000
  if (windowsMs.includes(ms)) return ms
  const known = windowsMs.map((size) => formatDurationUs(size * 1000)).join(', ')
  throw invalidParameter('window', `"${text}" is not one of the pipeline’s windows: ${known}`)
}

const EventsQuery = Type.Object({ device_id: Type.Optional(DeviceId), limit: Limit })

const DEFAULT_LIMIT = 100

const toFilter = (tenant: string, query: { device_id?: string; limit?: number }): EventsFilter => ({
  tenant,
  deviceId: query.device_id,
  limit: query.limit ?? DEFAULT_LIMIT,
})

function anomaliesRoute(ports: QueryPorts): Route {
  const Anomaly = Type.Object({
    id: Type.String(),
    device_id: Type.String(),
    metric: Type.String(),
    detector_id: Type.String(),
    ts: Milliseconds,
    value: Type.Number(),
    score: Type.Number(),
  })
  return jsonRoute({
    key: 'GET /v1/anomalies',
    summary: 'Readings that a detector found unusual, newest first',
    tag: TAG,
    query: EventsQuery,
    answers: {
      200: jsonAnswer('Anomalies.', Type.Object({ anomalies: Type.Array(Anomaly), meta: Meta })),
    },
    problems: ['API_NOT_FOUND', 'QUERY_FAILED'],
    async handle({ tenant, query }) {
      if (query.device_id !== undefined) await requireDevice(ports, tenant, query.device_id)
      const filter = toFilter(tenant, query)
      const { rows: anomalies, meta } = await withMeta(ports, (query) => query.anomalies(filter))
      return { status: 200, json: { anomalies, meta } }
    },
  })
}

function deadLettersRoute(ports: QueryPorts): Route {
  const DeadLetter = Type.Object({
    id: Type.String(),
    device_id: Type.String({ description: 'Empty when the message named none.' }),
    received_at: Milliseconds,
    code: Type.String(),
    detail: Type.String(),
    payload: Type.String({ description: 'As it came, cut at 64 KB.' }),
  })
  return jsonRoute({
    key: 'GET /v1/dead-letters',
    summary: 'Messages that were refused, newest first',
    tag: TAG,
    // Any text: a dead letter may name a device that was never registered.
    query: Type.Object({ device_id: Type.Optional(Type.String()), limit: Limit }),
    answers: {
      200: jsonAnswer('Dead letters.', Type.Object({ items: Type.Array(DeadLetter), meta: Meta })),
    },
    problems: ['QUERY_FAILED'],
    async handle({ tenant, query }) {
      const filter = toFilter(tenant, query)
      const { rows: items, meta } = await withMeta(ports, (query) => query.deadLetters(filter))
      return { status: 200, json: { items, meta } }
    },
  })
}
