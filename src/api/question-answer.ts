/**
 * How answers to questions leave: within a limit of bytes, and with a tag by which whoever asks
 * again learns that nothing has changed. The tag is over what was asked for and not over `meta`,
 * where the answer came from: so it is a weak one [RFC 9110, 8.8.1]. An answer that says itself
 * that it is not complete has none.
 */
import { createHash } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import { WeirError } from '../errors/errors.ts'
import type { Answer, AnswerShape } from './route.ts'
import type { ApiLimits } from './services.ts'

const TAG_BYTES = 16

/** Beside 200, in a route's answers. */
export const NOT_MODIFIED: AnswerShape = {
  description: 'The answer is the one with the tag in If-None-Match.',
}

interface Meta {
  completeness: number
}

export interface QuestionAnswer {
  /** With its `meta`, and that of `compare`. */
  json: object & { meta: Meta; compare?: object & { meta: Meta } }
  /** Instead of JSON: the body, and its headers beside the tag. */
  other?: NonNullable<Answer['text']> | undefined
  headers?: Record<string, string>
}

/** Errors: QUERY_LIMIT_EXCEEDED. */
export function questionAnswer(
  { json, other, headers }: QuestionAnswer,
  { request, limits }: { request: FastifyRequest; limits: ApiLimits },
): Answer {
  const mediaType = other?.mediaType ?? 'application/json; charset=utf-8'
  const hash = createHash('sha256').update(mediaType)
  const text = other?.text ?? serialize(json, (said) => void hash.update(said))
  const bytes = typeof text === 'string' ? Buffer.byteLength(text) : text.length
  const { answerBytesMax } = limits
  if (bytes > answerBytesMax) {
    const detail = `The answer has more than ${answerBytesMax} bytes`
    throw new WeirError('QUERY_LIMIT_EXCEEDED', detail, { details: { limit: answerBytesMax } })
  }
  if (other !== undefined) hash.update(other.text)
  if (!isComplete(json))
    return { status: 200, text: { mediaType, text }, ...(headers && { headers }) }
  const tag = `W/"${hash.digest().subarray(0, TAG_BYTES).toString('base64url')}"`
  const tagged = {
    ...headers,
    ...{ etag: tag, 'cache-control': 'private, no-cache', vary: 'accept, authorization' },
  }
  if (isNamed(tag, request.headers['if-none-match'])) return { status: 304, headers: tagged }
  return { status: 200, headers: tagged, text: { mediaType, text } }
}

/** As JSON.stringify() does, and tells all of it but what it says of itself. */
function serialize(json: object, tell: (said: string) => void): string {
  const members = Object.entries(json).flatMap(([name, value]) => {
    if (value === undefined) return []
    if (name === 'compare') return `"compare":${serialize(value as object, tell)}`
    const member = `${JSON.stringify(name)}:${JSON.stringify(value)}`
    if (name !== 'meta') tell(member)
    return member
  })
  return `{${members.join()}}`
}

function isComplete(json: QuestionAnswer['json']): boolean {
  return json.meta.completeness === 1 && (json.compare?.meta.completeness ?? 1) === 1
}

/** Compared as weak tags are [RFC 9110, 13.1.2]. */
function isNamed(tag: string, header: string | undefined): boolean {
  if (header === undefined) return false
  const names = header.split(',').map((name) => name.trim())
  return names.some((name) => name === '*' || name.replace(/^W\//, '') === tag.slice(2))
}
