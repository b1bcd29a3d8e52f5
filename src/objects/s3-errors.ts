/**
 * What the client of S3 throws, in our words. Its own errors hold the whole request, signature
 * included, so none of them is passed on as a cause.
 */
import { WeirError, type ErrorCode } from '../errors/errors.ts'

interface S3Failure {
  name?: string
  message?: string
  code?: string
  $metadata?: { httpStatusCode?: number; attempts?: number }
}

export const statusOf = (error: unknown): number | undefined =>
  (error as S3Failure).$metadata?.httpStatusCode

export const wasTriedAgain = (error: unknown): boolean =>
  ((error as S3Failure).$metadata?.attempts ?? 1) > 1

/** Wrong settings, which no other try mends, though the client got no answer with a status. */
const SETTINGS = ['CredentialsProviderError', 'NoSuchBucket']
/** Refusals that pass: time-out, conflict of two puts under way, too many requests. */
const PASSING = [408, 409, 425, 429]

/** Of an object whose storage class must be restored before it is read. */
const ARCHIVED = 'InvalidObjectState'

export const nameOf = (error: unknown): string => (error as S3Failure).name ?? ''

function codeOf({ name = '', $metadata }: S3Failure): ErrorCode {
  const status = $metadata?.httpStatusCode
  if (name === ARCHIVED) return 'OBJECT_FROZEN'
  if (SETTINGS.includes(name)) return 'OBJECTS_REFUSED'
  if (status === 404) return 'OBJECT_MISSING'
  if (status === 412) return 'OBJECT_EXISTS'
  const isRefusal = status !== undefined && status >= 400 && status < 500
  return isRefusal && !PASSING.includes(status) ? 'OBJECTS_REFUSED' : 'OBJECTS_UNAVAILABLE'
}

/** `secrets` never appear in what is said, whoever put them there. */
export function s3Error(error: unknown, key: string, secrets: readonly string[]): WeirError {
  if (error instanceof WeirError) return error
  const failure = error as S3Failure
  const words = [failure.name, failure.code, failure.message]
    .filter((word, at, all) => word !== undefined && word !== '' && all.indexOf(word) === at)
    .join(': ')
  const detail = secrets.reduce(
    (text, secret) => (secret === '' ? text : text.replaceAll(secret, '***')),
    `${key}: ${words}`,
  )
  return new WeirError(codeOf(failure), detail)
}
