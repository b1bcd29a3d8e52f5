/**
 * A small server with the routes that the page uses: it keeps what is posted and pushes it live.
 * The page's tests use it where they must command the server; a person's way through the page is
 * tested against the real system.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { readFile } from 'node:fs/promises'
import { extname, join, normalize } from 'node:path'
import type { AddressInfo, Socket } from 'node:net'
import type { AlertBody, LiveEvent } from '../../src/api/api.ts'
import type { AnomalyRow, Value } from '../../src/query/query.ts'

interface StoredDevice {
  id: string
  type: string
  location?: string
  metrics: Map<string, { unit?: string; points: [number, Value][] }>
}

interface Subscriber {
  response: ServerResponse
  deviceIds: Set<string>
}

/** The strictest policy under which the page must work; the real API sends one like it. */
const CONTENT_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

const MEDIA_TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
}

export class SmallServer {
  readonly devices = new Map<string, StoredDevice>()
  readonly alerts: AlertBody[] = []
  readonly anomalies: AnomalyRow[] = []
  /** Paths and queries of all requests, in order. */
  readonly requests: string[] = []
  readonly #folder: string
  readonly #codes = new Set<string>()
  readonly #sessions = new Set<string>()
  readonly #subscribers = new Set<Subscriber>()
  readonly #sockets = new Set<Socket>()
  #server: Server | undefined
  #port = 0

