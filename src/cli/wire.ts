/** The fleet's connections over real sockets: `mqtt://` is TCP, `mqtts://` is TLS. */
import { connect as connectTcp } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { Dial } from '../fleet/mqtt-client.ts'

export function dialTo(url: URL): Dial {
  const isTls = url.protocol === 'mqtts:'
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const port = Number(url.port) || (isTls ? 8883 : 1883)
  return (events) => {
    const socket = isTls
      ? connectTls({ host, port, servername: host })
      : connectTcp({ host, port, noDelay: true })
    let reason = 'the server closed the connection'
    socket.once(isTls ? 'secureConnect' : 'connect', () => events.opened())
    socket.on('data', (bytes) => events.received(bytes))
    socket.on('error', (error) => (reason = error.message))
    socket.once('close', () => events.closed(reason))
    return {
      write: (bytes) => void socket.write(bytes),
      end: () => void socket.end(),
      close: () => void socket.destroy(),
    }
  }
}
