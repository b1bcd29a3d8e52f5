/**
 * The HTTP API as the commands use it: bearer key, JSON, problem details turned into WeirErrors.
 */
import { ERRORS, WeirError, type ErrorCode } from '../errors/errors.ts'

export interface ApiClientOptions {
  /** Such as `http://127.0.0.1:8080`. */
  url: string
  /** Admin key or device token; none for what is open. */
  key: string | undefined
  timeoutMs?: number
}

export interface ApiAnswer {
  status: number
  body: unknown
  headers: Headers
}

const isErrorCode = (code: unknown): code is ErrorCode =>
  typeof code === 'string' && Object.hasOwn(ERRORS, code)

/** An error for an answer that is not 2xx, with the server's own code where it sent one. */
function errorOfAnswer(status: number, body: unknown, retryAfter: string | null): WeirError {
  const problem = (typeof body === 'object' && body !== null ? body : {}) as Record<string, unknown>
  const detail = typeof problem['detail'] === 'string' ? problem['detail'] : `HTTP status ${status}`
  const details = { status, problem, retryAfterS: Number(retryAfter) || undefined }
  if (isErrorCode(problem['code'])) return new WeirError(problem['code'], detail, { details })
  const code: ErrorCode =
    status === 401
      ? 'API_UNAUTHORIZED'
      : status === 403
        ? 'API_FORBIDDEN'
        : status === 404
          ? 'API_NOT_FOUND'
          : status === 429 || status === 503
            ? 'GATEWAY_OVERLOADED'
            : status < 500
              ? 'API_PARAMETER_INVALID'
              : 'QUERY_FAILED'
  return new WeirError(code, detail, { details })
}

export class ApiClient {
  readonly url: string
  readonly #key: string | undefined
  readonly #timeoutMs: number

  constructor({ url, key, timeoutMs = 60_000 }: ApiClientOptions) {
    this.url = url.replace(/\/+$/, '')
    this.#key = key
    this.#timeoutMs = timeoutMs
  }

  async get<T>(path: string, query: Record<string, string | number | undefined> = {}): Promise<T> {
    const parameters = new URLSearchParams()
    for (const [name, value] of Object.entries(query))
      if (value !== undefined) parameters.set(name, String(value))
    const suffix = parameters.size > 0 ? `?${parameters}` : ''
    return (await this.#request('GET', path + suffix)).body as T
  }

  /** A 2xx answer, 207 included; anything else throws. */
  post(path: string, body: string | Uint8Array<ArrayBuffer>, type?: string): Promise<ApiAnswer> {
    return this.#request('POST', path, body, { type })
  }

  /** A 2xx answer; `headers` for If-Match. */
  put(path: string, body: string, headers: Record<string, string> = {}): Promise<ApiAnswer> {
    return this.#request('PUT', path, body, { headers })
  }

  /** Of a deletion that takes its time, and says how to ask for it. */
  async deleteForAnswer<T>(path: string): Promise<T> {
    return (await this.#request('DELETE', path)).body as T
  }

  async delete(path: string): Promise<void> {
    await this.#request('DELETE', path)
  }

  /**
   * Calls back for each line of an answer that takes its time; what `consume` throws ends it. The
   * server sees when this process is gone.
   */
  async postForLines(path: string, body: string, consume: (line: string) => void): Promise<void> {
    const response = await this.#send('POST', path, { body })
    if (!response.ok) await this.#read(response)
    let rest = ''
    try {
      for await (const piece of response.body!.pipeThrough(new TextDecoderStream())) {
        const lines = (rest + piece).split('\n')
        rest = lines.pop()!
        for (const line of lines) consume(line)
      }
    } catch (cause) {
      throw cause instanceof WeirError ? cause : this.#unreachable(cause)
    }
  }

  /** Line protocol; the door answers 204 also when it kept some lines as dead letters. */
  async postLines(path: string, body: string): Promise<{ rejectedLines: number }> {
    const { headers } = await this.#request('POST', path, body, {
      type: 'text/plain; charset=utf-8',
    })
    return { rejectedLines: Number(headers.get('x-weir-rejected') ?? 0) }
  }

  async #request(
    method: string,
    path: string,
    body?: string | Uint8Array<ArrayBuffer>,
    how: { type?: string | undefined; headers?: Record<string, string> } = {},
  ): Promise<ApiAnswer> {
    const signal = AbortSignal.timeout(this.#timeoutMs)
    return this.#read(await this.#send(method, path, { ...how, body, signal }))
  }

  async #send(
    method: string,
    path: string,
    parts: {
      body?: string | Uint8Array<ArrayBuffer> | undefined
      type?: string | undefined
      headers?: Record<string, string>
      signal?: AbortSignal
    },
  ): Promise<Response> {
    const { body, type = 'application/json', signal } = parts
    const headers = { ...parts.headers, ...(body === undefined ? {} : { 'content-type': type }) }
    if (this.#key !== undefined) Object.assign(headers, { authorization: `Bearer ${this.#key}` })
    const init = body === undefined ? { method, headers } : { method, headers, body }
    try {
      return await fetch(this.url + path, signal === undefined ? init : { ...init, signal })
    } catch (cause) {
      throw this.#unreachable(cause)
    }
  }

  #unreachable(cause: unknown): WeirError {
    const reason = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause
    const detail = `${this.url}: ${reason instanceof Error ? reason.message : String(reason)}`
    return new WeirError('CLIENT_UNREACHABLE', detail, { cause })
  }

  async #read(response: Response): Promise<ApiAnswer> {
    const text = await response.text().catch((cause: unknown) => {
      throw this.#unreachable(cause)
    })
    const answer = parseJson(text)
    if (!response.ok)
      throw errorOfAnswer(response.status, answer, response.headers.get('retry-after'))
    return { status: response.status, body: answer, headers: response.headers }
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
