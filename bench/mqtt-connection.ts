/**
 * One MQTT 3.1.1 connection of the generator: a window of QoS 1 publishes, every PUBACK checked.
 */
import { connect, type Socket } from 'node:net'
import { encodeConnect } from '../src/fleet/mqtt-packets.ts'
import type { LoadClient, LoadConnection, LoadEvents, LoadJob } from './load.ts'
import { MessageRing } from './message-ring.ts'

/** `40 02 hi lo`, read as little endian. */
export const PUBACK_BYTES = 4
export const pubackWord = (id: number): number =>
  (0x40 | (0x02 << 8) | ((id >> 8) << 16) | ((id & 0xff) << 24)) >>> 0

/** Fixed header, topic and packet id of the slot's PUBLISH. */
export function publishHead(slot: number, device: string, bodyBytes: number): Uint8Array {
  const topic = Buffer.from(`devices/${device}/telemetry`)
  const remaining = 2 + topic.length + 2 + bodyBytes
  const length: number[] = []
  for (let rest = remaining; ;) {
    const low = rest % 128
    rest = Math.floor(rest / 128)
    length.push(rest > 0 ? low | 0x80 : low)
    if (rest === 0) break
  }
  const id = slot + 1
  return Buffer.from([0x32, ...length, 0, topic.length, ...topic, id >> 8, id & 0xff])
}

const NOTHING = new Uint8Array(0)

export class MqttLoadConnection implements LoadConnection {
  readonly ready: Promise<void>
  readonly #socket: Socket
  readonly #ring: MessageRing
  readonly #events: LoadEvents
  readonly #window: number
  readonly #expected: Uint32Array
  #sendSlot = 0
  #ackSlot = 0
  #inFlight = 0
  sent = 0
  #partial: Buffer = Buffer.alloc(0)
  #isConnected = false
  #onConnected: () => void = () => {}
  /** Blocks under way, oldest first: packets left and when they were due. */
  readonly #blocks: { packets: number; scheduledMs: number }[] = []

  constructor(job: LoadJob, client: LoadClient, context: { seed: number; events: LoadEvents }) {
    const { devices } = client
    // A slot belongs to one device, so there are at least as many slots as devices.
    const slots = devices.length * Math.max(1, Math.ceil(job.window / devices.length))
    if (slots > 65_535) throw new RangeError('more slots than packet ids')
    this.#window = job.window
    this.#events = context.events
    this.#ring = new MessageRing({
      frame: (slot, bodyBytes) => ({
        head: publishHead(slot, devices[slot % devices.length] ?? '', bodyBytes),
        tail: NOTHING,
      }),
      devices,
      slots,
      messagesPerSlot: job.messagesPerPacket,
      namesDevice: false,
      seed: context.seed,
    })
    this.#expected = Uint32Array.from({ length: slots }, (_, slot) => pubackWord(slot + 1))
    this.#socket = connect({ host: '127.0.0.1', port: job.port, noDelay: true })
    this.ready = new Promise((resolve) => (this.#onConnected = resolve))
    this.#listen(client)
  }

  #listen({ name, secret }: LoadClient): void {
    this.#socket.on('connect', () => {
      const fields = { clientId: name, username: name, password: secret, keepAliveS: 0 }
      this.#socket.write(encodeConnect(fields))
    })
    this.#socket.on('data', (bytes: Buffer) => this.#receive(bytes))
    this.#socket.on('error', (error) => this.#events.failed(`${name}: ${error.message}`))
    this.#socket.on('close', () => {
      if (!this.#socket.writableEnded) this.#events.failed(`${name}: the server hung up`)
    })
  }

  get room(): number {
    return this.#window - this.#inFlight
  }

  get outstanding(): number {
    return this.#inFlight
  }

  send(packets: number, scheduledMs: number): void {
    let left = packets
    this.#blocks.push({ packets, scheduledMs })
    const nowMs = Date.now()
    this.#socket.cork()
    while (left > 0) {
      const from = this.#sendSlot
      const to = Math.min(this.#ring.slots, from + left)
      this.#ring.refresh(from, to, nowMs)
      const { bytes, slotBytes } = this.#ring
      this.#socket.write(bytes.subarray(from * slotBytes, to * slotBytes))
      this.#sendSlot = to === this.#ring.slots ? 0 : to
      left -= to - from
    }
    this.#socket.uncork()
    this.#inFlight += packets
    this.sent += packets
  }

  close(): void {
    this.#socket.end(Uint8Array.of(0xe0, 0))
  }

  #receive(bytes: Buffer): void {
    let data = this.#partial.length > 0 ? Buffer.concat([this.#partial, bytes]) : bytes
    if (!this.#isConnected) {
      if (data.length < 4) return void (this.#partial = data)
      // CONNACK of 3.1.1: two bytes, the second is the return code [MQTT-3.2.2].
      if (data[0] !== 0x20 || data[1] !== 2 || data[3] !== 0)
        return this.#events.failed(`CONNACK ${data.subarray(0, 4).toString('hex')}`)
      this.#isConnected = true
      data = data.subarray(4)
      this.#onConnected()
    }
    const count = Math.floor(data.length / PUBACK_BYTES)
    if (!this.#check(data, count)) return
    this.#partial = Buffer.from(data.subarray(count * PUBACK_BYTES))
    this.#settle(count)
  }

  /** Every PUBACK carries the id that is next in order [MQTT-4.6.0-2]. */
  #check(data: Buffer, count: number): boolean {
    const view = new DataView(data.buffer, data.byteOffset, data.length)
    const { slots } = this.#ring
    let slot = this.#ackSlot
    for (let i = 0; i < count; i++) {
      if (view.getUint32(i * PUBACK_BYTES, true) !== this.#expected[slot]) {
        const found = data.subarray(i * PUBACK_BYTES, (i + 1) * PUBACK_BYTES).toString('hex')
        this.#events.failed(`expected the PUBACK of ${slot + 1}, got ${found}`)
        return false
      }
      slot = slot + 1 === slots ? 0 : slot + 1
    }
    if (count > this.#inFlight) {
      this.#events.failed('more PUBACKs than publishes')
      return false
    }
    this.#ackSlot = slot
    return true
  }

  #settle(count: number): void {
    this.#inFlight -= count
    const nowMs = performance.now()
    let left = count
    while (left > 0) {
      const block = this.#blocks[0]
      if (block === undefined) break
      const packets = Math.min(left, block.packets)
      left -= packets
      block.packets -= packets
      if (block.packets === 0) this.#blocks.shift()
      this.#events.acknowledged(this, packets, nowMs - block.scheduledMs)
    }
  }
}
