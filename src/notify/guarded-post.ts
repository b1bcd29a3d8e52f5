/**
 * One POST to an address that somebody else chose, so nothing of it is trusted:
 *
 * - its name is resolved here, the addresses are checked, and the connection goes to these and to
 *   no other (`lookup` below); Host and TLS still speak of the name. A resolver that answers
 *   otherwise a moment later is never asked;
 * - each delivery has a connection of its own: none outlives its check;
 * - redirects are not followed. They would need the check again, a client may make a GET of a POST
 *   on its way, and the signature was made for the first receiver only;
 * - connecting and all of it together have a time limit, body and answer one in bytes.
 */
import { request as requestHttp, type ClientRequest, type IncomingMessage } from 'node:http'
import { request as requestHttps } from 'node:https'
import type { LookupFunction } from 'node:net'
import { WeirError } from '../errors/errors.ts'
import type { Clock } from '../world/world.ts'
import { withDeadline, type Deadline } from './deadline.ts'
import { resolveEndpoint, type EndpointRules, type Resolve } from './endpoint.ts'

export interface PostOptions extends EndpointRules, Omit<Deadline, 'place'> {
  resolve: Resolve
  /** Of `timeoutMs`, which is for name, connection, request and answer together. */
  connectTimeoutMs: number
  /** Certificates to believe instead of the system's, as PEM. */
  ca?: string
  /** Never shown, whoever says them. */
  secrets: readonly string[]
}

export const POST_LIMITS = { connectTimeoutMs: 3000, timeoutMs: 10_000 }
const BODY_BYTES_MAX = 256 * 1024
/** Of an answer, that much may be shown to who looks for the reason. */
const ANSWER_BYTES_MAX = 1024
const REASON_LENGTH_MAX = 200
/** A receiver that asks for more is asked sooner. */
const RETRY_AFTER_MS_MAX = 3_600_000

/** Resolves when the receiver said 2xx. Errors: N2 of notify.ts. */
export async function guardedPost(
  url: URL,
  content: { body: string; headers: Record<string, string> },
  options: PostOptions,
): Promise<void> {
  const body = Buffer.from(content.body)
  if (body.length > BODY_BYTES_MAX) throw new WeirError('NOTIFY_REFUSED', 'it is too large to send')
  const deadline = { ...options, place: url.origin }
  try {
    await withDeadline(deadline, async (signal) => {
      const addresses = await resolveEndpoint(url, options, options.resolve)
      const headers = { ...content.headers, 'content-length': String(body.length) }
      judge(await exchange(url, { body, headers, addresses, signal }, options), url, options)
    })
  } catch (error) {
    throw named(error, url)
  }
}

interface Answer {
  status: number
  headers: IncomingMessage['headers']
  text: string
}

interface Exchange {
  body: Uint8Array
  headers: Record<string, string>
  addresses: readonly string[]
  signal: AbortSignal
}

async function exchange(url: URL, what: Exchange, options: PostOptions): Promise<Answer> {
  const { body, headers, addresses, signal } = what
  const open = url.protocol === 'https:' ? requestHttps : requestHttp
  const { promise, resolve, reject } = Promise.withResolvers<Answer>()
  const request = open(url, {
    ...{ method: 'POST', headers, signal, agent: false, lookup: pinnedTo(addresses) },
    ...{ maxHeaderSize: 16 * 1024, insecureHTTPParser: false },
    ...(options.ca === undefined ? {} : { ca: options.ca }),
  })
  const cancel = limitConnecting(request, options)
  request.on('error', reject)
  request.on('response', (answer) => readBeginning(answer).then(resolve, reject))
  request.end(body)
  try {
    return await promise
  } finally {
    cancel()
    request.destroy()
  }
}

/** Gives the connection the checked addresses instead of asking a resolver again. */
function pinnedTo(addresses: readonly string[]): LookupFunction {
  const all = addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
  return (_name, { all: wantsAll }, answer) => {
    if (wantsAll === true) answer(null, all)
    else answer(null, all[0]!.address, all[0]!.family)
  }
}

function limitConnecting(request: ClientRequest, options: PostOptions): () => void {
  const { clock, connectTimeoutMs } = options
  const cancel = clock.after(connectTimeoutMs, () => {
    request.destroy(new Error(`no connection within ${connectTimeoutMs} ms`))
  })
  request.once('socket', (socket) => {
    socket.once(request.protocol === 'https:' ? 'secureConnect' : 'connect', cancel)
  })
  return cancel
}

async function readBeginning(answer: IncomingMessage): Promise<Answer> {
  const { statusCode: status = 0, headers } = answer
  // Its status is all there is to know.
  if (isDelivered(status)) return { status, headers, text: '' }
  const parts: Uint8Array[] = []
  let bytes = 0
  try {
    for await (const part of answer as AsyncIterable<Uint8Array>) {
      parts.push(part)
      bytes += part.length
      if (bytes >= ANSWER_BYTES_MAX) break
    }
  } catch {
    // Cut off: the status came, and it decides.
  }
  const text = Buffer.concat(parts).subarray(0, ANSWER_BYTES_MAX).toString()
  return { status, headers, text }
}

const isDelivered = (status: number): boolean => status >= 200 && status < 300
/** Refusals that pass: too late, too early, too many. */
const PASSING = [408, 425, 429]

function judge({ status, headers, text }: Answer, url: URL, options: PostOptions): void {
  if (isDelivered(status)) return
  const reason = `${url.origin}: ${reasonOf(status, text, options.secrets)}`
  if (status >= 300 && status < 400) {
    throw new WeirError('NOTIFY_REFUSED', `${reason}: redirects are not followed`)
  }
  const isPassing = status >= 500 || PASSING.includes(status)
  if (!isPassing) throw new WeirError('NOTIFY_REFUSED', reason)
  const retryAfterMs = parseRetryAfter(headers['retry-after'], options.clock)
  const details = retryAfterMs === undefined ? {} : { retryAfterMs }
  throw new WeirError('NOTIFY_UNAVAILABLE', reason, { details })
}

function reasonOf(status: number, text: string, secrets: readonly string[]): string {
  let shown = text.replaceAll(/[\p{Cc}\p{Cf}\s]+/gu, ' ').trim()
  for (const secret of secrets) if (secret !== '') shown = shown.replaceAll(secret, '***')
  shown = shown.slice(0, REASON_LENGTH_MAX)
  return shown === '' ? `status ${status}` : `status ${status}: ${shown}`
}

/** Seconds, or a date (RFC 9110, 10.2.3). Undefined when it is neither, or over. */
function parseRetryAfter(given: string | undefined, clock: Clock): number | undefined {
  if (given === undefined) return undefined
  const isSeconds = /^\d+$/.test(given)
  const waitMs = isSeconds ? Number(given) * 1000 : Date.parse(given) - clock.nowUs() / 1000
  return waitMs > 0 ? Math.min(waitMs, RETRY_AFTER_MS_MAX) : undefined
}

/** Errors of sockets name addresses and ports, and nothing of the path. */
function named(error: unknown, url: URL): WeirError {
  if (error instanceof WeirError) return error
  const { code, message = 'no answer' } = error as { code?: string; message?: string }
  return new WeirError('NOTIFY_UNAVAILABLE', `${url.origin}: ${code ?? message}`)
}
