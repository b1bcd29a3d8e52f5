/**
 * The HTTP server: fastify for sockets and routing, everything else our own: one access table, one
 * reader of parameters and bodies, one shape of errors, one document made of the routes.
 *
 * A1 Every error is RFC 9457 problem details, also 404, 405 and HTTP that cannot be parsed.
 * A2 A request reaches its handler only through `authorise`.
 * A3 Telemetry bodies reach the gateway byte for byte (after gzip), and are answered only after it.
 * A4 close() takes no new request, ends live streams, lets the others finish within `drainMs`.
 */
import type { AddressInfo } from 'node:net'
import type { Readable } from 'node:stream'
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { WeirError } from '../errors/errors.ts'
import { Registry, type Events } from '../observe/observe.ts'
import type { Disk } from '../world/world.ts'
import { ACCESS, authorise, type Access } from './access.ts'
import type { ApiPorts, LiveFeed } from './api.ts'
import { readBody } from './bodies.ts'
import { BodyBudget, type BodyShare } from './body-budget.ts'
import { identify, type Identity } from './credentials.ts'
import { countRefusal, enterRequest, openBody, refuseBytes } from './guards.ts'
import { checkHosts, isLoopbackAddress, isSameOrigin } from './hosts.ts'
import { LiveStreams } from './live-streams.ts'
import { registerPage } from './page.ts'
import { sendProblem, toWeirError } from './problems.ts'
import { QuestionGate } from './question-gate.ts'
import { TAKEN_OVER, type Answer, type Incoming, type Route } from './route.ts'
import { backtestRoutes } from './routes/backtests.ts'
import { alertRoutes } from './routes/alerts.ts'
import { deliveryRoutes } from './routes/deliveries.ts'
import { deviceRoutes } from './routes/devices.ts'
import { liveRoutes } from './routes/live.ts'
import { queryRoutes } from './routes/queries.ts'
import { recipientRoutes } from './routes/recipients.ts'
import { ruleRoutes } from './routes/rules.ts'
import { sessionRoutes } from './routes/sessions.ts'
import { silenceRoutes } from './routes/silences.ts'
import { erasureRoutes } from './routes/erasures.ts'
import { sqlRoutes } from './routes/sql.ts'
import { archiveRoutes } from './routes/archive.ts'
import { exportedRoute, storageRoutes } from './routes/storage.ts'
import { documentRoute, systemRoutes } from './routes/system.ts'
import { telemetryRoutes } from './routes/telemetry.ts'
import { API_LIMITS, type ApiLimits, type Gates, type Services } from './services.ts'
import { readWebFiles } from './web-files.ts'

export interface ApiOptions {
  /** Names (without port) that Host and Origin may carry beside loopback's. */
  hosts?: readonly string[]
  /** The built page; without it, `/` is not found. */
  web?: { folder: string; disk: Disk }
  limits?: Partial<ApiLimits>
  events?: Events
}

export interface Api {
  /** Resolves with the actual port. Throws PORT_IN_USE. */
  listen(host: string, port: number): Promise<number>
  close(): Promise<void>
  /** For the printed address: `http://…/?code=…`, valid once, for 10 minutes. */
  createSignInCode(): Promise<string>
}

declare module 'fastify' {
  interface FastifyContextConfig {
    weirRoute?: Route
  }
  interface FastifyRequest {
    weirIdentity: Identity
    weirBody: BodyShare
  }
}

/** Builds the server; nothing listens yet. */
export async function createApi(ports: ApiPorts, options: ApiOptions = {}): Promise<Api> {
  const limits = { ...API_LIMITS, ...options.limits }
  const services = createServices(ports, limits, options.events)
  const liveStreams = ports.live && createLiveStreams(services, ports.live)
  const app = createApp(services)
  const state = { isClosing: false }
  addGates(app, services, { state, hosts: new Set(options.hosts) })
  const routes = allRoutes(services, liveStreams)
  for (const route of routes) addRoute(app, route, limits.inflatedBytesMax)
  const files = options.web && (await readWebFiles(options.web.disk, options.web.folder))
  registerPage(app, files ?? new Map())
  addErrors(app, routes, services)
  return {
    listen: (host, port) => listen(app, host, port),
    createSignInCode: () => ports.signIns.create('code'),
    async close() {
      state.isClosing = true
      liveStreams?.close()
      const cancel = ports.clock.after(limits.drainMs, () => app.server.closeAllConnections())
      await app.close()
      cancel()
    },
  }
}

function createServices(ports: ApiPorts, limits: ApiLimits, events: Events | undefined): Services {
  const registry = new Registry()
  const bodies = new BodyBudget(limits.bodiesBytesMax)
  registry.gaugeOf(
    'weir_api_body_bytes',
    'Bodies of requests under way beyond their first 64 KiB.',
    () => bodies.bytes,
  )
  return { ports, limits, bodies, gates: gatesOf(ports, limits, registry), registry, events }
}

