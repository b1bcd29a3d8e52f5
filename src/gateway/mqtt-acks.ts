/**
 * Acknowledgements on their way. While a batch fills, each connection collects the finished bytes
 * of its PUBACKs in the order of the PUBLISHes [MQTT-4.6.0-2]; when the batch is durable they go
 * out in one write per connection. Nothing is done per message at that point.
 */
import type { Socket } from '../world/world.ts'
import type { Awaiting, GroupCommit } from './group-commit.ts'

const BYTES_AT_FIRST = 64

/** One connection's PUBACKs of the batch that is being filled. */
export class AckBuffer {
  readonly socket: Socket
  bytes = new Uint8Array(BYTES_AT_FIRST)
  length = 0
  count = 0
  /** PUBLISHes that were not yet acknowledged, over all batches. */
  inFlight = 0

  constructor(socket: Socket) {
    this.socket = socket
  }

  /** A success PUBACK; the same four bytes in 3.1.1 and 5. */
  push(packetId: number): void {
    const at = this.length
    if (at + 4 > this.bytes.length) this.#grow(4)
    const { bytes } = this
    bytes[at] = 0x40
    bytes[at + 1] = 2
    bytes[at + 2] = packetId >>> 8
    bytes[at + 3] = packetId & 0xff
    this.length = at + 4
    this.count++
    this.inFlight++
  }

  pushBytes(puback: Uint8Array): void {
    if (this.length + puback.length > this.bytes.length) this.#grow(puback.length)
    this.bytes.set(puback, this.length)
    this.length += puback.length
    this.count++
    this.inFlight++
  }

  #grow(by: number): void {
    const larger = new Uint8Array(Math.max(this.bytes.length * 2, this.length + by))
    larger.set(this.bytes)
    this.bytes = larger
  }
}

/** The PUBACKs of one batch, all connections. */
class BatchAcks implements Awaiting {
  readonly isPatient = true
  readonly buffers: AckBuffer[] = []
  #sealed: { buffer: AckBuffer; bytes: Uint8Array; count: number }[] | undefined

  /** Takes the bytes out of the connections' buffers, which then collect for the next batch. */
  seal(): void {
    this.#sealed = this.buffers.map((buffer) => {
      const { count } = buffer
      const bytes = Buffer.from(buffer.bytes.subarray(0, buffer.length))
      buffer.length = 0
      buffer.count = 0
      return { buffer, bytes, count }
    })
  }

  durable(): void {
    for (const { buffer, bytes, count } of this.#sealed ?? []) {
      buffer.inFlight -= count
      buffer.socket.write(bytes)
    }
  }

  /** Never acknowledged: the clients send again when they reconnect. */
  failed(): void {}
}

export class AckBook {
  readonly #commit: GroupCommit
  #current: BatchAcks | undefined

  constructor(commit: GroupCommit) {
    this.#commit = commit
  }

  /** Notes that this buffer got its first PUBACK since the last seal. */
  join(buffer: AckBuffer): void {
    if (this.#current === undefined) {
      this.#current = new BatchAcks()
      this.#commit.expect(this.#current)
    }
    this.#current.buffers.push(buffer)
  }

  /** The batch is being sealed. */
  seal(): void {
    this.#current?.seal()
    this.#current = undefined
  }
}
