/** A way to a service that can be closed, or stopped as a network stops: nothing moves or fails. */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

export interface Proxy {
  port: number
  /** What is sent stays where it is, until thaw(). */
  freeze(): void
  thaw(): void
  /** Ends every connection; new ones are taken. */
  cut(): void
  close(): void
}

export async function openProxy(toPort: number): Promise<Proxy> {
  const sockets = new Set<Socket>()
  let isFrozen = false
  const join = (from: Socket, to: Socket): void => {
    sockets.add(from)
    from.on('data', (bytes) => to.write(bytes))
    from.on('error', () => to.destroy())
    from.on('close', () => {
      sockets.delete(from)
      to.destroy()
    })
    if (isFrozen) from.pause()
  }
  const server = createServer((client) => {
    const service = connect(toPort, '127.0.0.1')
    join(client, service)
    join(service, client)
  })
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
  const each = (act: (socket: Socket) => void): void => sockets.forEach((socket) => act(socket))
  return {
    port: (server.address() as AddressInfo).port,
    freeze() {
      isFrozen = true
      each((socket) => socket.pause())
    },
    thaw() {
      isFrozen = false
      each((socket) => socket.resume())
    },
    cut: () => each((socket) => socket.destroy()),
    close() {
      server.close()
      each((socket) => socket.destroy())
    },
  }
}
