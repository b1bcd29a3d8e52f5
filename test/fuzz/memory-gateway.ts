/** The real gateway over a log in memory and sockets that are function calls. */
import { decodeFrame, type ReadingBatch } from '../../src/batch/batch.ts'
import { openControl } from '../../src/control/sqlite-control.ts'
import { Gateway, type GatewayOptions } from '../../src/gateway/gateway-stage.ts'
import { OPTIONS } from '../../src/gateway/gateway-fixture.ts'
import { createMemoryLog } from '../../src/log/memory-log.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import type { Network, Socket, SocketHandler } from '../../src/world/world.ts'

const control = openControl({ path: ':memory:', world: nodeWorld })

export const DEVICE = 'pump-1'
const created = await control.createDevice('default', { id: DEVICE, type: 'pump' })
export const TOKEN = created.token
await control.createDevice('default', { id: 'other', type: 'generic' })

/** One end of a connection: what the server wrote, and whether it ended. */
class MemorySocket implements Socket {
  readonly remoteAddress = '127.0.0.1'
  readonly bufferedBytes = 0
  readonly written: Uint8Array[] = []
  isEnded = false

  write(bytes: Uint8Array): void {
    if (!this.isEnded) this.written.push(Uint8Array.from(bytes))
  }

  end(): void {
    this.isEnded = true
  }

  destroy(): void {
    this.isEnded = true
  }

  pause(): void {}
  resume(): void {}
}

export class MemoryGateway {
  readonly gateway: Gateway
  readonly #frames: Uint8Array[] = []
  #accept: ((socket: Socket) => SocketHandler) | undefined

  private constructor(options: Partial<GatewayOptions['mqtt']>) {
    const network: Network = {
      listen: (_, accept) => {
        this.#accept = accept
        return Promise.resolve({ port: 1, close: () => Promise.resolve() })
      },
    }
    const log = createMemoryLog()
    const forward = (_: number, frame: Uint8Array<ArrayBuffer>): void => {
      this.#frames.push(frame)
      this.gateway.commit.taken(frame.length, undefined)
    }
    const { reader } = control
    const parts = { world: { ...nodeWorld, network }, log, reader, forward }
    this.gateway = new Gateway(
      { ...parts, register: undefined },
      { ...OPTIONS, mqtt: { ...OPTIONS.mqtt, receiveMaximum: 100, ...options } },
    )
  }

  static async start(options: Partial<GatewayOptions['mqtt']> = {}): Promise<MemoryGateway> {
    const gateway = new MemoryGateway(options)
    await gateway.gateway.listen('', 0)
    return gateway
  }

  /** Sends the pieces one after the other over a new connection; resolves with what came of it. */
  async exchange(sent: readonly Uint8Array[]): Promise<{
    answer: Uint8Array
    isEnded: boolean
    failures: Record<string, number>
    batches: ReadingBatch[]
  }> {
    const socket = new MemorySocket()
    const handler = this.#accept!(socket)
    // A socket's buffer is used again for the next read: what is kept must be a copy.
    const buffer = new Uint8Array(Math.max(1, ...sent.map(({ length }) => length)))
    for (const piece of sent) {
      buffer.fill(0xa5)
      buffer.set(piece)
      handler.data(buffer.subarray(0, piece.length))
    }
    await this.gateway.commit.drain()
    const isEnded = socket.isEnded
    handler.closed()
    await this.gateway.commit.drain()
    return {
      answer: new Uint8Array(Buffer.concat(socket.written)),
      isEnded,
      failures: Object.fromEntries(this.gateway.mqtt.failures),
      batches: this.#frames.map(decodeFrame).filter(({ messageCount }) => messageCount > 0),
    }
  }

  async stop(): Promise<void> {
    await this.gateway.stop()
  }
}