  constructor(folder: string) {
    this.#folder = folder
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  /** The devices whose readings are pushed to somebody. */
  get followed(): Set<string> {
    return new Set([...this.#subscribers].flatMap(({ deviceIds }) => [...deviceIds]))
  }

  /** Listens on the port of the last time, so that a page finds it again after an outage. */
  async start(): Promise<void> {
    const server = createServer((request, response) => {
      void this.#answer(request, response).catch(() => response.destroy())
    })
    server.on('connection', (socket) => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
    })
    this.#server = server
    await new Promise<void>((resolve) => server.listen(this.#port, '127.0.0.1', resolve))
    this.#port = (server.address() as AddressInfo).port
  }

  /** Cuts every connection, as a crash does. */
  async stop(): Promise<void> {
    this.#subscribers.clear()
    const closed = new Promise((resolve) => this.#server?.close(resolve))
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  makeCode(): string {
    const code = `code-${this.#codes.size + this.#sessions.size}-${Math.random()}`
    this.#codes.add(code)
    return code
  }

  endSessions(): void {
    this.#sessions.clear()
  }

  register(id: string, type = 'generic', location?: string): void {
    this.devices.set(id, { id, type, ...(location ? { location } : {}), metrics: new Map() })
  }

  /** Keeps the reading and pushes it to who follows the device. */
  post(id: string, metric: string, [ts, value]: [number, Value], unit?: string): void {
    const device = this.devices.get(id)
    if (device === undefined) throw new Error(`no device ${id}`)
    const series = device.metrics.get(metric) ?? { ...(unit ? { unit } : {}), points: [] }
    device.metrics.set(metric, series)
    series.points.push([ts, value])
    this.push({ event: 'reading', data: { device_id: id, metric, ts, value } })
  }

  push(event: LiveEvent): void {
    for (const { response, deviceIds } of this.#subscribers) {
      if (event.event === 'reading' && !deviceIds.has(event.data.device_id)) continue
      response.write(`event: ${event.event}\ndata: ${JSON.stringify(event.data)}\n\n`)
    }
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', this.url)
    this.requests.push(url.pathname + url.search)
    if (!url.pathname.startsWith('/v1/')) return this.#file(url.pathname, response)
    if (url.pathname === '/v1/session') {
      return request.method === 'POST'
        ? this.#openSession(request, response)
        : this.#closeSession(response)
    }
    const session = /session=([^;]+)/.exec(request.headers.cookie ?? '')?.[1] ?? ''
    if (!this.#sessions.has(session)) return problem(response, 401, 'Sign in first.')
    if (url.pathname === '/v1/live') return this.#live(url, response)
    const answer = request.method === 'POST' ? this.#acknowledge(url) : this.#route(url)
    if (answer === undefined) return problem(response, 404, 'There is no such thing.')
    json(response, 200, answer)
  }

  #acknowledge(url: URL): AlertBody | undefined {
    const [, id] = /^\/v1\/alerts\/(.*)\/acknowledge$/.exec(url.pathname) ?? []
    const alert = this.alerts.find((one) => one.id === decodeURIComponent(id ?? ''))
    if (alert !== undefined) alert.acknowledged = { by: 'page', at: Date.now() }
    return alert
  }

  #route(url: URL): unknown {
    const parameters = url.searchParams
    const limit = Number(parameters.get('limit') ?? 100)
    if (url.pathname === '/v1/devices') return this.#list(parameters.get('after') ?? '', limit)
    if (url.pathname === '/v1/query') return this.#query(parameters)
    if (url.pathname === '/v1/alerts') return { alerts: this.alerts.slice(-limit).reverse() }
    if (url.pathname === '/v1/anomalies') {
      return { anomalies: this.anomalies.slice(-limit).reverse() }
    }
    const [, , , id = '', latest] = url.pathname.split('/')
    const device = this.devices.get(decodeURIComponent(id))
    if (device === undefined || latest === undefined) return device && withoutMetrics(device)
    const metrics: Record<string, { ts: number; value: Value; unit?: string }> = {}
    for (const [name, { unit, points }] of device.metrics) {
      const [ts, value] = points.at(-1) ?? [0, 0]
      metrics[name] = { ts, value, ...(unit ? { unit } : {}) }
    }
    return { metrics }
  }

  #list(after: string, limit: number): unknown {
    const ids = [...this.devices.keys()].filter((id) => id > after).sort()
    const devices = ids.slice(0, limit).map((id) => withoutMetrics(this.devices.get(id)))
    const next = ids.length > limit ? ids[limit - 1] : null
    return { devices, next, total: this.devices.size }
  }

  /** Thins by leaving out, which is enough here; the real one keeps the peaks. */
  #query(parameters: URLSearchParams): unknown {
    const series = this.devices.get(parameters.get('device_id') ?? '')?.metrics
    const points = series?.get(parameters.get('metric') ?? '')?.points ?? []
    const [start, end] = [Number(parameters.get('start')), Number(parameters.get('end'))]
    const inside = points.filter(([ts]) => ts >= start && ts < end).sort(([a], [b]) => a - b)
    const step = Math.max(1, Math.ceil(inside.length / Number(parameters.get('max_points'))))
    return { points: inside.filter((_, index) => index % step === 0), meta: {} }
  }

  async #openSession(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = ''
    for await (const chunk of request) body += String(chunk)
    const { code } = JSON.parse(body) as { code: string }
    if (!this.#codes.delete(code)) return problem(response, 401, 'The code is not good.')
    const session = `session-${Math.random()}`
    this.#sessions.add(session)
    response.setHeader('set-cookie', `session=${session}; HttpOnly; SameSite=Strict; Path=/`)
    json(response, 200, {})
  }

  #closeSession(response: ServerResponse): void {
    this.#sessions.clear()
    response.setHeader('set-cookie', 'session=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0')
    response.writeHead(204).end()
  }

  #live(url: URL, response: ServerResponse): void {
    const deviceIds = new Set(url.searchParams.getAll('device_id'))
    for (const id of deviceIds) {
      if (!this.devices.has(id)) return problem(response, 404, `There is no device ${id}.`)
    }
    const subscriber = { response, deviceIds }
    this.#subscribers.add(subscriber)
    response.on('close', () => this.#subscribers.delete(subscriber))
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    response.write(': hello\n\n')
  }

  async #file(path: string, response: ServerResponse): Promise<void> {
    const name = path === '/' ? 'index.html' : normalize(path).replace(/^(\.\.[/\\])+/, '')
    try {
      const bytes = await readFile(join(this.#folder, name))
      response.writeHead(200, {
        'content-type': MEDIA_TYPES[extname(name)] ?? 'application/octet-stream',
        'content-security-policy': CONTENT_POLICY,
      })
      response.end(bytes)
    } catch {
      problem(response, 404, `No file ${name}.`)
    }
  }
}

function withoutMetrics(device: StoredDevice | undefined): unknown {
  return device && { id: device.id, type: device.type, location: device.location ?? null }
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify(body))
}

function problem(response: ServerResponse, status: number, detail: string): void {
  json(response, status, { status, detail, title: detail, hint: '' })
}
