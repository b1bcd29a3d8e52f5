/** One request after another to one target, each tried until it is answered for good. */
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { WeirError } from '../errors/errors.ts'
import type { Clock, Random } from '../world/world.ts'

const FIRST_DELAY_MS = 100
const DELAY_MS_MAX = 10_000
/** A target that asks for more is asked sooner. */
const RETRY_AFTER_MS_MAX = 300_000
const ANSWER_BYTES_MAX = 65_536
const REASON_LENGTH_MAX = 300

const compress = promisify(gzip)

export interface RequestOptions {
  headers: Record<string, string>
  secrets: readonly string[]
  isGzipped: boolean
  timeoutMs: number
  retryForMs: number
  clock: Clock
  random: Random
}

/** `reason` is undefined when it was done, else why the body as such was refused. */
export interface Answer {
  reason: string | undefined
  text: string
}

interface Sent {
  method: string
  headers: Record<string, string>
  body?: string | Uint8Array<ArrayBuffer>
}

/** What one try came to. */
interface Try {
  status: number
  text: string
  retryAfterMs: number
}

export class Requests {
  readonly #options: RequestOptions
  readonly #closed = new AbortController()

  constructor(options: RequestOptions) {
    this.#options = options
  }

  close(): void {
    this.#closed.abort()
  }

  /** Sends lines. Errors: SINK_UNAVAILABLE, SINK_REFUSED. */
  async post(url: string, lines: string): Promise<Answer> {
    const headers: Record<string, string> = { 'content-type': 'text/plain; charset=utf-8' }
    if (!this.#options.isGzipped) return this.#send(url, { method: 'POST', headers, body: lines })
    headers['content-encoding'] = 'gzip'
    const body = new Uint8Array(await compress(lines, { level: 1 }))
    return this.#send(url, { method: 'POST', headers, body })
  }

  /** Errors: SINK_UNAVAILABLE, SINK_REFUSED. */
  get(url: string): Promise<Answer> {
    return this.#send(url, { method: 'GET', headers: {} })
  }

  async #send(url: string, request: Sent): Promise<Answer> {
    const { clock, random, retryForMs } = this.#options
    const beginMs = clock.monotonicMs()
    for (let tries = 0; ; tries++) {
      const { status, text, retryAfterMs } = await this.#try(url, request)
      if (status >= 200 && status < 300) return { reason: undefined, text }
      const reason = this.#reasonOf(status, text)
      if (status === 400 || status === 413 || status === 422) return { reason, text }
      if (!isPassing(status)) throw new WeirError('SINK_REFUSED', `${placeOf(url)}: ${reason}`)
      const backoffMs = Math.min(DELAY_MS_MAX, FIRST_DELAY_MS * 2 ** Math.min(tries, 16))
      const delayMs = Math.max(retryAfterMs, backoffMs * (0.5 + random.unit() / 2))
      const isOver = clock.monotonicMs() - beginMs + delayMs > retryForMs
      if (isOver || this.#closed.signal.aborted) {
        throw new WeirError('SINK_UNAVAILABLE', `${placeOf(url)}: ${reason}`)
      }
      await this.#wait(delayMs)
    }
  }

  /** Status 0 when there was no answer. */
  async #try(url: string, request: Sent): Promise<Try> {
    const { clock, headers, timeoutMs } = this.#options
    const late = new AbortController()
    const cancel = clock.after(timeoutMs, () => late.abort())
    try {
      const answer = await fetch(url, {
        ...request,
        headers: { ...request.headers, ...headers },
        // A target that sends elsewhere would send the credentials there.
        redirect: 'manual',
        signal: AbortSignal.any([late.signal, this.#closed.signal]),
      })
      const text = await beginningOf(answer)
      return { status: answer.status, text, retryAfterMs: this.#retryAfterOf(answer) }
    } catch (error) {
      return { status: 0, text: this.#whyNone(error, late), retryAfterMs: 0 }
    } finally {
      cancel()
    }
  }

  #whyNone(error: unknown, late: AbortController): string {
    if (this.#closed.signal.aborted) return 'the sink is closed'
    if (late.signal.aborted) return `no answer within ${this.#options.timeoutMs} ms`
    const { cause } = error as { cause?: { code?: string; message?: string } }
    return cause?.code ?? cause?.message ?? (error as Error).message
  }

  #reasonOf(status: number, text: string): string {
    let shown = text.replaceAll(/\s+/g, ' ').trim()
    for (const secret of this.#options.secrets) shown = shown.replaceAll(secret, '***')
    if (shown.length > REASON_LENGTH_MAX) shown = `${shown.slice(0, REASON_LENGTH_MAX)}…`
    if (status === 0) return shown
    return shown === '' ? `status ${status}` : `status ${status}: ${shown}`
  }

  /** Seconds, or a date. */
  #retryAfterOf(answer: Response): number {
    const given = answer.headers.get('retry-after')
    if (given === null) return 0
    const isSeconds = /^\d+$/.test(given)
    const waitMs = isSeconds
      ? Number(given) * 1000
      : Date.parse(given) - this.#options.clock.nowUs() / 1000
    return waitMs > 0 ? Math.min(waitMs, RETRY_AFTER_MS_MAX) : 0
  }

  #wait(delayMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const cancel = this.#options.clock.after(delayMs, resolve)
    const { signal } = this.#closed
    const wake = (): void => {
      cancel()
      resolve()
    }
    signal.addEventListener('abort', wake, { once: true })
    return promise.finally(() => signal.removeEventListener('abort', wake))
  }
}

/** It may be another answer next time. */
const isPassing = (status: number): boolean =>
  status === 0 || status === 408 || status === 425 || status === 429 || status >= 500

const placeOf = (url: string): string => new URL(url).origin

/** All of it is read, so that the connection can be used again, unless it is without end. */
async function beginningOf(answer: Response): Promise<string> {
  if (answer.body === null) return ''
  const decoder = new TextDecoder()
  let text = ''
  for await (const bytes of answer.body as unknown as AsyncIterable<Uint8Array>) {
    text += decoder.decode(bytes, { stream: true })
    if (text.length > ANSWER_BYTES_MAX) break
  }
  return text
}
