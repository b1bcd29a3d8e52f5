/**
 * Two people who edit the same thing [RFC 9110, 13]: an ETag is the revision, If-Match the one that
 * an editor saw, and who comes second gets 412 with the current state.
 */
import type { FastifyRequest } from 'fastify'
import type { Kept } from '../alerts/alerts.ts'
import { WeirError } from '../errors/errors.ts'
import { invalidParameter } from './parameters.ts'
import type { Answer } from './route.ts'

export const ETAG_HEADER = { ETag: 'The revision, for If-Match.' }

const etagOf = ({ revision }: Kept<unknown>): string => `"${revision}"`

/** An answer with its ETag. */
export const keptAnswer = <T>(
  kept: Kept<T>,
  how: { status: number; json: object; headers?: Record<string, string> },
): Answer => ({ ...how, headers: { ...how.headers, etag: etagOf(kept) } })

/**
 * What Book.put() and remove() expect, from the request's headers; undefined without them. `*` of
 * If-Match, and lists, are about what is there now. Throws API_PARAMETER_INVALID for what is no
 * tag.
 */
export async function expectedOf(
  { headers }: FastifyRequest,
  find: () => Promise<Kept<unknown> | undefined>,
): Promise<number | undefined> {
  const { 'if-match': match, 'if-none-match': noneMatch } = headers
  if (noneMatch !== undefined) {
    if (noneMatch === '*' && match === undefined) return 0
    throw invalidParameter('If-None-Match', 'only * is understood, and not beside If-Match')
  }
  if (match === undefined) return undefined
  const tags = match.split(',').map((tag) => tag.trim())
  if (tags.length === 1 && tags[0] !== '*') return revisionOf(match.trim())
  const revisions = match.trim() === '*' ? undefined : tags.map(revisionOf)
  const current = await find()
  const isMet = current !== undefined && (revisions?.includes(current.revision) ?? true)
  // A revision that is not there makes the book say what is.
  return isMet ? current.revision : Number.MAX_SAFE_INTEGER
}

function revisionOf(tag: string): number {
  const [, digits] = /^"(\d{1,15})"$/.exec(tag) ?? []
  if (digits !== undefined && Number(digits) > 0) return Number(digits)
  // A tag of somebody else's, or a weak one, matches nothing.
  if (/^(W\/)?"[^"]*"$/.test(tag)) return Number.MAX_SAFE_INTEGER
  throw invalidParameter('If-Match', `${tag} is no entity tag such as "1"`)
}

/** 412 gets the current state, as its GET would answer it, with its ETag. */
export async function withCurrent<T, Result>(
  toJson: (kept: Kept<T>) => object,
  change: () => Promise<Result>,
): Promise<Result> {
  try {
    return await change()
  } catch (cause) {
    if (!(cause instanceof WeirError) || cause.code !== 'CONTROL_REVISION_STALE') throw cause
    const current = cause.details['current'] as Kept<T> | null
    const problem = { current: current && toJson(current) }
    const headers = current === null ? {} : { etag: etagOf(current) }
    throw new WeirError(cause.code, cause.message, { details: { problem, headers }, cause })
  }
}

/** A page of at most `limit` of what was asked for with one more. */
export function pageOf<Item extends { id: string }>(
  found: readonly Item[],
  limit: number,
): { items: readonly Item[]; next: string | null } {
  const items = found.slice(0, limit)
  return { items, next: found.length > limit ? (items.at(-1)?.id ?? null) : null }
}
