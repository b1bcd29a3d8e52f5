/**
 * One MQTT connection: cuts the byte stream into packets and hands them on. A packet's limit is
 * checked from its header, before anything of it is kept; what is kept of a packet that came in
 * pieces is one buffer that grows with what came of it, however small the pieces.
 *
 * What one read is answered with leaves in one write; a client that does not read its answers is
 * not read from either.
 *
 * What must be asked of a registry first (who connects, a gateway's child) waits here, unread, with
 * all that came behind it; then the packet is looked at once more, from its first byte.
 *
 * PUBLISH in and PUBACK out is the fast path (`mqtt-publish.ts`); all else takes the codec.
 */
import { WeirError, ERRORS } from '../errors/errors.ts'
import * as mqtt from '../mqtt/mqtt.ts'
import type { Socket, SocketHandler } from '../world/world.ts'
import type { DeviceState } from './device-state.ts'
import type { AckBuffer } from './mqtt-acks.ts'
import { acceptConnect, type Session } from './mqtt-connect.ts'
import type { MqttContext } from './mqtt-context.ts'
import { handlePublish } from './mqtt-publish.ts'
import type { Sender } from './telemetry-decoder.ts'

const NOTHING = new Uint8Array(0)
/** A fixed header is at most this long. */
const HEADER_BYTES_MAX = 5
/**
 * A header may announce a packet that never comes. The buffer for it is at most so many times as
 * large as what did come: 16 costs an honest sender one copy of its first piece.
 */
const GROWTH = 16
/** Beyond this many bytes that a client does not take, nothing more is read from it. */
const UNSENT_BYTES_MAX = 256 * 1024
const reader = new mqtt.PacketReader()
const fixed = mqtt.createFixedHeader()
const PINGRESP = mqtt.encodePingresp()

export class MqttConnection implements SocketHandler, Sender {
  readonly socket: Socket
  readonly context: MqttContext
  /** Set by an accepted CONNECT. */
  session: Session | undefined
  acks: AckBuffer | undefined
  readonly acceptedMs: number
  lastSeenMs: number
  isClosed = false
  /** When reading was stopped last; of a packet that waits for the registry, when first. */
  heldSinceMs = 0
  /** Bytes that came while reading was stopped. */
  #held: Uint8Array | undefined
  /** What the packet that was looked at last waits for: the registry's answer. */
  #asking: Promise<void> | undefined
  /** The registry gave none. */
  #isUnanswered = false
  /** Closed, or waiting for the registry: no further packet is looked at. */
  #isStopped = false
  /** Answers of the read that is under way. */
  #replies: Uint8Array[] | undefined
  /** The packet that is not yet whole: its bytes so far, in a buffer of its size. */
  #partial: Uint8Array = NOTHING
  #partialLength = 0
  /** Sender: what the decoder wants to know. */
  tenant = 'default'
  device: DeviceState | undefined
  nowUs = 0
  readonly isHistorical = false

  constructor(socket: Socket, context: MqttContext) {
    this.socket = socket
    this.context = context
    this.acceptedMs = context.clock.monotonicMs()
    this.lastSeenMs = this.acceptedMs
  }

  mayWrite(device: DeviceState): boolean {
    return this.session !== undefined && this.session.mayWrite(device)
  }

  data(bytes: Uint8Array): void {
    if (this.isClosed) return
    // A CONNECT needs no disk. It is answered at once, so that nothing is kept of a stranger.
    if (this.session !== undefined && (this.context.isBlocked() || this.isUnread)) {
      this.#hold(bytes)
      return
    }
    this.lastSeenMs = this.context.clock.monotonicMs()
    this.nowUs = this.context.clock.nowUs()
    try {
      this.#read(bytes)
    } catch (error) {
      this.fail(error)
    }
    this.#sendReplies()
  }

  /** Leaves with the other answers of this read. */
  reply(bytes: Uint8Array): void {
    if (this.#replies === undefined) this.#replies = [bytes]
    else this.#replies.push(bytes)
  }

  #sendReplies(): void {
    const replies = this.#replies
    if (replies === undefined) return
    this.#replies = undefined
    this.socket.write(replies.length === 1 ? replies[0]! : Buffer.concat(replies))
  }

  /** True while the client has not taken what was sent to it. */
  get isUnread(): boolean {
    return this.socket.bufferedBytes > UNSENT_BYTES_MAX
  }

