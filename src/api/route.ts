/**
 * What a route is: one value that the server runs and the OpenAPI document is made of, so that the
 * two cannot disagree. Reading and checking happen here; a handler sees checked values only.
 *
 *   socket → host, origin → who (access.ts) → parameters → media type, inflate → body → handle
 *            403            401, 403          400          415, 413              400    answer
 */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Static, TObject, TSchema } from 'typebox'
import type { Principal } from '../control/control.ts'
import { WeirError, type ErrorCode } from '../errors/errors.ts'
import type { RouteKey } from './access.ts'
import { checkMediaType, inflateBody, tightly, type BodyRoom } from './bodies.ts'
import { bodyReader, parameterReader } from './parameters.ts'

/** JSON is parsed and checked; raw bytes are inflated and handed on as they are. */
export type BodyShape<B extends TSchema> =
  | { kind: 'json'; schema: B; isOptional?: boolean }
  | { kind: 'raw'; mediaTypes: readonly string[]; schema: TSchema }

export interface AnswerShape {
  description: string
  /** Undefined: no body. */
  content?: { mediaType: string; schema: TSchema }
  /** Instead of it, where the request asks for them: texts. */
  otherMediaTypes?: readonly string[]
  headers?: Record<string, string>
}

export interface Answer {
  status: number
  headers?: Record<string, string>
  /** Sent as JSON. */
  json?: unknown
  text?: { mediaType: string; text: string | Uint8Array }
}

/** The handler has taken the response over (a stream). */
export const TAKEN_OVER: Answer = { status: 200 }

export interface Call<Query, Body> {
  /** The `{id}` of the path; empty for routes without. */
  id: string
  query: Query
  body: Body
  /** Undefined only where the access table says anyone or scraper. */
  principal: Principal | undefined
  tenant: string
  session: string | undefined
  request: FastifyRequest
  reply: FastifyReply
}

interface RouteDefinition<Q extends TObject, B extends TSchema, Body> {
  key: RouteKey
  summary: string
  description?: string
  tag: string
  query?: Q
  body?: BodyShape<B>
  answers: Record<number, AnswerShape>
  /** Codes it may answer beside those of its access, parameters and body. */
  problems?: readonly ErrorCode[]
  /** Takes the credentials of InfluxDB's clients too. */
  isLineDoor?: boolean
  handle(call: Call<Static<Q>, Body>): Answer | Promise<Answer>
}

export interface Incoming {
  params: Record<string, string>
  query: Record<string, unknown>
  body: Uint8Array<ArrayBuffer> | undefined
  principal: Principal | undefined
  session: string | undefined
  request: FastifyRequest
  reply: FastifyReply
}

export interface Route extends Omit<RouteDefinition<TObject, TSchema, never>, 'handle'> {
  /** `room` is what the body may take when it is inflated. */
  run(incoming: Incoming, room: BodyRoom): Promise<Answer>
}

/** A route whose body is JSON of this schema, or that has none. */
export function jsonRoute<Q extends TObject = TObject<{}>, B extends TSchema = TSchema>(
  definition: Omit<RouteDefinition<Q, B, Static<B>>, 'body'> & {
    body?: B
    /** No body at all is an empty object. */
    isBodyOptional?: true
  },
): Route {
  const { body, isBodyOptional: isOptional = false, ...rest } = definition
  const read = body === undefined ? undefined : bodyReader(body)
  const shape = body && { body: { kind: 'json' as const, schema: body, isOptional } }
  return route({ ...rest, ...shape }, (bytes) => (read === undefined ? undefined : read(bytes)))
}

/** A route that gets its body's bytes. */
export function rawRoute<Q extends TObject = TObject<{}>>(
  definition: RouteDefinition<Q, TSchema, Uint8Array<ArrayBuffer>>,
): Route {
  return route(definition, tightly)
}

const NOTHING = new Uint8Array(0)
const EMPTY_OBJECT = new TextEncoder().encode('{}')
const JSON_TYPES = ['application/json'] as const

function route<Q extends TObject, B extends TSchema, Body>(
  definition: RouteDefinition<Q, B, Body>,
  readBody: (bytes: Uint8Array<ArrayBuffer>) => unknown,
): Route {
  const { body, query } = definition
  const readQuery = query === undefined ? withoutParameters : parameterReader(query)
  return {
    ...(definition as unknown as Omit<Route, 'run'>),
    async run(incoming, room) {
      const { request, principal, params } = incoming
      const parameters = readQuery(incoming.query) as Static<Q>
      let bytes = incoming.body ?? NOTHING
      const isLeftOut = body?.kind === 'json' && body.isOptional === true && bytes.length === 0
      if (isLeftOut) bytes = EMPTY_OBJECT
      else if (body !== undefined) {
        checkMediaType(
          request.headers['content-type'],
          body.kind === 'json' ? JSON_TYPES : body.mediaTypes,
        )
        bytes = await inflateBody(bytes, request.headers['content-encoding'], room)
      }
      return definition.handle({
        ...incoming,
        id: params['id'] ?? '',
        query: parameters,
        body: readBody(bytes) as Body,
        tenant: principal?.tenant ?? '',
      })
    },
  }
}

function withoutParameters(texts: Record<string, unknown>): object {
  const [name] = Object.keys(texts)
  if (name === undefined) return {}
  throw new WeirError('API_PARAMETER_INVALID', `${name}: this path takes no parameters`)
}

export const jsonAnswer = (description: string, schema: TSchema): AnswerShape => ({
  description,
  content: { mediaType: 'application/json', schema },
})
