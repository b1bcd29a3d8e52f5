/**
 * How errors leave: every one as RFC 9457 problem details, whatever part of the server found it.
 */
import type { FastifyReply } from 'fastify'
import { toProblem, WeirError, type ErrorCode } from '../errors/errors.ts'

export const PROBLEM_MEDIA_TYPE = 'application/problem+json'

/** Fastify's own refusals, in the catalogue's words. */
const FASTIFY_CODES: Record<string, [ErrorCode, string?]> = {
  FST_ERR_CTP_BODY_TOO_LARGE: ['GATEWAY_BODY_TOO_LARGE'],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: [
    'API_BODY_INVALID',
    'the body does not have its announced length',
  ],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: ['API_MEDIA_TYPE_UNSUPPORTED'],
  FST_ERR_BAD_URL: ['API_NOT_FOUND', 'the path is not a valid one'],
  FST_ERR_MAX_PARAM_LENGTH: ['API_NOT_FOUND', 'the path is too long'],
}

/** The error as one of the catalogue's; what is none of them is our fault and keeps its cause. */
export function toWeirError(error: unknown): WeirError {
  if (error instanceof WeirError) return error
  const { code = '', statusCode = 500 } = error as { code?: string; statusCode?: number }
  const known = FASTIFY_CODES[code]
  if (known !== undefined) return new WeirError(known[0], known[1], { cause: error })
  if (statusCode < 500) return new WeirError('API_REQUEST_MALFORMED', undefined, { cause: error })
  return new WeirError('INTERNAL_FAULT', undefined, { cause: error })
}

/** Seconds until a retry makes sense when the error itself does not say. */
const RETRY_AFTER_SECONDS = 1

export function sendProblem(reply: FastifyReply, error: WeirError): FastifyReply {
  const problem = { ...toProblem(error), ...extensionsOf(error) }
  if (error.retryable && (problem.status === 503 || problem.status === 429)) {
    const seconds = Number(error.details['retryAfterSeconds'] ?? RETRY_AFTER_SECONDS)
    reply.header('retry-after', String(Math.max(1, Math.ceil(seconds))))
  }
  const { headers } = error.details
  if (headers !== undefined) reply.headers(headers as Record<string, string>)
  // Nobody reads the rest of the body.
  if (!reply.request.raw.complete) reply.header('connection', 'close')
  if (problem.status === 401) reply.header('www-authenticate', 'Bearer realm="weir"')
  if (problem.status === 405) reply.header('allow', String(error.details['allow']))
  return (
    reply
      .code(problem.status)
      .header('content-type', PROBLEM_MEDIA_TYPE)
      // As bytes: fastify adds a charset to texts, which this media type does not have.
      .send(Buffer.from(JSON.stringify(problem)))
  )
}

/**
 * Extension members [RFC 9457, 3.2], and another status, that an error brings in `details.problem`;
 * headers come in `details.headers`.
 */
const extensionsOf = (error: WeirError): object =>
  (error.details['problem'] as object | undefined) ?? {}

/** The whole answer as text, for a socket that has no reply yet (malformed or too slow HTTP). */
export function rawProblem(error: WeirError): string {
  const problem = toProblem(error)
  const body = JSON.stringify(problem)
  const reason = problem.status === 408 ? 'Request Timeout' : 'Bad Request'
  return (
    `HTTP/1.1 ${problem.status} ${reason}\r\nContent-Type: ${PROBLEM_MEDIA_TYPE}\r\n` +
    `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`
  )
}
