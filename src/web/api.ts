/** The page's side of the HTTP API. The session is an HttpOnly cookie that scripts never see. */
import type { Problem } from '../errors/errors.ts'
import type { AlertBody } from '../api/api.ts'
import type { AnomalyRow, ReadingsAnswer, Value } from '../query/query.ts'
import type { Clock } from '../world/world.ts'

/** An answer other than 2xx, as the server's problem details say it. Status 0: no answer at all. */
export class RequestError extends Error {
  readonly status: number
  readonly hint: string

  constructor(status: number, message: string, hint: string) {
    super(message)
    this.name = 'RequestError'
    this.status = status
    this.hint = hint
  }
}

export interface DeviceRow {
  id: string
  type: string
  location?: string | null
  tags?: Record<string, string>
}

export interface DevicesAnswer {
  devices: DeviceRow[]
  /** Null on the last page. */
  next: string | null
  total: number
}

export interface Latest {
  ts: number
  value: Value
  /** Where the device's type declares one. */
  unit?: string
}

export interface HistoryQuestion {
  deviceId: string
  metric: string
  startMs: number
  endMs: number
  pointsMax: number
}

/** As many devices as one answer may carry. */
const DEVICES_PER_REQUEST = 1000

export class Api {
  readonly #clock: Pick<Clock, 'nowUs'>
  readonly #onUnauthorized: () => void
  /** How far the server's clock is ahead of the browser's. */
  #aheadMs = 0

  constructor(clock: Pick<Clock, 'nowUs'>, onUnauthorized: () => void) {
    this.#clock = clock
    this.#onUnauthorized = onUnauthorized
  }

  /**
   * The server's wall clock, ms: ages and chart ranges stay true on a machine whose own is wrong.
   */
  nowMs(): number {
    return this.#clock.nowUs() / 1000 + this.#aheadMs
  }

  /** Trades a one-time code for a session. Throws RequestError 401 when the code is not good. */
  async openSession(code: string): Promise<void> {
    await this.#request('v1/session', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ code }),
    })
  }

  async closeSession(): Promise<void> {
    await this.#request('v1/session', { method: 'DELETE' })
  }

  devices(after: string | undefined): Promise<DevicesAnswer> {
    return this.#get('v1/devices', { limit: String(DEVICES_PER_REQUEST), after })
  }

  device(id: string): Promise<DeviceRow> {
    return this.#get(`v1/devices/${encodeURIComponent(id)}`, {})
  }

  async latest(id: string, signal?: AbortSignal): Promise<Record<string, Latest>> {
    const path = `v1/devices/${encodeURIComponent(id)}/latest`
    return (await this.#get<{ metrics: Record<string, Latest> }>(path, {}, signal)).metrics
  }

  history(question: HistoryQuestion, signal?: AbortSignal): Promise<ReadingsAnswer> {
    const parameters = {
      device_id: question.deviceId,
      metric: question.metric,
      start: String(Math.floor(question.startMs)),
      end: String(Math.ceil(question.endMs)),
      max_points: String(question.pointsMax),
    }
    return this.#get('v1/query', parameters, signal)
  }

  async alerts(limit: number): Promise<AlertBody[]> {
    return (await this.#get<{ alerts: AlertBody[] }>('v1/alerts', { limit: String(limit) })).alerts
  }

  /** The alert as it then is. */
  async acknowledge(id: string): Promise<AlertBody> {
    const path = `v1/alerts/${encodeURIComponent(id)}/acknowledge`
    const headers = { 'content-type': 'application/json' }
    const response = await this.#request(path, { method: 'POST', headers, body: '{}' })
    return (await response.json()) as AlertBody
  }

  async anomalies(limit: number): Promise<AnomalyRow[]> {
    const parameters = { limit: String(limit) }
    return (await this.#get<{ anomalies: AnomalyRow[] }>('v1/anomalies', parameters)).anomalies
  }

  /** The open answer of server-sent events; readings of `deviceIds` only. */
  live(deviceIds: readonly string[], signal: AbortSignal): Promise<Response> {
    const query = new URLSearchParams(deviceIds.map((id) => ['device_id', id]))
    const headers = { accept: 'text/event-stream' }
    return this.#request(`v1/live?${query}`, { headers, signal })
  }

  async #get<T>(
    path: string,
    parameters: Record<string, string | undefined>,
    signal?: AbortSignal,
  ): Promise<T> {
    const query = new URLSearchParams()
    for (const [name, value] of Object.entries(parameters)) {
      if (value !== undefined) query.set(name, value)
    }
    const target = query.size === 0 ? path : `${path}?${query}`
    return (await (await this.#request(target, signal ? { signal } : {})).json()) as T
  }

  async #request(target: string, options: RequestInit): Promise<Response> {
    let response: Response
    try {
      response = await fetch(target, { credentials: 'same-origin', ...options })
    } catch (cause) {
      if (options.signal?.aborted) throw cause
      throw new RequestError(0, 'The server does not answer.', 'Check that Weir still runs.')
    }
    this.#noteServerTime(response.headers.get('date'))
    if (response.ok) return response
    if (response.status === 401 && target !== 'v1/session') this.#onUnauthorized()
    const problem = (await response.json().catch(() => ({}))) as Partial<Problem>
    const message = problem.detail ?? problem.title ?? `The server answered ${response.status}.`
    throw new RequestError(response.status, message, problem.hint ?? '')
  }

  /** `Date` has whole seconds, and the answer took its time: less than 2 s is no difference. */
  #noteServerTime(date: string | null): void {
    const serverMs = Date.parse(date ?? '')
    if (Number.isNaN(serverMs)) return
    const aheadMs = serverMs - this.#clock.nowUs() / 1000
    this.#aheadMs = Math.abs(aheadMs) < 2000 ? 0 : aheadMs
  }
}