function gatesOf({ clock }: ApiPorts, limits: ApiLimits, registry: Registry): Gates {
  const { questionsAtOnce, statementsAtOnce, questionsWaitingMax: waitingMax } = limits
  const open = (kind: keyof Gates, atOnce = questionsAtOnce, timeMs = limits.questionTimeMs) =>
    new QuestionGate({ kind, clock, registry, limits: { atOnce, waitingMax, timeMs } })
  // Statements have a time of their own.
  const sql = open('sql', statementsAtOnce, Infinity)
  return { query: open('query'), latest: open('latest'), sql }
}

function createLiveStreams({ ports, limits, registry, events }: Services, feed: LiveFeed) {
  return new LiveStreams({
    ...{ feed, clock: ports.clock, registry, events },
    streamsMax: limits.liveStreamsMax,
    bufferBytesMax: limits.liveBufferBytesMax,
    heartbeatMs: limits.heartbeatMs,
  })
}

/** What a process does not do it has no routes for: on a cluster each does a part. */
function allRoutes(services: Services, liveStreams: LiveStreams | undefined): Route[] {
  const { ports } = services
  const { telemetry, query, live, alerts, backtests, storage, exports, sql, erasures } = ports
  const routes = systemRoutes(services)
  if (telemetry !== undefined) {
    routes.unshift(...telemetryRoutes({ ...services, ports: { ...ports, telemetry } }))
  }
  if (query !== undefined && live !== undefined && liveStreams !== undefined) {
    const console = { ...services, ports: { ...ports, query, live } }
    routes.unshift(
      ...deviceRoutes(console),
      ...queryRoutes(console),
      ...liveRoutes(console, liveStreams),
      ...sessionRoutes(console),
    )
    if (alerts !== undefined) {
      const desk = { ...console, ports: { ...console.ports, alerts } }
      routes.unshift(
        ...alertRoutes(desk),
        ...ruleRoutes(desk),
        ...recipientRoutes(desk),
        ...silenceRoutes(desk),
        ...deliveryRoutes(desk),
      )
    }
  }
  if (erasures !== undefined) {
    routes.unshift(...erasureRoutes({ ...services, ports: { ...ports, erasures } }))
  }
  if (sql !== undefined) {
    routes.unshift(...sqlRoutes({ ...services, ports: { ...ports, sql } }))
  }
  if (storage !== undefined) {
    const parts = { ...services, ports: { ...ports, storage } }
    routes.unshift(...storageRoutes(parts), ...archiveRoutes(parts))
  } else if (exports !== undefined) routes.unshift(exportedRoute(exports))
  if (backtests !== undefined) {
    routes.unshift(...backtestRoutes({ ...services, ports: { ...ports, backtests } }))
  }
  return [...routes, documentRoute(routes)]
}

/** Ids of 128 characters of 4 bytes, each byte percent-encoded, and some air. */
const PATH_PARAMETER_LENGTH_MAX = 2048
/** How often Node looks for requests that are late; its own 30 s would stretch every time-out. */
const LATENESS_CHECK_MS_MAX = 1000
const KEEP_ALIVE_MS = 75_000

function createApp(services: Services): FastifyInstance {
  const { limits, registry } = services
  const app = fastify({
    logger: false,
    bodyLimit: limits.bodyBytesMax,
    requestTimeout: limits.requestTimeoutMs,
    connectionTimeout: limits.idleTimeoutMs,
    keepAliveTimeout: KEEP_ALIVE_MS,
    return503OnClosing: false,
    routerOptions: { maxParamLength: PATH_PARAMETER_LENGTH_MAX },
    http: {
      headersTimeout: limits.headersTimeoutMs,
      // Often enough that a late head is told before the connection counts as idle.
      connectionsCheckingInterval: Math.min(LATENESS_CHECK_MS_MAX, limits.headersTimeoutMs / 4),
    },
    frameworkErrors: (error, _request, reply) => {
      sendProblem(reply, toWeirError(error))
    },
    clientErrorHandler: (error, socket) => refuseBytes(error, socket, services),
  })
  app.server.maxConnections = limits.connectionsMax
  app.server.on('drop', () => countRefusal(registry, 'API_CONNECTIONS_EXCEEDED'))
  // Bodies stay bytes: the route says what they are.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (request: FastifyRequest, payload: Readable) => {
    const room = { bytesMax: limits.bodyBytesMax, share: request.weirBody }
    return readBody(payload, request.headers['content-length'], room)
  })
  app.decorateRequest('weirIdentity', null as unknown as Identity)
  app.decorateRequest('weirBody', null as unknown as BodyShare)
  return app
}

/** What every request passes before its route: Host and Origin, then who is asking for what. */
function addGates(
  app: FastifyInstance,
  services: Services,
  gate: { state: { isClosing: boolean }; hosts: ReadonlySet<string> },
): void {
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-content-type-options', 'nosniff')
    if (gate.state.isClosing) throw new WeirError('GATEWAY_SHUTTING_DOWN')
    enterRequest(request, reply, services)
    const { host, origin } = request.headers
    const { localAddress } = request.socket
    checkHosts({ host, origin, localAddress }, gate.hosts)
    const route = request.routeOptions.config.weirRoute
    if (route !== undefined) {
      request.weirIdentity = await authoriseRequest(request, route, services)
    }
    request.weirBody = openBody(request, reply, services)
  })
  const { registry } = services
  app.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.config.weirRoute?.key ?? 'other'
    const labels = { route, status: String(reply.statusCode) }
    registry.counter('weir_api_requests_total', 'Answered requests.', labels).add()
    registry
      .histogram('weir_api_request_duration_seconds', 'Time to the whole answer.', {
        labels: { route },
      })
      .observe(reply.elapsedTime / 1000)
  })
}

