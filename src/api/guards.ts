/**
 * What keeps one connection from taking the server's memory or its sockets: what it has under way
 * is counted, what it does not take is not waited for, and bytes that are no request end it.
 */
import type { Socket } from 'node:net'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { WeirError, type ErrorCode } from '../errors/errors.ts'
import type { Registry } from '../observe/observe.ts'
import type { BodyShare } from './body-budget.ts'
import type { Identity } from './credentials.ts'
import { rawProblem } from './problems.ts'
import type { Services } from './services.ts'

/** Nobody asks on before the answer comes, but for a few clients of long ago. */
const PIPELINE_MAX = 16
/** From the answer to bytes that are no request until a peer that does not close is cut off. */
const LINGER_MS = 2000

/** What a connection has under way. */
interface Connection {
  /** Requests whose answer is not out yet. */
  waiting: number
  shares: Set<BodyShare>
}

const connections = new WeakMap<Socket, Connection>()

function connectionOf(socket: Socket): Connection {
  const known = connections.get(socket)
  if (known !== undefined) return known
  const connection: Connection = { waiting: 0, shares: new Set() }
  connections.set(socket, connection)
  // A request behind another one hears nothing of the end of its connection.
  socket.once('close', () => {
    for (const share of connection.shares) share.release()
  })
  return connection
}

export function countRefusal(registry: Registry, code: ErrorCode): void {
  const help = 'Connections that were ended instead of answering a request.'
  registry.counter('weir_api_refused_total', help, { code }).add()
}

/**
 * Node reads all requests that come in one piece, and keeps the answers until the client takes
 * them: a megabyte of `GET` would make a gigabyte. Throws API_PIPELINE_TOO_LONG.
 */
export function enterRequest(
  request: FastifyRequest,
  reply: FastifyReply,
  { registry, limits }: Services,
): void {
  const { socket } = request
  const connection = connectionOf(socket)
  connection.waiting++
  reply.raw.once('close', () => connection.waiting--)
  // Late is a client that does not take its answer, not an answer that is still being made.
  reply.raw.on('timeout', () => {
    if (socket.writableLength > 0) socket.destroy()
    else socket.setTimeout(limits.idleTimeoutMs)
  })
  if (connection.waiting <= PIPELINE_MAX) return
  if (!socket.destroyed) countRefusal(registry, 'API_PIPELINE_TOO_LONG')
  socket.destroy()
  throw new WeirError('API_PIPELINE_TOO_LONG')
}

/** The memory for this request's body, until it was answered or its connection is gone. */
export function openBody(
  request: FastifyRequest,
  reply: FastifyReply,
  { bodies }: Services,
): BodyShare {
  const share = bodies.open(ownerOf(request.weirIdentity))
  const { shares } = connectionOf(request.socket)
  shares.add(share)
  reply.raw.once('close', () => {
    share.release()
    shares.delete(share)
  })
  return share
}

/** Null where no route was found. */
function ownerOf(identity: Identity | null): string {
  const { principal } = identity ?? {}
  if (principal === undefined) return ''
  return principal.kind === 'admin' ? 'admin' : `${principal.tenant} ${principal.deviceId}`
}

/** What came was no request, or came too slowly: says so, and ends the connection for certain. */
export function refuseBytes(
  error: NodeJS.ErrnoException,
  socket: Socket,
  { registry, ports }: Services,
): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const isLate = error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
  const code = isLate ? 'API_REQUEST_TIMEOUT' : 'API_REQUEST_MALFORMED'
  countRefusal(registry, code)
  socket.end(rawProblem(new WeirError(code)))
  // The server's end alone would leave the connection open for as long as the peer likes.
  socket.resume()
  const cancel = ports.clock.after(LINGER_MS, () => socket.destroy())
  socket.once('close', cancel)
}
