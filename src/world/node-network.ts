/**
 * TCP by `node:net`. Tens of thousands of idle connections must stay cheap, so a connection costs
 * its socket and one handler: the listeners are shared functions that find the handler on the
 * socket.
 */
import { createServer, Socket as NetSocket, type Server } from 'node:net'
import { WeirError } from '../errors/errors.ts'
import type { Listener, Network, Socket, SocketHandler } from './world.ts'

/** A reader this far behind is not reading; it is closed rather than buffered for. */
const BUFFERED_BYTES_MAX = 4 * 1024 * 1024
/** Read at most this at a time. */
const READ_BYTES_MAX = 64 * 1024
/** From our end() until a peer that does not close its side is cut off. */
const LINGER_MS = 2000

interface HandledSocket extends NetSocket {
  weirHandler: SocketHandler
}

class NodeSocket implements Socket {
  readonly #socket: NetSocket

  constructor(socket: NetSocket) {
    this.#socket = socket
  }

  get remoteAddress(): string {
    return this.#socket.remoteAddress ?? ''
  }

  get bufferedBytes(): number {
    return this.#socket.writableLength
  }

  write(bytes: Uint8Array): void {
    if (this.#socket.destroyed) return
    if (!this.#socket.write(bytes) && this.#socket.writableLength > BUFFERED_BYTES_MAX) {
      this.#socket.destroy()
    }
  }

  end(): void {
    const socket = this.#socket
    socket.end()
    // A peer that never closes its side would hold the connection open; an idle time-out would not
    // end one that goes on sending.
    socket.resume()
    const timer = setTimeout(() => socket.destroy(), LINGER_MS).unref()
    socket.once('close', () => clearTimeout(timer))
  }

  destroy(): void {
    this.#socket.destroy()
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }
}

/**
 * All connections of a thread read into this one buffer, which the handler has finished with when
 * it returns. Node's default is a new 64 KiB buffer a read: memory outside the heap that only a
 * full collection gives back, so at speed there were ten full collections a second.
 */
const readBuffer = Buffer.allocUnsafeSlow(READ_BYTES_MAX)

/** Parts of a socket that Node does not document; its own cluster module hands handles on so. */
const HANDLE = '_handle'
const SERVER = '_server'
type Internals = Record<typeof HANDLE | typeof SERVER, unknown>

/** Moves an accepted connection to a socket that reads into `readBuffer`. */
function withReadBuffer(accepted: NetSocket): HandledSocket {
  const old = accepted as unknown as Internals
  const socket = new NetSocket({
    handle: old[HANDLE],
    onread: {
      buffer: readBuffer,
      callback(count: number, bytes: Uint8Array) {
        socket.weirHandler.data(bytes.subarray(0, count))
        return true
      },
    },
    // Reading begins when the handler is there.
    manualStart: true,
  } as object) as HandledSocket
  // The server counts its connections by this.
  ;(socket as unknown as Internals)[SERVER] = old[SERVER]
  old[SERVER] = null
  old[HANDLE] = null
  return socket
}

function onClose(this: NetSocket): void {
  ;(this as HandledSocket).weirHandler.closed()
}

/** Resets and the like end in 'close', which is all that matters. */
function onError(): void {}

export const nodeNetwork: Network = {
  listen({ host, port, connectionsMax, admits, dropped }, accept) {
    const server = createServer({ noDelay: true, pauseOnConnect: true }, (accepted) => {
      if (admits?.(accepted.remoteAddress ?? '') === false) {
        accepted.resetAndDestroy()
        return
      }
      const socket = withReadBuffer(accepted)
      socket.weirHandler = accept(new NodeSocket(socket))
      socket.on('close', onClose)
      socket.on('error', onError)
      socket.resume()
    })
    server.maxConnections = connectionsMax
    if (dropped !== undefined) server.on('drop', dropped)
    return new Promise((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) => {
        const isBusy = error.code === 'EADDRINUSE' || error.code === 'EACCES'
        reject(isBusy ? new WeirError('PORT_IN_USE', `port ${port} of ${host}`) : error)
      })
      server.listen({ host, port, backlog: 4096 }, () => resolve(new NodeListener(server)))
    })
  },
}

class NodeListener implements Listener {
  readonly #server: Server
  readonly port: number

  constructor(server: Server) {
    this.#server = server
    const address = server.address()
    this.port = typeof address === 'object' && address !== null ? address.port : 0
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#server.close(() => resolve()))
  }
}
