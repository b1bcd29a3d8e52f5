/** A client that sends any bytes, and keeps what comes back. */
import { connect, type Socket } from 'node:net'
import { generate, parser as createParser, type Packet } from 'mqtt-packet'
import { topicOf } from '../system/mqtt-device.ts'
import type { Credentials } from './target.ts'

const DEADLINE_MS = 10_000

type Version = 4 | 5

export interface Received {
  cmd: string
  messageId?: number
  returnCode?: number
  reasonCode?: number
  granted?: number[]
  properties?: Record<string, unknown>
}

export interface ConnectOptions {
  clientId?: string
  username?: string
  password?: string | Buffer
  keepalive?: number
  clean?: boolean
  will?: object
  properties?: object
}

export class Peer {
  readonly socket: Socket
  readonly version: Version
  readonly packets: Received[] = []
  /** As they came. */
  bytes = Buffer.alloc(0)
  isClosed = false
  /** The server sent its end, or reset the connection. */
  isEnded = false
  #changed: (() => void)[] = []

  private constructor(socket: Socket, version: Version) {
    this.socket = socket
    this.version = version
    const parser = createParser({ protocolVersion: version })
    parser.on('packet', (packet) => this.packets.push(packet as unknown as Received))
    parser.on('error', () => {})
    socket.on('data', (bytes) => {
      this.bytes = Buffer.concat([this.bytes, bytes])
      parser.parse(bytes)
      this.#change()
    })
    socket.on('connect', () => this.#change())
    socket.on('end', () => {
      this.isEnded = true
      this.#change()
    })
    socket.on('close', () => {
      this.isEnded = true
      this.isClosed = true
      this.#change()
    })
    socket.on('error', () => {})
  }

  #change(): void {
    for (const changed of this.#changed.splice(0)) changed()
  }

  /** Looks again at each event of the socket. Throws at the deadline. */
  async until(what: string, isTrue: () => boolean): Promise<void> {
    const endMs = performance.now() + DEADLINE_MS
    while (!isTrue()) {
      const leftMs = endMs - performance.now()
      if (leftMs <= 0) throw new Error(`after ${DEADLINE_MS} ms still not: ${what}`)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs)
        this.#changed.push(() => {
          clearTimeout(timer)
          resolve()
        })
      })
    }
  }

  /** Waits for so many packets in all, and gives them. */
  async received(count: number): Promise<Received[]> {
    await this.until(`${count} packets`, () => this.packets.length >= count)
    return this.packets
  }

  /**
   * Resolves once TCP is connected. `halfOpen`: its own side stays open behind the server's end.
   */
  static async open(
    port: number,
    options: { version?: Version; localAddress?: string; halfOpen?: boolean } = {},
  ): Promise<Peer> {
    const { version = 5, localAddress, halfOpen = false } = options
    const socket = connect({
      ...{ host: '127.0.0.1', port, noDelay: true, allowHalfOpen: halfOpen },
      ...(localAddress === undefined ? {} : { localAddress }),
    })
    const peer = new Peer(socket, version)
    await peer.until('a connection', () => !socket.connecting || peer.isClosed)
    return peer
  }

  send(bytes: Uint8Array): void {
    if (!this.socket.destroyed) this.socket.write(bytes)
  }

  packet(packet: object): Buffer {
    return generate(packet as Packet, { protocolVersion: this.version })
  }

  connectBytes(options: ConnectOptions = {}): Buffer {
    const { clientId = 'peer', keepalive = 60, clean = true, ...more } = options
    const fixed = { cmd: 'connect', protocolId: 'MQTT', protocolVersion: this.version }
    return this.packet({ ...fixed, clientId, keepalive, clean, ...more })
  }

  /** Sends CONNECT and waits for the answer: the CONNACK, or undefined when there is none. */
  async connect(options: ConnectOptions = {}): Promise<Received | undefined> {
    this.send(this.connectBytes(options))
    await this.until('CONNACK or the end', () => this.packets.length > 0 || this.isClosed)
    return this.packets.shift()
  }

  /** A session of this device. */
  async join(device: Credentials, options: ConnectOptions = {}): Promise<this> {
    const credentials = { username: device.id, password: Buffer.from(device.token) }
    const connack = await this.connect({ clientId: device.id, ...credentials, ...options })
    if (codeOf(connack) !== 0) throw new Error(`refused: ${JSON.stringify(connack)}`)
    return this
  }

  publishBytes(device: string, messageId: number, payload = '{"x":1}', more: object = {}): Buffer {
    const fixed = { cmd: 'publish', qos: 1, dup: false, retain: false }
    return this.packet({ ...fixed, topic: topicOf(device), messageId, payload, ...more })
  }

  /** Waits until the server closed, and gives the reason that it said last. */
  async refusal(): Promise<number | undefined> {
    await this.until('the server closes', () => this.isEnded)
    this.socket.destroy()
    return codeOf(this.packets.at(-1))
  }

  destroy(): void {
    this.socket.destroy()
  }
}

export function codeOf(packet: Received | undefined): number | undefined {
  return packet?.reasonCode ?? packet?.returnCode
}
