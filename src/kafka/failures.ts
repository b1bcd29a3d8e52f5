/** The library's errors in our words. */
import { GenericError } from '@platformatic/kafka'
import { WeirError } from '../errors/errors.ts'
import type { KafkaAccess } from './kafka.ts'

/** What an error of the library, of Node or of OpenSSL may carry. */
interface LibraryError extends Error {
  code?: string
  canRetry?: boolean
  /** Kafka's own name of an error that a broker answered with. */
  apiId?: string
  serverErrorMessage?: string | null
  errors?: LibraryError[]
  cause?: LibraryError
}

/** How OpenSSL and Node name what is wrong with a certificate or a handshake. */
const TLS_CODE =
  /^(ERR_TLS|ERR_SSL|EPROTO|CERT_|CRL_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|INVALID_|HOSTNAME_MISMATCH|PATH_LENGTH)/

/** Everything in an error that has no other error below it, and what names the way there. */
function* chainOf(error: LibraryError): Generator<LibraryError> {
  yield error
  for (const inner of error.errors ?? []) yield* chainOf(inner)
  if (error.cause instanceof Error) yield* chainOf(error.cause)
}

/**
 * LOG_UNAVAILABLE or LOG_REQUEST_REFUSED for what the library threw; what is neither the network's
 * nor a broker's doing comes back as it is. `doing` begins the message.
 */
export function failureOf(error: unknown, doing: string, access: KafkaAccess): unknown {
  if (error instanceof WeirError || !(error instanceof Error)) return error
  const cause = error as LibraryError
  const chain = [...chainOf(cause)]
  if (!GenericError.isGenericError(error)) return error
  const refused = (detail: string): WeirError =>
    new WeirError('LOG_REQUEST_REFUSED', `${doing}: ${detail}`, { cause })
  const protocol = chain.filter(({ apiId }) => apiId !== undefined)
  if (chain.some(({ code }) => code === 'PLT_KFK_AUTHENTICATION')) {
    const { mechanism = 'SASL', username = '' } = access.sasl ?? {}
    const says = protocol.map(({ apiId }) => apiId).join(', ')
    return refused(`${mechanism} as ${username} failed${says === '' ? '' : ` (${says})`}`)
  }
  const tls = chain.find(({ code }) => code !== undefined && TLS_CODE.test(code))
  if (tls !== undefined) return refused(`TLS failed: ${tls.message}`)
  const misuse = chain.find(({ code }) => code === 'PLT_KFK_USER')
  if (misuse !== undefined) return refused(misuse.message)
  const final = protocol.find(({ canRetry }) => canRetry === false)
  if (final !== undefined) return refused(textOf(final))
  const last = protocol[0] ?? chain.at(-1)!
  return new WeirError('LOG_UNAVAILABLE', `${doing}: ${textOf(last)}`, { cause })
}

function textOf({ apiId, message, serverErrorMessage, code }: LibraryError): string {
  const text = serverErrorMessage ?? (message === '' ? String(code) : message)
  return apiId === undefined ? text : `${apiId}: ${text}`
}

export const isPassing = (error: unknown): boolean =>
  error instanceof WeirError && error.code === 'LOG_UNAVAILABLE'
