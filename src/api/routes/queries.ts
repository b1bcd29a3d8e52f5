/** What is stored: readings, windows, rule events, anomalies, dead letters. */
import { Type } from 'typebox'
import type { EventsFilter } from '../../query/query.ts'
import type { ConsolePorts, QueryPorts } from '../api.ts'
import { Meta, withMeta } from '../completeness.ts'
import { jsonAnswer, jsonRoute, type Route } from '../route.ts'
import type { Services } from '../services.ts'
import { DeviceId, Limit, Milliseconds } from '../shapes.ts'
import { requireDevice } from './devices.ts'
import { fleetRoute } from './fleet.ts'
import { readingsRoute } from './readings.ts'
import { windowsRoute } from './windows.ts'

const TAG = 'queries'

export function queryRoutes(services: Services<ConsolePorts>): Route[] {
  const { ports } = services
  return [
    ...[readingsRoute(services), windowsRoute(services), fleetRoute(services)],
    ...[anomaliesRoute(ports), deadLettersRoute(ports)],
  ]
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
