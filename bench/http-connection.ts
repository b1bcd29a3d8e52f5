/** One keep-alive HTTP connection of the generator: one batch under way, its answer checked. */
import { connect, type Socket } from 'node:net'
import type { LoadClient, LoadConnection, LoadEvents, LoadJob } from './load.ts'
import { MessageRing } from './message-ring.ts'

const NOTHING = new Uint8Array(0)

function requestHead(port: number, secret: string, bodyBytes: number): Uint8Array {
  return Buffer.from(
    `POST /v1/telemetry HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n` +
      `Authorization: Bearer ${secret}\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${bodyBytes}\r\n\r\n`,
  )
}

export class HttpLoadConnection implements LoadConnection {
  readonly ready: Promise<void>
  readonly #socket: Socket
  readonly #ring: MessageRing
  readonly #events: LoadEvents
  sent = 0
  #scheduledMs: number | undefined
  #answer = ''

  constructor(job: LoadJob, client: LoadClient, context: { seed: number; events: LoadEvents }) {
    this.#events = context.events
    this.#ring = new MessageRing({
      frame: (_, bodyBytes) => ({
        head: requestHead(job.port, client.secret, bodyBytes),
        tail: NOTHING,
      }),
      devices: client.devices,
      slots: 1,
      messagesPerSlot: job.messagesPerPacket,
      namesDevice: true,
      seed: context.seed,
    })
    this.#socket = connect({ host: '127.0.0.1', port: job.port, noDelay: true })
    this.ready = new Promise((resolve) => this.#socket.once('connect', resolve))
    this.#socket.on('data', (bytes: Buffer) => this.#receive(bytes.toString('latin1')))
    this.#socket.on('error', (error) => context.events.failed(error.message))
    this.#socket.on('close', () => {
      if (!this.#socket.writableEnded) context.events.failed('the server hung up')
    })
  }

  get room(): number {
    return this.#scheduledMs === undefined ? 1 : 0
  }

  get outstanding(): number {
    return 1 - this.room
  }

  send(_packets: number, scheduledMs: number): void {
    this.#scheduledMs = scheduledMs
    this.sent++
    this.#ring.refresh(0, 1, Date.now())
    this.#socket.write(this.#ring.bytes)
  }

  close(): void {
    this.#socket.end()
  }

  #receive(text: string): void {
    this.#answer += text
    const headEnd = this.#answer.indexOf('\r\n\r\n')
    if (headEnd < 0) return
    const length = Number(/content-length: *(\d+)/i.exec(this.#answer)?.[1] ?? NaN)
    if (this.#answer.length < headEnd + 4 + length) return
    const answer = this.#answer
    this.#answer = ''
    const isAccepted =
      answer.startsWith('HTTP/1.1 200') &&
      answer.includes(`{"accepted":${this.#ring.messagesPerSlot}}`)
    if (!isAccepted) return this.#events.failed(answer.slice(0, 500))
    const scheduledMs = this.#scheduledMs ?? 0
    this.#scheduledMs = undefined
    this.#events.acknowledged(this, 1, performance.now() - scheduledMs)
  }
}
