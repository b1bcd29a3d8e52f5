/**
 * The do-nothing baseline: a server that only reads the socket and acknowledges. It finds each
 * PUBLISH and its id, looks at nothing else and keeps nothing. Prints its port.
 */
import { createServer, type Socket } from 'node:net'

const CONNACK = Buffer.from([0x20, 2, 0, 0])

class SinkConnection {
  readonly #socket: Socket
  #rest: Buffer = Buffer.alloc(0)

  constructor(socket: Socket) {
    this.#socket = socket
    socket.setNoDelay(true)
    socket.on('data', (bytes: Buffer) => this.#receive(bytes))
    socket.on('error', () => socket.destroy())
  }

  #receive(bytes: Buffer): void {
    const data = this.#rest.length > 0 ? Buffer.concat([this.#rest, bytes]) : bytes
    // The smallest PUBLISH with QoS 1 has 6 bytes, its PUBACK 4.
    const answer = Buffer.allocUnsafe(Math.ceil(data.length / 6) * 4 + 4)
    let answered = 0
    let at = 0
    for (;;) {
      const end = packetEnd(data, at)
      if (end === undefined) break
      const body = end.bodyAt
      if (data[at] === 0x10) {
        this.#socket.write(CONNACK)
      } else if (data[at] === 0x32) {
        const idAt = body + 2 + (((data[body] ?? 0) << 8) | (data[body + 1] ?? 0))
        answer[answered] = 0x40
        answer[answered + 1] = 2
        answer[answered + 2] = data[idAt] ?? 0
        answer[answered + 3] = data[idAt + 1] ?? 0
        answered += 4
      }
      at = end.end
    }
    this.#rest = Buffer.from(data.subarray(at))
    if (answered > 0) this.#socket.write(answer.subarray(0, answered))
  }
}

function packetEnd(data: Buffer, at: number): { bodyAt: number; end: number } | undefined {
  let length = 0
  for (let i = 1, scale = 1; i <= 4; i++, scale *= 128) {
    const byte = data[at + i]
    if (byte === undefined) return undefined
    length += (byte & 0x7f) * scale
    if (byte >= 0x80) continue
    const end = at + i + 1 + length
    return end <= data.length ? { bodyAt: at + i + 1, end } : undefined
  }
  return undefined
}

const server = createServer((socket) => void new SinkConnection(socket))
server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  console.log(`port ${typeof address === 'object' && address !== null ? address.port : 0}`)
})
