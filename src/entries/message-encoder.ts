/**
 * A frame of the gateway as entries, one a message. What a device and a series have in common in
 * all their messages is encoded once, so that a message costs copies of bytes and a few varints.
 */
import type { Definitions, ReadingBatch, SeriesDefinition } from '../batch/batch.ts'
import { AvroWriter } from './avro-writer.ts'
import { encodeFacts, encodeRules, encodeTick } from './control-entry.ts'
import { deviceKey, partitionOf } from './device-key.ts'

export interface Entry {
  partition: number
  /** A tick has none, nor have changes of rules. */
  key?: Uint8Array
  value: Uint8Array
}

/** What all messages of a device begin with. */
interface EncodedDevice {
  key: Uint8Array
  partition: number
  /** Tenant, device and type. */
  header: Uint8Array
}

interface EncodedSeries {
  device: EncodedDevice
  kind: number
  /** The metric as a map's key. */
  metric: Uint8Array
  /** The whole map of its dimensions. */
  dimensions: Uint8Array
}

const NUMBER = 0
const BOOLEAN = 1
const TEXT = 2
const KINDS = { number: NUMBER, boolean: BOOLEAN, text: TEXT } as const
const NO_DIMENSIONS = Uint8Array.of(0)
/** Times, flags, an identity, counts and ends of maps, with air. */
const FIXED_BYTES_MAX = 96

const text = new TextEncoder()

export class MessageEncoder {
  #partitions: number
  readonly #devices = new Map<number, EncodedDevice>()
  readonly #series: EncodedSeries[] = []
  readonly #texts = new Map<number, Uint8Array>()
  readonly #writer = new AvroWriter()

  constructor({ partitions }: { partitions: number }) {
    this.#partitions = partitions
  }

  /** From now on for a topic of so many. */
  repartition(partitions: number): void {
    this.#partitions = partitions
    for (const device of this.#devices.values()) {
      device.partition = partitionOf(device.key, partitions)
    }
  }

  /** Frames come in their order, since each defines what the later ones use. */
  encode(batch: ReadingBatch): Entry[] {
    const { definitions, baseIngestTimeUs } = batch
    if (definitions !== undefined) this.#define(definitions)
    const told = definitions === undefined ? [] : this.#told(definitions, baseIngestTimeUs)
    if (batch.messageCount === 0) {
      return [...told, ...this.#everywhere(encodeTick(baseIngestTimeUs))]
    }
    const writer = this.#writer
    writer.renew()
    const ends = new Uint32Array(batch.messageCount)
    let from = 0
    for (let message = 0; message < batch.messageCount; message++) {
      const to = from + batch.readingsInMessage[message]!
      this.#message(batch, message, from, to)
      ends[message] = writer.length
      from = to
    }
    const entries = this.#cut(batch, ends)
    return told.length === 0 ? entries : [...told, ...entries]
  }

  /** The buffer grew while it was written: only now are its views good. */
  #cut({ messageCount, series, readingsInMessage }: ReadingBatch, ends: Uint32Array): Entry[] {
    const { bytes } = this.#writer
    const entries: Entry[] = []
    let start = 0
    let reading = 0
    for (let message = 0; message < messageCount; message++) {
      const { key, partition } = this.#series[series[reading]!]!.device
      const end = ends[message]!
      entries.push({ partition, key, value: bytes.subarray(start, end) })
      start = end
      reading += readingsInMessage[message]!
    }
    return entries
  }

