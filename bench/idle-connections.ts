/** Opens many MQTT connections that then say nothing. */
import { connect, type Socket } from 'node:net'
import { encodeConnect } from '../src/fleet/mqtt-packets.ts'

const PARALLEL = 100
const CONNACK_BYTES = 4

let clientCount = 0

/** One socket for each client, in any order, all accepted. Each has a client id of its own. */
export async function openIdleConnections(
  port: number,
  clients: { name: string; secret: string }[],
): Promise<Socket[]> {
  const sockets: Socket[] = []
  let next = 0
  const work = async (): Promise<void> => {
    for (let client = clients[next++]; client !== undefined; client = clients[next++])
      sockets.push(await open(port, client))
  }
  await Promise.all(Array.from({ length: PARALLEL }, work))
  return sockets
}

/** The loopback network is 127.0.0.0/8: one source address has too few ports for all of them. */
const sourceOf = (index: number): string => `127.0.0.${2 + (index % 4)}`

function open(port: number, { name, secret }: { name: string; secret: string }): Promise<Socket> {
  const index = clientCount++
  return new Promise((resolve, reject) => {
    const address = process.platform === 'linux' ? { localAddress: sourceOf(index) } : {}
    const socket = connect({ host: '127.0.0.1', port, ...address })
    socket.once('error', reject)
    socket.once('connect', () => {
      const identity = { clientId: `idle-${index}`, username: name, password: secret }
      socket.write(encodeConnect({ ...identity, keepAliveS: 0 }))
    })
    socket.once('data', (bytes: Buffer) => {
      if (bytes.length >= CONNACK_BYTES && bytes[3] === 0) resolve(socket)
      else reject(new Error(`connection ${index} was refused: ${bytes.toString('hex')}`))
    })
  })
}