async function authoriseRequest(
  request: FastifyRequest,
  route: Route,
  services: Services,
): Promise<Identity> {
  const access: Access = ACCESS[route.key]
  const { headers, socket, method } = request
  const query = request.query as Record<string, unknown>
  const isReading = method === 'GET' || method === 'HEAD'
  const isAnyone = access === 'anyone'
  const source = {
    // Where anyone may ask, a wrong key does not matter.
    authorization: isAnyone ? undefined : headers.authorization,
    // Nor does a session: a browser that asks whether we are healthy must not ask the registry.
    cookie: isAnyone && isReading ? undefined : headers.cookie,
    password: typeof query['p'] === 'string' ? query['p'] : undefined,
    isLineDoor: route.isLineDoor === true,
  }
  const identity = await identify(source, services.ports)
  if (identity.session !== undefined && !isReading && !isSameOrigin(headers)) {
    throw new WeirError('API_FORBIDDEN', 'a session changes things only from the page itself')
  }
  const isProxied = headers['x-forwarded-for'] !== undefined || headers['forwarded'] !== undefined
  authorise({
    access,
    principal: identity.principal,
    pathDeviceId: (request.params as { id?: string }).id,
    isHistorical: query['historical'] !== undefined && query['historical'] !== 'false',
    isLocal: isLoopbackAddress(socket.remoteAddress) && !isProxied,
  })
  return identity
}

function addRoute(app: FastifyInstance, route: Route, inflatedBytesMax: number): void {
  const [method = '', path = ''] = route.key.split(' ')
  const isStream = route.answers[200]?.content?.mediaType === 'text/event-stream'
  app.route({
    method,
    url: path.replaceAll(/\{(\w+)\}/g, ':$1'),
    // A HEAD of a stream would never end.
    exposeHeadRoute: !isStream,
    config: { weirRoute: route },
    async handler(request, reply) {
      const incoming = { ...request.weirIdentity, ...inputs(request), request, reply }
      const room = { bytesMax: inflatedBytesMax, share: request.weirBody }
      return sendAnswer(reply, await route.run(incoming, room))
    },
  })
}

const inputs = (request: FastifyRequest): Pick<Incoming, 'params' | 'query' | 'body'> => ({
  params: request.params as Record<string, string>,
  query: request.query as Record<string, unknown>,
  body: request.body as Incoming['body'],
})

function sendAnswer(reply: FastifyReply, answer: Answer): FastifyReply {
  if (answer === TAKEN_OVER) return reply
  reply.code(answer.status).header('cache-control', 'no-store')
  if (answer.headers !== undefined) reply.headers(answer.headers)
  if (answer.text !== undefined) {
    return reply.header('content-type', answer.text.mediaType).send(answer.text.text)
  }
  if (answer.json === undefined) return reply.send()
  return reply
    .header('content-type', 'application/json; charset=utf-8')
    .send(JSON.stringify(answer.json))
}

function addErrors(app: FastifyInstance, routes: readonly Route[], { events }: Services): void {
  app.setErrorHandler((error, request, reply) => {
    const known = toWeirError(error)
    if (known.code === 'INTERNAL_FAULT') {
      const route = request.routeOptions.config.weirRoute?.key ?? 'other'
      const cause = known.cause ?? known
      events?.requestFailed({ route, problem: cause instanceof Error ? cause.message : 'unknown' })
    }
    return sendProblem(reply, known)
  })
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?', 1)[0] ?? ''
    const allow = methodsOf(routes, path)
    if (allow.length === 0) {
      return sendProblem(reply, new WeirError('API_NOT_FOUND', `there is nothing at ${path}`))
    }
    const detail = `${request.method} is not possible at ${path}, but ${allow.join(', ')}`
    const details = { allow: allow.join(', ') }
    return sendProblem(reply, new WeirError('API_METHOD_NOT_ALLOWED', detail, { details }))
  })
}

/** The methods that the routes at this path have. */
function methodsOf(routes: readonly Route[], path: string): string[] {
  return routes.flatMap(({ key }) => {
    const [method = '', pattern = ''] = key.split(' ')
    const matches = new RegExp(`^${pattern.replaceAll(/\{\w+\}/g, '[^/]+')}$`).test(path)
    return matches ? [method] : []
  })
}

async function listen(app: FastifyInstance, host: string, port: number): Promise<number> {
  try {
    await app.listen({ host, port })
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw cause
    throw new WeirError('PORT_IN_USE', `port ${port} of ${host} is in use`, { cause })
  }
  return (app.server.address() as AddressInfo).port
}
