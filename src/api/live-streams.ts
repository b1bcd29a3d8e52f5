/**
 * `GET /v1/live`: server-sent events
 * (https://html.spec.whatwg.org/multipage/server-sent-events.html).
 *
 * L1 Each event has an id that rises over all clients of one run; nothing is resent after a gap,
 *    the page asks the queries instead.
 * L2 A comment goes out every heartbeat, so that proxies and clients see a living line.
 * L3 What waits for one client is bounded; one that reads too slowly is closed, never waited for:
 *    it reconnects and catches up, and the others never notice.
 * L4 A stream ends at the first heartbeat after its credential did, or that cannot ask about it.
 */
import type { ServerResponse } from 'node:http'
import { WeirError } from '../errors/errors.ts'
import type { Counter, Events, Registry } from '../observe/observe.ts'
import type { Clock } from '../world/world.ts'
import type { LiveEvent, LiveFeed } from './api.ts'

interface LiveClient {
  response: ServerResponse
  unsubscribe: () => void
  isAllowed: () => Promise<boolean>
  /** Bytes were waiting at the last heartbeat. */
  wasWaiting: boolean
}

export interface LiveStreamsOptions {
  feed: LiveFeed
  clock: Clock
  registry: Registry
  events: Events | undefined
  streamsMax: number
  bufferBytesMax: number
  heartbeatMs: number
}

/** How long a browser's EventSource waits before it reconnects. */
const RECONNECT_MS = 2000

const HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  // nginx would collect the events otherwise.
  'x-accel-buffering': 'no',
}

export class LiveStreams {
  readonly #options: LiveStreamsOptions
  readonly #clients = new Set<LiveClient>()
  readonly #slowClients: Counter
  readonly #stopHeartbeat: () => void
  #lastId = 0

  constructor(options: LiveStreamsOptions) {
    this.#options = options
    const { registry, clock, heartbeatMs } = options
    registry.gaugeOf('weir_api_live_streams', 'Open live streams.', () => this.#clients.size)
    this.#slowClients = registry.counter(
      'weir_api_live_streams_closed_total',
      'Live streams closed because their client read too slowly.',
    )
    this.#stopHeartbeat = clock.every(heartbeatMs, () => this.#beat())
  }

  /**
   * Throws GATEWAY_OVERLOADED when there are too many streams, so before the response is taken
   * over.
   */
  checkRoom(): void {
    if (this.#clients.size < this.#options.streamsMax) return
    throw new WeirError('GATEWAY_OVERLOADED', 'too many live streams are open')
  }

  /** Takes the response over until either side ends it. */
  open(
    response: ServerResponse,
    filter: { tenant: string; deviceIds: string[] },
    isAllowed: () => Promise<boolean>,
  ): void {
    response.writeHead(200, HEADERS)
    response.write(`retry: ${RECONNECT_MS}\n\n`)
    const client: LiveClient = { response, unsubscribe: () => {}, isAllowed, wasWaiting: false }
    this.#clients.add(client)
    client.unsubscribe = this.#options.feed.subscribe(filter, (event) => this.#send(client, event))
    response.on('close', () => this.#forget(client))
    response.on('error', () => this.#forget(client))
  }

  /** Ends every stream; clients see a clean end and reconnect when they like. */
  close(): void {
    this.#stopHeartbeat()
    for (const client of this.#clients) {
      this.#forget(client)
      client.response.end()
    }
  }

  #send(client: LiveClient, event: LiveEvent): void {
    const frame = `id: ${++this.#lastId}\nevent: ${event.event}\ndata: ${JSON.stringify(event.data)}\n\n`
    const { writableLength } = client.response
    if (writableLength + frame.length > this.#options.bufferBytesMax) this.#closeSlow(client)
    else client.response.write(frame)
  }

  #beat(): void {
    for (const client of this.#clients) void this.#beatFor(client)
  }

  async #beatFor(client: LiveClient): Promise<void> {
    const { response, isAllowed, wasWaiting } = client
    client.wasWaiting = response.writableLength > 0
    // Not one byte taken for a whole heartbeat: the peer is gone or stuck.
    if (client.wasWaiting && wasWaiting) return this.#closeSlow(client)
    const isStillAllowed = await isAllowed().catch(() => false)
    if (!this.#clients.has(client)) return
    if (isStillAllowed) {
      response.write(': heartbeat\n\n')
    } else {
      this.#forget(client)
      response.end()
    }
  }

  #closeSlow(client: LiveClient): void {
    this.#slowClients.add()
    this.#options.events?.liveClientClosed({ bufferedBytes: client.response.writableLength })
    this.#forget(client)
    // No clean end: that would wait behind all that is buffered.
    client.response.destroy()
  }

  #forget(client: LiveClient): void {
    if (this.#clients.delete(client)) client.unsubscribe()
  }
}
