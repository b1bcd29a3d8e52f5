/**
 * A process of its own: publishes a day of one metric for many devices over MQTT, as gateways do
 * that kept it while they were offline: arrays of some minutes of one device, all devices in turn.
 * Checks that every packet is acknowledged in order.
 *
 *   [{"ts":1700000000000,"metrics":{"temperature":21.53}}, …]
 */
import { connect, type Socket } from 'node:net'
import { encodeConnect } from '../src/fleet/mqtt-packets.ts'
import { jitterMs, type DayJob, type DayWord } from './day.ts'
import { writeHundredths, writeMilliseconds } from './digits.ts'
import type { LoadClient } from './load.ts'
import { PUBACK_BYTES, publishHead, pubackWord } from './mqtt-connection.ts'

const MESSAGE = '{"ts":1700000000000,"metrics":{"temperature":21.50}}'
const TIME_AT = MESSAGE.indexOf('17')
const VALUE_AT = MESSAGE.indexOf('21.50')
const STRIDE = MESSAGE.length + 1
const CENTRE = 2150

const say = (word: DayWord): void => void process.send?.(word)

function fail(problem: string): never {
  say({ word: 'failed', problem })
  process.exit(1)
}

class DayConnection {
  readonly done: Promise<void>
  readonly #job: DayJob
  readonly #devices: readonly string[]
  readonly #firstDevice: number
  readonly #socket: Socket
  /** One packet of each device, its numbers patched before it is sent. */
  readonly #packets: { bytes: Buffer; view: DataView; bodyAt: number }[]
  readonly #walks: Int32Array
  #random: number
  #sent = 0
  #acknowledged = 0
  #partial: Buffer = Buffer.alloc(0)
  #isConnected = false
  #finish: () => void = () => {}

  constructor(job: DayJob, client: LoadClient, index: number) {
    this.#job = job
    this.#devices = client.devices
    this.#firstDevice = index * client.devices.length
    this.#random = (index + 1) * 2_654_435_761
    this.#walks = new Int32Array(client.devices.length).fill(CENTRE)
    const text = `[${Array.from({ length: job.messagesPerPacket }, () => MESSAGE).join()}]`
    this.#packets = client.devices.map((device, slot) => {
      const head = publishHead(slot, device, text.length)
      const bytes = Buffer.concat([head, Buffer.from(text)])
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
      return { bytes, view, bodyAt: head.length + 1 }
    })
    this.done = new Promise((resolve) => (this.#finish = resolve))
    this.#socket = connect({ host: '127.0.0.1', port: job.port, noDelay: true })
    this.#socket.on('connect', () => {
      const { name, secret } = client
      this.#socket.write(
        encodeConnect({ clientId: name, username: name, password: secret, keepAliveS: 0 }),
      )
    })
    this.#socket.on('data', (bytes: Buffer) => this.#receive(bytes))
    this.#socket.on('error', (error) => fail(`${client.name}: ${error.message}`))
    this.#socket.on('close', () => {
      if (!this.#socket.writableEnded) fail(`${client.name}: the server hung up`)
    })
  }

  get #total(): number {
    return this.#devices.length * Math.ceil(this.#job.readings / this.#job.messagesPerPacket)
  }

  /** A device has one packet under way at most, so its bytes may be patched. */
  #fill(): void {
    const window = Math.min(this.#job.window, this.#devices.length)
    this.#socket.cork()
    while (this.#sent < this.#total && this.#sent - this.#acknowledged < window) {
      const device = this.#sent % this.#devices.length
      const turn = Math.floor(this.#sent / this.#devices.length)
      this.#patch(device, turn * this.#job.messagesPerPacket)
      this.#socket.write(this.#packets[device]!.bytes)
      this.#sent++
    }
    this.#socket.uncork()
  }

  #patch(device: number, first: number): void {
    const { view, bodyAt } = this.#packets[device]!
    const { startMs, intervalMs, messagesPerPacket } = this.#job
    let walk = this.#walks[device]!
    for (let message = 0; message < messagesPerPacket; message++) {
      const at = bodyAt + message * STRIDE
      const reading = first + message
      const jitter = jitterMs(this.#firstDevice + device, reading)
      writeMilliseconds(view, at + TIME_AT, startMs + reading * intervalMs + jitter)
      // A walk of up to 8 hundredths a step, drawn back to its centre.
      this.#random = (Math.imul(this.#random, 1_664_525) + 1_013_904_223) >>> 0
      walk += (this.#random >>> 28) - 7 - ((walk - CENTRE) >> 6)
      writeHundredths(view, at + VALUE_AT, walk)
    }
    this.#walks[device] = walk
  }

  #receive(bytes: Buffer): void {
    let data = Buffer.concat([this.#partial, bytes])
    if (!this.#isConnected) {
      if (data.length < 4) return void (this.#partial = data)
      // CONNACK of 3.1.1: two bytes, the second is the return code [MQTT-3.2.2].
      if (data[0] !== 0x20 || data[3] !== 0) fail(`CONNACK ${data.toString('hex')}`)
      this.#isConnected = true
      data = data.subarray(4)
    }
    const count = Math.floor(data.length / PUBACK_BYTES)
    for (let i = 0; i < count; i++) {
      const id = (this.#acknowledged % this.#devices.length) + 1
      const found = data.readUInt32LE(i * PUBACK_BYTES)
      if (found !== pubackWord(id)) fail(`expected the PUBACK of ${id}, got ${found.toString(16)}`)
      this.#acknowledged++
    }
    this.#partial = data.subarray(count * PUBACK_BYTES)
    if (this.#acknowledged < this.#total) return this.#fill()
    this.#socket.end(Uint8Array.of(0xe0, 0))
    this.#finish()
  }
}

process.once('message', (message) => {
  const job = message as DayJob
  const connections = job.clients.map((client, index) => new DayConnection(job, client, index))
  void Promise.all(connections.map(({ done }) => done)).then(() => {
    say({ word: 'done' })
    process.disconnect()
  })
})