  #message(batch: ReadingBatch, message: number, from: number, to: number): void {
    const writer = this.#writer
    const first = this.#series[batch.series[from]!]!
    const { header } = first.device
    writer.reserve(header.length + first.dimensions.length + FIXED_BYTES_MAX)
    writer.raw(header)
    writer.long(batch.eventTimeUs[message]!)
    writer.long(batch.baseIngestTimeUs + batch.ingestDeltaUs[message]!)
    writer.long(batch.flags[message]!)
    const high = batch.identityHigh?.[message] ?? 0
    const low = batch.identityLow?.[message] ?? 0
    if ((high | low) === 0) writer.long(0)
    else this.#identity(high, low)
    writer.raw(first.dimensions)
    let others = 0
    for (let reading = from; reading < to; reading++) {
      if (this.#series[batch.series[reading]!]!.kind !== NUMBER) others++
    }
    this.#map(batch, from, to, NUMBER, to - from - others)
    if (others === 0) {
      writer.long(0)
      writer.long(0)
    } else {
      const texts = this.#count(batch, from, to, TEXT)
      this.#map(batch, from, to, BOOLEAN, others - texts)
      this.#map(batch, from, to, TEXT, texts)
    }
  }

  #identity(high: number, low: number): void {
    const writer = this.#writer
    writer.long(8)
    for (const half of [high, low]) {
      writer.raw(Uint8Array.of(half >>> 24, half >>> 16, half >>> 8, half))
    }
  }

  #count(batch: ReadingBatch, from: number, to: number, kind: number): number {
    let count = 0
    for (let reading = from; reading < to; reading++) {
      if (this.#series[batch.series[reading]!]!.kind === kind) count++
    }
    return count
  }

  #map(batch: ReadingBatch, from: number, to: number, kind: number, count: number): void {
    const writer = this.#writer
    if (count > 0) {
      writer.long(count)
      for (let reading = from; reading < to; reading++) {
        const series = this.#series[batch.series[reading]!]!
        if (series.kind !== kind) continue
        writer.raw(series.metric)
        const value = batch.value[reading]!
        if (kind === NUMBER) writer.double(value)
        else if (kind === BOOLEAN) writer.boolean(value !== 0)
        else writer.raw(this.#texts.get(value)!)
      }
    }
    writer.long(0)
  }

  /** What messages of this frame may ask for stands before them. */
  #told({ rules = [], devices = [] }: Definitions, timeUs: number): Entry[] {
    const changes = rules.length === 0 ? [] : this.#everywhere(encodeRules(rules, timeUs))
    // Of a frame the last facts of a device hold, as where frames are processed whole.
    const last = new Map(devices.map((one) => [one.device, one]))
    const facts = [...last.values()].map((one) => {
      const key = deviceKey(one.tenant, one.deviceId)
      return { partition: partitionOf(key, this.#partitions), key, value: encodeFacts(one, timeUs) }
    })
    return [...changes, ...facts]
  }

  #everywhere(value: Uint8Array): Entry[] {
    return Array.from({ length: this.#partitions }, (_, partition) => ({ partition, value }))
  }

  #define({ series, texts }: Definitions): void {
    for (const one of series) this.#series[one.series] = this.#encodeSeries(one)
    for (const [id, value] of texts) this.#texts.set(id, encodeString(value))
  }

  #encodeSeries(series: SeriesDefinition): EncodedSeries {
    const { device: number, dimensions } = series
    let device = this.#devices.get(number)
    if (device === undefined) this.#devices.set(number, (device = this.#encodeDevice(series)))
    const writer = new AvroWriter(64)
    writer.strings(dimensions)
    return {
      device,
      kind: KINDS[series.kind],
      metric: encodeString(series.metric),
      dimensions: dimensions.length === 0 ? NO_DIMENSIONS : writer.take(),
    }
  }

  #encodeDevice({ tenant, deviceId, deviceType }: SeriesDefinition): EncodedDevice {
    const key = deviceKey(tenant, deviceId)
    const writer = new AvroWriter(64)
    for (const name of [tenant, deviceId, deviceType]) writer.string(name)
    return { key, partition: partitionOf(key, this.#partitions), header: writer.take() }
  }
}

function encodeString(value: string): Uint8Array {
  const bytes = text.encode(value)
  const writer = new AvroWriter(bytes.length + 10)
  writer.long(bytes.length)
  writer.raw(bytes)
  return writer.take()
}
