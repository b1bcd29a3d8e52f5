/** Health, metrics, the OpenAPI document, and what InfluxDB's clients ask before they write. */
import { Type } from 'typebox'
import { WeirError } from '../../errors/errors.ts'
import { METRICS_CONTENT_TYPE, renderMetrics } from '../../observe/observe.ts'
import { createDocument } from '../openapi.ts'
import { jsonAnswer, jsonRoute, rawRoute, type Answer, type Route } from '../route.ts'
import type { Services } from '../services.ts'

const TAG = 'system'

export function systemRoutes(services: Services): Route[] {
  return [
    metricsRoute(services),
    healthRoute(),
    readyRoute(services),
    pingRoute('GET /ping'),
    pingRoute('GET /api/v2/ping'),
    influxQueryRoute(),
  ]
}

function metricsRoute({ ports, registry }: Services): Route {
  return jsonRoute({
    key: 'GET /metrics',
    summary: 'All metrics in Prometheus’ text format',
    description: 'Without a key from this machine only.',
    tag: TAG,
    answers: {
      200: {
        description: 'Metrics.',
        content: { mediaType: METRICS_CONTENT_TYPE, schema: Type.String() },
      },
    },
    async handle() {
      const samples = [...(await ports.metrics()), ...registry.samples()]
      return {
        status: 200,
        text: { mediaType: METRICS_CONTENT_TYPE, text: renderMetrics(samples) },
      }
    },
  })
}

/** The server answers, whatever else may be wrong: restart it when this does not come. */
function healthRoute(): Route {
  return jsonRoute({
    key: 'GET /health',
    summary: 'Whether the process lives',
    tag: TAG,
    answers: {
      200: jsonAnswer(
        'It does.',
        Type.Object({ status: Type.Literal('pass'), name: Type.Literal('weir') }),
      ),
    },
    handle: () => ({ status: 200, json: { status: 'pass', name: 'weir' } }),
  })
}

function readyRoute({ ports }: Services): Route {
  return jsonRoute({
    key: 'GET /ready',
    summary: 'Whether it takes readings and answers queries',
    tag: TAG,
    answers: { 200: jsonAnswer('It does.', Type.Object({ status: Type.Literal('ready') })) },
    problems: ['API_NOT_READY'],
    handle() {
      const missing = ports.unready()
      if (missing.length > 0) throw new WeirError('API_NOT_READY', missing.join('; '))
      return { status: 200, json: { status: 'ready' } }
    },
  })
}

/** The version that InfluxDB's clients look for: the oldest whose write doors these are. */
const INFLUX_VERSION = { 'x-influxdb-version': '2.0.0-weir' }

function pingRoute(key: 'GET /ping' | 'GET /api/v2/ping'): Route {
  return jsonRoute({
    key,
    summary: 'Whether InfluxDB’s clients may write here',
    tag: TAG,
    query: Type.Object({ verbose: Type.Optional(Type.Boolean()) }),
    answers: {
      204: { description: 'They may.', headers: { 'X-Influxdb-Version': 'Fixed.' } },
    },
    handle: () => ({ status: 204, headers: INFLUX_VERSION }),
  })
}

/** Telegraf's `influxdb` output creates its database before the first write. */
function influxQueryRoute(): Route {
  return rawRoute({
    key: 'POST /query',
    summary: 'CREATE DATABASE of InfluxDB 1.x’s clients',
    description: 'Any name is taken and ignored. No other statement is understood.',
    tag: TAG,
    isLineDoor: true,
    query: Type.Object({
      q: Type.Optional(Type.String()),
      db: Type.Optional(Type.String()),
      u: Type.Optional(Type.String()),
      p: Type.Optional(Type.String()),
    }),
    body: {
      kind: 'raw',
      mediaTypes: ['application/x-www-form-urlencoded'],
      schema: Type.Object({ q: Type.Optional(Type.String()) }),
    },
    answers: {
      200: {
        ...jsonAnswer(
          'Nothing had to be done.',
          Type.Object({ results: Type.Array(Type.Object({ statement_id: Type.Integer() })) }),
        ),
        headers: { 'X-Influxdb-Version': 'Fixed.' },
      },
    },
    handle({ query, body }) {
      const form = new URLSearchParams(Buffer.from(body).toString('utf8'))
      const statement = query.q ?? form.get('q') ?? ''
      if (!/^\s*create\s+database\b/i.test(statement)) {
        throw new WeirError(
          'API_PARAMETER_INVALID',
          'q: only CREATE DATABASE is understood; readings are asked with GET /v1/query',
        )
      }
      return { status: 200, headers: INFLUX_VERSION, json: { results: [{ statement_id: 0 }] } }
    },
  })
}

const encode = (document: object): NonNullable<Answer['text']> => ({
  mediaType: 'application/json; charset=utf-8',
  text: Buffer.from(JSON.stringify(document)),
})

/** Last, since the document describes all routes, this one too. */
export function documentRoute(routes: readonly Route[]): Route {
  const route: Route = jsonRoute({
    key: 'GET /openapi.json',
    summary: 'This API as OpenAPI 3.1',
    tag: TAG,
    answers: { 200: jsonAnswer('The document.', Type.Object({ openapi: Type.String() })) },
    handle: () => ({ status: 200, text: (answer ??= encode(createDocument([...routes, route]))) }),
  })
  // The same bytes for all: whoever asks for many and takes none holds no memory.
  let answer: Answer['text']
  return route
}
