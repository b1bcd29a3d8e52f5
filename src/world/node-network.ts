/**
 * TCP by `node:net`. Tens of thousands of idle connections must stay cheap, so a connection costs
 * its socket and one handler: the listeners are shared functions that find the handler on the
 * socket.
 */
import { createServer, type Server, type Socket as NetSocket } from 'node:net'
import { WeirError } from '../errors/errors.ts'
import type { Listener, Network, Socket, SocketHandler } from './world.ts'

/** A reader this far behind is not reading; it is closed rather than buffered for. */
const BUFFERED_BYTES_MAX = 4 * 1024 * 1024

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
    this.#socket.end()
    // A peer that never closes its side would hold the connection open.
    this.#socket.resume()
    this.#socket.setTimeout(2000, onTimeout)
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

function onTimeout(this: NetSocket): void {
  this.destroy()
}

function onData(this: NetSocket, bytes: Uint8Array): void {
  ;(this as HandledSocket).weirHandler.data(bytes)
}

function onClose(this: NetSocket): void {
  ;(this as HandledSocket).weirHandler.closed()
}

/** Resets and the like end in 'close', which is all that matters. */
function onError(): void {}

export const nodeNetwork: Network = {
  listen({ host, port, connectionsMax }, accept) {
    const server = createServer({ noDelay: true }, (socket) => {
      const handled = socket as HandledSocket
      handled.weirHandler = accept(new NodeSocket(socket))
      socket.on('data', onData)
      socket.on('close', onClose)
      socket.on('error', onError)
    })
    server.maxConnections = connectionsMax
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
