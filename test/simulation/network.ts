/**
 * Connections without a kernel: bytes arrive in order, late, in pieces of any size, and a break
 * loses what is under way in both directions.
 */
import type { Dial } from '../../src/fleet/mqtt-client.ts'
import type { Clock, Network, Random, Socket, SocketHandler } from '../../src/world/world.ts'

/** ms. */
const LATENCY = [0.05, 4] as const
/** Until a client notices that nobody listens. */
const REFUSED_MS = 5

type Accept = (socket: Socket) => SocketHandler

/** One direction: pieces in order, each with its own delay behind the one before. */
class Pipe {
  readonly #link: Link
  readonly #receive: (bytes: Uint8Array) => void
  #queue: Uint8Array[] = []
  #isMoving = false
  isPaused = false
  isEnding = false

  constructor(link: Link, receive: (bytes: Uint8Array) => void) {
    this.#link = link
    this.#receive = receive
  }

  get bufferedBytes(): number {
    return this.#queue.reduce((sum, { length }) => sum + length, 0)
  }

  push(bytes: Uint8Array): void {
    const { random } = this.#link
    // Cut anywhere, as a network does; most writes arrive as they were made.
    const at = random.unit() < 0.1 ? Math.floor(random.unit() * bytes.length) : bytes.length
    for (const piece of [bytes.slice(0, at), bytes.slice(at)])
      if (piece.length > 0) this.#queue.push(piece)
    this.move()
  }

  end(): void {
    this.isEnding = true
    this.move()
  }

  move(): void {
    if (this.#isMoving || this.isPaused || this.#link.isBroken) return
    if (this.#queue.length === 0) {
      if (this.isEnding) this.#link.close()
      return
    }
    this.#isMoving = true
    this.#link.later(() => {
      this.#isMoving = false
      if (this.isPaused) return
      const piece = this.#queue.shift()
      if (piece !== undefined) this.#receive(piece)
      this.move()
    })
  }
}

class Link {
  readonly clock: Clock
  readonly random: Random
  isBroken = false
  toServer: Pipe | undefined
  toClient: Pipe | undefined
  onServerClosed: () => void = () => {}
  onClientClosed: () => void = () => {}

  constructor(clock: Clock, random: Random) {
    this.clock = clock
    this.random = random
  }

  later(callback: () => void): void {
    const [least, most] = LATENCY
    this.clock.after(least + this.random.unit() * (most - least), () => {
      if (!this.isBroken) callback()
    })
  }

  /** Both ends hear of it; what is under way is lost. */
  close(): void {
    if (this.isBroken) return
    this.isBroken = true
    this.clock.after(0, () => this.onServerClosed())
    this.clock.after(this.random.unit() * LATENCY[1], () => this.onClientClosed())
  }
}

export class SimulatedNetwork implements Network {
  readonly #clock: Clock
  readonly #random: Random
  #accept: Accept | undefined
  #links = new Set<Link>()

  constructor(clock: Clock, random: Random) {
    this.#clock = clock
    this.#random = random
  }

  async listen(_at: unknown, accept: Accept): Promise<{ port: number; close(): Promise<void> }> {
    this.#accept = accept
    const close = async (): Promise<void> => {
      if (this.#accept === accept) this.#accept = undefined
    }
    return { port: 1883, close }
  }

  /** The server's process died: nobody listens, and every connection is reset. */
  reset(): void {
    this.#accept = undefined
    for (const link of this.#links) {
      link.onServerClosed = () => {}
      link.close()
    }
    this.#links.clear()
  }

  /** Breaks one connection, if there is one. */
  breakOne(): void {
    const open = [...this.#links].filter(({ isBroken }) => !isBroken)
    open[Math.floor(this.#random.unit() * open.length)]?.close()
  }

  /** `dialled` hears of each new connection, `wrote` of each write of the client on it. */
  dial(wrote: (bytes: Uint8Array) => void, dialled: () => void): Dial {
    return (events) => {
      const link = new Link(this.#clock, this.#random)
      link.onClientClosed = () => events.closed('the connection broke')
      dialled()
      this.#clock.after(this.#random.unit() * LATENCY[1], () => this.#connect(link, events))
      return {
        write: (bytes) => {
          if (link.isBroken) return
          wrote(bytes)
          link.toServer?.push(bytes)
        },
        end: () => link.toServer?.end(),
        close: () => link.close(),
      }
    }
  }

  #connect(link: Link, events: Parameters<Dial>[0]): void {
    if (link.isBroken) return
    if (this.#accept === undefined) {
      this.#clock.after(REFUSED_MS, () => events.closed('nobody listens'))
      return
    }
    this.#links.add(link)
    link.toClient = new Pipe(link, (bytes) => events.received(bytes))
    const handler = this.#accept(serverSocket(link))
    link.toServer = new Pipe(link, (bytes) => handler.data(bytes))
    link.onServerClosed = () => {
      this.#links.delete(link)
      handler.closed()
    }
    events.opened()
  }
}

function serverSocket(link: Link): Socket {
  return {
    remoteAddress: '127.0.0.1',
    get bufferedBytes() {
      return link.toClient?.bufferedBytes ?? 0
    },
    write: (bytes) => {
      if (!link.isBroken) link.toClient?.push(bytes)
    },
    end: () => link.toClient?.end(),
    destroy: () => link.close(),
    pause: () => {
      if (link.toServer !== undefined) link.toServer.isPaused = true
    },
    resume: () => {
      if (link.toServer === undefined) return
      link.toServer.isPaused = false
      link.toServer.move()
    },
  }
}