  #hold(bytes: Uint8Array): void {
    this.#stopReading(Uint8Array.from(bytes))
    this.context.hold(this)
  }

  #stopReading(held: Uint8Array): void {
    this.#held = held
    this.heldSinceMs = this.context.clock.monotonicMs()
    this.socket.pause()
  }

  /** The packet that is being looked at must wait for this. */
  wait(asking: Promise<void>): void {
    this.#asking = asking
    this.#isStopped = true
  }

  /** True while reading is stopped for the registry's answer. */
  get isAsking(): boolean {
    return this.#asking !== undefined
  }

  /** `held` begins with the packet that waits. Of a stranger: a CONNECT and one read at most. */
  #awaitRegistry(asking: Promise<void>, held: Uint8Array): void {
    this.#stopReading(held)
    asking.then(
      () => this.#lookAgain(),
      (error: unknown) => this.#missAnswer(error),
    )
  }

  /** A CONNECT hears of it. A PUBLISH goes on waiting: what was read is not thrown away. */
  #missAnswer(error: unknown): void {
    if (this.isClosed) return
    const isPassing = error instanceof WeirError && ERRORS[error.code].retryable
    if (this.session !== undefined && isPassing) this.#isUnanswered = true
    else this.fail(error)
  }

  /** Asks the registry once more, if it did not answer. */
  askAgain(): void {
    if (this.#isUnanswered) this.#lookAgain()
  }

  #lookAgain(): void {
    const bytes = this.#held?.length
    const sinceMs = this.heldSinceMs
    this.#asking = undefined
    this.#isUnanswered = false
    this.#isStopped = this.isClosed
    this.release()
    // Nothing of it could be read: the same packet waits still.
    if (this.isAsking && this.#held?.length === bytes) this.heldSinceMs = sinceMs
  }

  /** Goes on after a stop. */
  release(): void {
    const held = this.#held
    if (this.isClosed || held === undefined) return
    this.#held = undefined
    this.socket.resume()
    this.data(held)
  }

  /** True while reading is stopped: its silence is our doing, so keep-alive does not count. */
  get isHeld(): boolean {
    return this.#held !== undefined
  }

  closed(): void {
    if (this.isClosed) return
    this.isClosed = true
    this.#isStopped = true
    this.#asking = undefined
    this.#partial = NOTHING
    this.#held = undefined
    this.context.left(this)
  }

  /** Says why as far as the protocol can, and closes. */
  fail(error: unknown): void {
    const known =
      error instanceof WeirError ? error : new WeirError('INTERNAL_FAULT', String(error))
    this.context.failed(known)
    if (this.isClosed) return
    const { session } = this
    const { message: reasonString } = known
    const goodbye =
      session === undefined
        ? mqtt.encodeConnackRefusal(known)
        : session.version === 5
          ? mqtt.encodeDisconnect({
              reasonCode: ERRORS[known.code].mqtt,
              reasonString,
              bytesMax: session.bytesMax,
            })
          : undefined
    if (goodbye !== undefined) this.reply(goodbye)
    this.close()
  }

  /** For one that takes nothing more: no word of it would arrive. */
  cut(error: WeirError): void {
    this.context.failed(error)
    this.closed()
    this.socket.destroy()
  }

  close(): void {
    if (this.isClosed) return
    this.#sendReplies()
    this.closed()
    this.socket.end()
  }

  #read(chunk: Uint8Array): void {
    let at = 0
    const isStranger = this.session === undefined
    if (this.#partial !== NOTHING) {
      at = this.#fillPartial(chunk)
      if (at < 0) return
    }
    const end = chunk.length
    let length = 0
    while (at < end && !this.#isStopped) {
      if (isStranger && this.session !== undefined && this.context.isBlocked()) {
        this.#hold(chunk.subarray(at))
        return
      }
      length = this.#packetLength(chunk, at, end)
      if (length === 0 || at + length > end) {
        this.#keep(chunk, at, length)
        return
      }
      this.#packet(chunk, at, at + length)
      at += length
    }
    const asking = this.#asking
    if (asking !== undefined)
      this.#awaitRegistry(asking, Uint8Array.from(chunk.subarray(at - length)))
  }

  /** Whole length of the packet at `at`, or 0 while its header is incomplete. Checks the limits. */
  #packetLength(bytes: Uint8Array, at: number, end: number): number {
    const code = mqtt.readFixedHeader(bytes, at, end, fixed)
    if (code === mqtt.HEADER_MALFORMED) {
      throw new WeirError('MQTT_PACKET_MALFORMED', 'the fixed header is malformed')
    }
    const { session } = this
    if (session === undefined || fixed.type !== mqtt.PACKET_PUBLISH) {
      mqtt.checkClientHeader(fixed, session?.version)
    }
    if (code === mqtt.HEADER_INCOMPLETE) return 0
    const { packetBytesMax, connectPacketBytesMax } = this.context.limits
    const bytesMax = session === undefined ? connectPacketBytesMax : packetBytesMax
    const length = fixed.headerLength + fixed.remainingLength
    if (length > bytesMax) {
      throw new WeirError(
        'GATEWAY_BODY_TOO_LARGE',
        `a packet of ${length} bytes; at most ${bytesMax}`,
      )
    }
    return length
  }

  /** Keeps the beginning of a packet that is not whole; `length` 0: not even its header is. */
  #keep(chunk: Uint8Array, at: number, length: number): void {
    const have = chunk.length - at
    if (have === 0) return
    this.#partial = new Uint8Array(
      length === 0 ? HEADER_BYTES_MAX : Math.min(length, have * GROWTH),
    )
    this.#partial.set(chunk.subarray(at))
    this.#partialLength = have
  }

  /** Position in the chunk after the packet that was in pieces, or -1 when it needs more still. */
  #fillPartial(chunk: Uint8Array): number {
    let at = 0
    let length = this.#packetLength(this.#partial, 0, this.#partialLength)
    while (length === 0 && at < chunk.length) {
      this.#partial[this.#partialLength++] = chunk[at++]!
      length = this.#packetLength(this.#partial, 0, this.#partialLength)
    }
    if (length === 0) return -1
    const missing = Math.min(length - this.#partialLength, chunk.length - at)
    const have = this.#partialLength + missing
    if (have > this.#partial.length) {
      const larger = new Uint8Array(Math.min(length, have * GROWTH))
      larger.set(this.#partial.subarray(0, this.#partialLength))
      this.#partial = larger
    }
    this.#partial.set(chunk.subarray(at, at + missing), this.#partialLength)
    this.#partialLength += missing
    if (this.#partialLength < length) return -1
    const packet = this.#partial
    this.#partial = NOTHING
    this.#packetLength(packet, 0, length)
    this.#packet(packet, 0, length)
    at += missing
    const asking = this.#asking
    if (asking === undefined) return at
    const held = Buffer.concat([packet.subarray(0, length), chunk.subarray(at)])
    this.#awaitRegistry(asking, held)
    return -1
  }

  /** One whole packet, whose header stands in `fixed`. */
  #packet(bytes: Uint8Array, start: number, end: number): void {
    const { session } = this
    const { type, flags } = fixed
    const bodyStart = start + fixed.headerLength
    if (session === undefined) {
      acceptConnect(this, reader.reset(bytes, bodyStart, end))
      return
    }
    if (type === mqtt.PACKET_PUBLISH) {
      handlePublish(this, session, { bytes, flags, start: bodyStart, end })
      return
    }
    reader.reset(bytes, bodyStart, end)
    if (type === mqtt.PACKET_PINGREQ) {
      mqtt.parsePingreq(reader)
      this.reply(PINGRESP)
    } else if (type === mqtt.PACKET_SUBSCRIBE) this.#subscribe(session)
    else if (type === mqtt.PACKET_UNSUBSCRIBE) this.#unsubscribe(session)
    else if (type === mqtt.PACKET_DISCONNECT) {
      const { reasonCode } = mqtt.parseDisconnect(reader, session.version)
      session.leaves(reasonCode)
      this.close()
    } else if (type === mqtt.PACKET_PUBACK) {
      throw new WeirError('MQTT_PROTOCOL_ERROR', 'a PUBACK for nothing that was sent')
    } else throw new WeirError('MQTT_PROTOCOL_ERROR', 'AUTH without an authentication method')
  }

  /** Grants filters under the device's own topics; all others, and shared ones, are refused. */
  #subscribe(session: Session): void {
    const { packetId, subscriptions } = mqtt.parseSubscribe(reader, session.version)
    const own = `devices/${session.device.id}/`
    const reasonCodes = subscriptions.map(({ filter, isValid, shareName, qos }) => {
      if (!isValid) return this.context.refusedFilter('invalid', 0x8f)
      if (shareName !== undefined) return this.context.refusedFilter('shared', 0x9e)
      if (!filter.startsWith(own)) return this.context.refusedFilter('forbidden', 0x87)
      if (!session.filters.has(filter) && session.filters.size >= session.filtersMax) {
        return this.context.refusedFilter('limit', 0x97)
      }
      session.filters.add(filter)
      return Math.min(qos, 1)
    })
    const { version, bytesMax } = session
    this.reply(mqtt.encodeSuback({ packetId, reasonCodes, bytesMax }, version))
  }

  #unsubscribe(session: Session): void {
    const { packetId, filters } = mqtt.parseUnsubscribe(reader, session.version)
    const reasonCodes = filters.map((filter) => (session.filters.delete(filter) ? 0 : 0x11))
    const { version, bytesMax } = session
    this.reply(mqtt.encodeUnsuback({ packetId, reasonCodes, bytesMax }, version))
  }
}
