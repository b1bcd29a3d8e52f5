/**
 * A ring of ready-made packets whose times and values are patched in place. Building a message as
 * text costs about a microsecond, which would make the generator the slowest part of any benchmark;
 * patching fixed-width digits costs some nanoseconds. A message is one JSON object:
 *
 *   {"ts":1700000000000,"metrics":{"temperature":21.53,"pressure":1013.25,"vibration":0.4711}}
 *
 * Times: now minus up to 8 ms of jitter, strictly rising per device, since (series, time) is a
 * reading's identity. Values: random walks that return to a centre, with one outlier in a million.
 */
import { writeFourDigits, writeHundredths, writeMilliseconds } from './digits.ts'

export const METRICS_PER_MESSAGE = 3
const METRICS = METRICS_PER_MESSAGE

const JITTER_MS = 8
/** `dd.dd`, the middle of `10dd.dd`, and the fraction of `0.dddd`: what each walk returns to. */
const CENTRES = [2150, 1325, 4000] as const
const OUTLIER = 9500

export interface RingOptions {
  /** Bytes around each slot's messages. */
  frame: (slot: number, bodyBytes: number) => { head: Uint8Array; tail: Uint8Array }
  /** Device ids of this ring; slot s speaks for device s modulo their count. */
  devices: string[]
  slots: number
  messagesPerSlot: number
  /** Each message names its device; a slot's messages then go round all devices. */
  namesDevice: boolean
  seed: number
}

function messageText(device: string | undefined): string {
  const name = device === undefined ? '' : `"device":"${device}",`
  return `{${name}"ts":1700000000000,"metrics":{"temperature":21.50,"pressure":1013.25,"vibration":0.4000}}`
}

export class MessageRing {
  /** All slots, one after the other, each `slotBytes` long. */
  readonly bytes: Buffer
  readonly slotBytes: number
  readonly slots: number
  readonly messagesPerSlot: number
  readonly #view: DataView
  readonly #deviceCount: number
  readonly #namesDevice: boolean
  /** Where in a slot its messages begin, and how far apart they are. */
  readonly #bodyAt: number
  readonly #stride: number
  /** Places inside a message. */
  readonly #timeAt: number
  readonly #temperatureAt: number
  readonly #pressureAt: number
  readonly #vibrationAt: number
  readonly #lastMs: Float64Array
  readonly #walks: Int16Array
  #random: number

  constructor(options: RingOptions) {
    const { devices, slots, messagesPerSlot, namesDevice, seed, frame } = options
    const isArray = messagesPerSlot > 1
    const sample = messageText(namesDevice ? devices[0] : undefined)
    this.#stride = sample.length + 1
    const bodyBytes = isArray ? messagesPerSlot * this.#stride + 1 : sample.length
    const first = frame(0, bodyBytes)
    this.#bodyAt = first.head.length + (isArray ? 1 : 0)
    this.slotBytes = first.head.length + bodyBytes + first.tail.length
    this.slots = slots
    this.messagesPerSlot = messagesPerSlot
    this.#deviceCount = devices.length
    this.#namesDevice = namesDevice
    this.bytes = Buffer.alloc(slots * this.slotBytes)
    this.#view = new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.length)
    this.#timeAt = sample.indexOf('"ts":') + 5
    this.#temperatureAt = sample.indexOf('"temperature":') + 14
    this.#pressureAt = sample.indexOf('"pressure":') + 11
    this.#vibrationAt = sample.indexOf('"vibration":') + 12
    this.#lastMs = new Float64Array(devices.length)
    this.#walks = new Int16Array(devices.length * METRICS).map((_, i) => CENTRES[i % METRICS] ?? 0)
    this.#random = (seed * 2_654_435_761 + 1) | 1
    for (let slot = 0; slot < slots; slot++) this.#write(slot, devices, frame(slot, bodyBytes))
  }

  #write(slot: number, devices: string[], frame: { head: Uint8Array; tail: Uint8Array }): void {
    const from = slot * this.slotBytes
    const names = Array.from({ length: this.messagesPerSlot }, (_, i) =>
      this.#namesDevice ? devices[this.#deviceOf(slot, i)] : undefined,
    )
    const texts = names.map(messageText).join(',')
    const body = Buffer.from(this.messagesPerSlot > 1 ? `[${texts}]` : texts)
    const length = frame.head.length + body.length + frame.tail.length
    if (length !== this.slotBytes) throw new RangeError('all device ids must be of one length')
    this.bytes.set(frame.head, from)
    this.bytes.set(body, from + frame.head.length)
    this.bytes.set(frame.tail, from + frame.head.length + body.length)
  }

  #deviceOf(slot: number, message: number): number {
    const index = this.#namesDevice ? slot * this.messagesPerSlot + message : slot
    return index % this.#deviceCount
  }

  /** New times and values in the slots [from, to). None of them may still be under way. */
  refresh(from: number, to: number, nowMs: number): void {
    for (let slot = from; slot < to; slot++) {
      const body = slot * this.slotBytes + this.#bodyAt
      for (let i = 0; i < this.messagesPerSlot; i++)
        this.#patch(body + i * this.#stride, this.#deviceOf(slot, i), nowMs)
    }
  }

  #patch(at: number, device: number, nowMs: number): void {
    // Marsaglia's xorshift32: good enough for jitter, and a few nanoseconds.
    let random = this.#random
    random ^= random << 13
    random ^= random >>> 17
    random ^= random << 5
    this.#random = random
    const view = this.#view
    const ms = Math.max((this.#lastMs[device] ?? 0) + 1, nowMs - (random & (JITTER_MS - 1)))
    this.#lastMs[device] = ms
    writeMilliseconds(view, at + this.#timeAt, ms)
    const isOutlier = random >>> 12 === 4711
    const temperature = this.#step(device * METRICS, (random >>> 3) & 15)
    writeHundredths(view, at + this.#temperatureAt, isOutlier ? OUTLIER : temperature)
    writeHundredths(
      view,
      at + this.#pressureAt + 2,
      this.#step(device * METRICS + 1, (random >>> 7) & 15),
    )
    const vibration = this.#step(device * METRICS + 2, (random >>> 11) & 15)
    writeFourDigits(view, at + this.#vibrationAt + 2, vibration)
  }

  /** One step of a walk: up to ±8, and a 64th of the way back. Stays between 1000 and 9999. */
  #step(walk: number, random: number): number {
    const value = this.#walks[walk] ?? 0
    const centre = CENTRES[walk % METRICS] ?? 0
    const next = Math.max(1000, value + random - 7 - ((value - centre) >> 6))
    this.#walks[walk] = next
    return next
  }
}
