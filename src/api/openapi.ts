/**
 * The OpenAPI 3.1 document (https://spec.openapis.org/oas/v3.1.0), made of the very routes that the
 * server runs: TypeBox schemas are JSON Schema 2020-12 already, so nothing is translated.
 */
import type { TObject, TSchema } from 'typebox'
import { ERRORS, type ErrorCode } from '../errors/errors.ts'
import { ACCESS, type Access } from './access.ts'
import { PROBLEM_MEDIA_TYPE } from './problems.ts'
import type { AnswerShape, Route } from './route.ts'
import { Problem } from './shapes.ts'

const SECURITY: Record<Access, object[]> = {
  admin: [{ key: [] }, { session: [] }],
  'admin-or-own': [{ key: [] }, { session: [] }],
  writer: [{ key: [] }, { session: [] }],
  scraper: [{}, { key: [] }, { session: [] }],
  anyone: [],
}

/** Errors that any route of an access may answer with. */
const ACCESS_PROBLEMS: Record<Access, ErrorCode[]> = {
  admin: ['API_UNAUTHORIZED', 'API_FORBIDDEN'],
  'admin-or-own': ['API_UNAUTHORIZED', 'API_FORBIDDEN'],
  writer: ['API_UNAUTHORIZED', 'API_FORBIDDEN', 'GATEWAY_DEVICE_FORBIDDEN'],
  scraper: ['API_UNAUTHORIZED', 'API_FORBIDDEN'],
  anyone: [],
}

const BODY_PROBLEMS: ErrorCode[] = [
  'API_BODY_INVALID',
  'API_REQUEST_TIMEOUT',
  'API_MEDIA_TYPE_UNSUPPORTED',
  'GATEWAY_BODY_TOO_LARGE',
]

export function createDocument(routes: readonly Route[]): object {
  const paths: Record<string, Record<string, object>> = {}
  for (const route of routes) {
    const [method = '', path = ''] = route.key.split(' ')
    paths[path] = { ...paths[path], [method.toLowerCase()]: operation(route, method, path) }
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Weir',
      version: '1',
      description: 'Times are milliseconds since 1970. Every error is RFC 9457 problem details.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    tags: [...new Set(routes.map(({ tag }) => tag))].map((name) => ({ name })),
    paths,
    components: {
      schemas: { Problem },
      securitySchemes: {
        key: { type: 'http', scheme: 'bearer', description: 'An admin key or a device’s token.' },
        password: {
          type: 'http',
          scheme: 'basic',
          description: 'The password is the key or token.',
        },
        session: { type: 'apiKey', in: 'cookie', name: 'weir_session' },
      },
    },
  }
}

function operation(route: Route, method: string, path: string): object {
  const access = ACCESS[route.key]
  return {
    operationId: operationId(method, path),
    summary: route.summary,
    ...(route.description === undefined ? {} : { description: route.description }),
    tags: [route.tag],
    security: [...SECURITY[access], ...(route.isLineDoor === true ? [{ password: [] }] : [])],
    parameters: [...pathParameters(path), ...queryParameters(route.query)],
    ...(route.body === undefined ? {} : { requestBody: requestBody(route.body) }),
    responses: {
      ...Object.fromEntries(
        Object.entries(route.answers).map(([status, answer]) => [status, response(answer)]),
      ),
      ...problemResponses([...problemsOf(route, { method, access })]),
    },
  }
}

/** `GET /v1/devices/{id}/latest` → `getV1DevicesIdLatest`. */
const operationId = (method: string, path: string): string =>
  method.toLowerCase() +
  path
    .split(/[^A-Za-z0-9]+/)
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join('')

const pathParameters = (path: string): object[] =>
  Array.from(path.matchAll(/\{(\w+)\}/g), ([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }))

function queryParameters(query: TObject | undefined): object[] {
  if (query === undefined) return []
  return Object.entries(query.properties as Record<string, TSchema & { description?: string }>).map(
    ([name, { description, ...schema }]) => ({
      name,
      in: 'query',
      required: (query.required ?? []).includes(name),
      ...(description === undefined ? {} : { description }),
      schema,
    }),
  )
}

function requestBody(body: NonNullable<Route['body']>): object {
  const mediaTypes = body.kind === 'json' ? ['application/json'] : body.mediaTypes
  return {
    required: body.kind === 'raw' || body.isOptional !== true,
    content: Object.fromEntries(mediaTypes.map((type) => [type, { schema: body.schema }])),
  }
}

function response({
  description,
  content,
  otherMediaTypes = [],
  headers = {},
}: AnswerShape): object {
  const described = Object.entries(headers).map(([name, text]) => [
    name,
    { description: text, schema: { type: 'string' } },
  ])
  return {
    description,
    ...(described.length === 0 ? {} : { headers: Object.fromEntries(described) }),
    ...(content === undefined
      ? {}
      : {
          content: {
            [content.mediaType]: { schema: content.schema },
            ...Object.fromEntries(
              otherMediaTypes.map((type) => [type, { schema: { type: 'string' } }]),
            ),
          },
        }),
  }
}

function problemsOf(
  route: Route,
  { method, access }: { method: string; access: Access },
): Set<ErrorCode> {
  return new Set<ErrorCode>([
    'API_PARAMETER_INVALID',
    'API_HOST_FORBIDDEN',
    ...ACCESS_PROBLEMS[access],
    ...(route.body === undefined ? [] : BODY_PROBLEMS),
    // What comes with a body although there is none to come is not read, but its head is.
    ...(method === 'GET' ? [] : (['API_MEDIA_TYPE_UNSUPPORTED'] as const)),
    // A telemetry door answers 422 with the code of the first bad message.
    ...(route.answers[207] === undefined ? [] : (['TELEMETRY_SHAPE_INVALID'] as const)),
    ...(route.problems ?? []),
    'GATEWAY_SHUTTING_DOWN',
    'INTERNAL_FAULT',
  ])
}

function problemResponses(codes: ErrorCode[]): Record<string, object> {
  const byStatus = Map.groupBy(codes, (code) => String(ERRORS[code].http))
  return Object.fromEntries(
    [...byStatus].map(([status, group]) => [
      status,
      {
        description: group.map((code) => `${code}: ${ERRORS[code].title}`).join('. '),
        content: { [PROBLEM_MEDIA_TYPE]: { schema: { $ref: '#/components/schemas/Problem' } } },
      },
    ]),
  )
}
