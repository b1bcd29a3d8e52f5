/** An MQTT client that only says that it is there, and never gives up by itself. */
import { connect } from 'node:net'
import { generate, parser as createParser } from 'mqtt-packet'

/** Its keep-alive; the server gives up after one and a half of it. */
const KEEP_ALIVE_SECONDS = 2

/** Pings twice as often as it promised. */
export function openPinging(port: number, of: { id: string; token: string }) {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true })
  const state = { isConnected: false, isClosed: false, pongs: 0 }
  const parser = createParser({ protocolVersion: 4 })
  parser.on('packet', (packet) => {
    if (packet.cmd === 'connack') state.isConnected = packet.returnCode === 0
    if (packet.cmd === 'pingresp') state.pongs++
  })
  socket.on('data', (bytes) => parser.parse(bytes))
  socket.on('close', () => (state.isClosed = true))
  socket.on('error', () => {})
  socket.write(
    generate({
      ...{ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clean: true },
      ...{ clientId: of.id, username: of.id, password: Buffer.from(of.token) },
      keepalive: KEEP_ALIVE_SECONDS,
    }),
  )
  const pinging = setInterval(
    () => socket.write(generate({ cmd: 'pingreq' })),
    KEEP_ALIVE_SECONDS * 500,
  )
  const close = (): void => {
    clearInterval(pinging)
    socket.destroy()
  }
  return { state, close }
}
