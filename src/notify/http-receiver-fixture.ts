/** Receivers on loopback for tests: real HTTP and TCP servers that do what they are told. */
import { createServer as createHttp, type IncomingMessage } from 'node:http'
import type { Server as HttpServer, ServerResponse } from 'node:http'
import { createServer as createHttps } from 'node:https'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { CERTIFICATE, KEY } from './tls-fixture.ts'

export interface ReceivedRequest {
  method: string
  path: string
  headers: IncomingMessage['headers']
  body: string
  /** The name that TLS asked for. */
  serverName: string | undefined
}

export interface HttpReceiver {
  port: number
  requests: ReceivedRequest[]
  /** Connections so far. */
  connections: number
  /** Instead of 200. */
  answer: (response: ServerResponse, request: ReceivedRequest) => void
  close(): Promise<void>
}

const say = (response: ServerResponse): void => void response.end('ok')

export async function openHttpReceiver(how: { isTls?: boolean } = {}): Promise<HttpReceiver> {
  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    readBody(request).then(
      (body) => {
        const { method = '', url: path = '', headers, socket } = request
        const { servername } = socket as { servername?: string | false }
        const serverName = servername === false ? undefined : servername
        const received = { method, path, headers, body, serverName }
        receiver.requests.push(received)
        receiver.answer(response, received)
      },
      // The sender went away.
      () => response.destroy(),
    )
  }
  const server: HttpServer =
    how.isTls === true
      ? createHttps({ key: KEY, cert: CERTIFICATE }, listener)
      : createHttp(listener)
  server.on('connection', () => receiver.connections++)
  const receiver: HttpReceiver = {
    port: await listening(server),
    requests: [],
    connections: 0,
    answer: say,
    async close() {
      const { promise, resolve } = Promise.withResolvers<void>()
      server.close(() => resolve())
      server.closeAllConnections()
      await promise
    },
  }
  return receiver
}

async function readBody(request: IncomingMessage): Promise<string> {
  const parts: Uint8Array[] = []
  for await (const part of request as AsyncIterable<Uint8Array>) parts.push(part)
  return Buffer.concat(parts).toString()
}

interface Listening {
  listen(port: number, host: string, listening: () => void): unknown
  address(): unknown
}

const listening = (server: Listening): Promise<number> =>
  new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port))
  })

export interface SilentReceiver {
  port: number
  /** Connections that are open now. */
  open: number
  close(): Promise<void>
}

/** Takes connections and what is sent on them, and says nothing. */
export async function openSilentReceiver(): Promise<SilentReceiver> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket))
    socket.resume()
  })
  return {
    port: await listening(server),
    get open() {
      return sockets.size
    },
    async close() {
      const { promise, resolve } = Promise.withResolvers<void>()
      server.close(() => resolve())
      for (const socket of sockets) socket.destroy()
      await promise
    },
  }
}

/** A port on which nobody listens. */
export async function closedPort(): Promise<number> {
  const receiver = await openSilentReceiver()
  await receiver.close()
  return receiver.port
}
