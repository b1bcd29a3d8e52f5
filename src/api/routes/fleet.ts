/** The last value of one metric of each device: what a map or a table of a fleet shows. */
import { Type } from 'typebox'
import { suggest } from '../../config/config.ts'
import type { LatestColumns } from '../../query/query.ts'
import type { QueryPorts } from '../api.ts'
import { Meta, withMeta } from '../completeness.ts'
import { invalidParameter } from '../parameters.ts'
import { NOT_MODIFIED, questionAnswer } from '../question-answer.ts'
import { jsonAnswer, jsonRoute, type Route } from '../route.ts'
import type { Services } from '../services.ts'
import { After, DeviceId, Metric, Milliseconds, Next, Value } from '../shapes.ts'
import { typesOf } from './devices.ts'
import { QUESTION_PROBLEMS } from './series-question.ts'

const DEFAULT_LIMIT = 1000
/** A fleet of 10,000 is one answer of 0.6 MB. */
const LIMIT_MAX = 10_000

const FleetQuery = Type.Object({
  metric: Metric,
  type: Type.Optional(Type.String({ minLength: 1, description: 'Devices of this type.' })),
  limit: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: LIMIT_MAX,
      default: DEFAULT_LIMIT,
      description: 'Devices.',
    }),
  ),
  after: After,
})

const Fleet = Type.Object({
  items: Type.Array(Type.Object({ device_id: DeviceId, ts: Milliseconds, value: Value }), {
    description: 'By device id; devices without a value are left out.',
  }),
  next: Next,
  meta: Meta,
})

export function fleetRoute({ ports, gates, limits }: Services<QueryPorts>): Route {
  return jsonRoute({
    key: 'GET /v1/latest',
    summary: 'The latest value of one metric of each device',
    description: 'Of several series of the metric on one device the newest counts.',
    tag: 'queries',
    query: FleetQuery,
    answers: { 200: jsonAnswer('One page.', Fleet), 304: NOT_MODIFIED },
    problems: QUESTION_PROBLEMS,
    async handle({ tenant, request, reply, query }) {
      const { metric, type, limit = DEFAULT_LIMIT, after } = query
      const question = { tenant, metric, deviceType: type, afterDeviceId: after }
      // One more than asked tells whether there is a next page.
      const { rows, meta } = await gates.latest.run({ tenant, reply }, (signal) =>
        withMeta(ports, (query) => query.latestOfMetric({ ...question, limit: limit + 1 }, signal)),
      )
      const count = Math.min(rows.deviceIds.length, limit)
      if (type !== undefined && after === undefined && count === 0) checkType(ports, type)
      const next = rows.deviceIds.length > limit ? (rows.deviceIds[count - 1] ?? null) : null
      const json = { items: itemsOf(rows, count), next, meta }
      return questionAnswer({ json }, { request, limits })
    },
  })
}

/** Nobody may be of a type that the pipeline had once; of one that it never had it is a typo. */
function checkType(ports: QueryPorts, type: string): void {
  const known = typesOf(ports)
  if (known.includes(type)) return
  throw invalidParameter('type', `"${type}" is not defined${suggest(type, known)}`)
}

function itemsOf({ deviceIds, timesMs, values }: LatestColumns, count: number): object[] {
  const items: object[] = []
  for (let at = 0; at < count; at++) {
    items.push({ device_id: deviceIds[at], ts: timesMs[at], value: values[at] })
  }
  return items
}
