/**
 * Entries of one partition as batches, with numbers of its own for devices, series and texts: dense,
 * from 0, in the order of their first appearance, so that the same entries give the same numbers.
 *
 * Known names are never made into strings: a device is found by the bytes of its header, and a
 * message's metrics are first compared with those of that device's message before.
 */
import { type Definitions, type ReadingBatch, type ValueKind } from '../batch/batch.ts'
import { WeirError } from '../errors/errors.ts'
import { AvroReader, malformed } from './avro-reader.ts'
import { latin1 } from './latin1.ts'
import { MessageColumns } from './message-columns.ts'
import { SeriesGroup } from './series-group.ts'

export interface DecoderLimits {
  seriesMax: number
  textsMax: number
}

/** A message has so many readings at most, as the gateway takes them. */
const READINGS_MAX = 65_535
const KINDS: readonly ValueKind[] = ['number', 'boolean', 'text']
const IDENTITY_BYTES = 8

interface KnownDevice {
  number: number
  tenant: string
  deviceId: string
  deviceType: string
  /** By the bytes of the dimensions. */
  groups: Map<string, SeriesGroup>
  /** Without dimensions. */
  plain: SeriesGroup | undefined
}

export class MessageDecoder {
  readonly #limits: DecoderLimits
  readonly #reader = new AvroReader()
  readonly #columns = new MessageColumns()
  /** By the bytes of tenant, id and type. */
  readonly #devices = new Map<string, KnownDevice>()
  /** Numbers that a device had before a restart, by tenant and id. */
  readonly #numbers = new Map<string, number>()
  readonly #texts = new Map<string, number>()
  readonly #restored = new Map<number, Definitions['series']>()
  #nextDevice = 0
  #nextSeries = 0
  #nextText = 0
  #new: Definitions = { series: [], texts: [] }
  /** µs; deltas count from it. */
  #baseUs = 0

  constructor(limits: DecoderLimits) {
    this.#limits = limits
  }

  /** What was given before. Call it first. */
  restore({ series, texts }: Definitions): void {
    for (const one of series) {
      this.#numbers.set(nameOf(one.tenant, one.deviceId), one.device)
      const ofDevice = this.#restored.get(one.device)
      if (ofDevice === undefined) this.#restored.set(one.device, [one])
      else ofDevice.push(one)
      this.#nextDevice = Math.max(this.#nextDevice, one.device + 1)
      this.#nextSeries = Math.max(this.#nextSeries, one.series + 1)
    }
    for (const [id, text] of texts) {
      this.#texts.set(text, id)
      this.#nextText = Math.max(this.#nextText, id + 1)
    }
  }

  /** Forgets the batch. Ingest times of the next one are counted from `baseIngestUs`. */
  begin(baseIngestUs: number): void {
    this.#columns.clear()
    this.#baseUs = baseIngestUs
  }

  /**
   * Adds a message to the batch, or gives the time of a tick, µs. After an error nothing of the
   * entry is in the batch. Errors: ENTRY_MALFORMED, SERIES_LIMIT, TEXT_LIMIT.
   */
  add(value: Uint8Array): number | undefined {
    const reader = this.#reader
    reader.reset(value)
    reader.stringStart()
    const idStart = reader.stringStart()
    const isTick = reader.at === idStart
    reader.stringStart()
    const headerEnd = reader.at
    const eventUs = reader.long()
    const ingestUs = reader.long()
    const flags = reader.long()
    if (flags < 0 || flags > 0xff) throw malformed('flags beyond a byte')
    const identityAt = reader.stringStart()
    const identityLength = reader.at - identityAt
    if (identityLength !== 0 && identityLength !== IDENTITY_BYTES) {
      throw malformed(`an identity of ${identityLength} bytes`)
    }
    const dimensionsAt = reader.at
    reader.skipStrings()
    const device = isTick ? undefined : this.#device(headerEnd)
    const group = device && this.#group(device, dimensionsAt, reader.at)
    let count = 0
    for (let kind = 0; kind < KINDS.length; kind++) {
      count = this.#readMap(device, group, { kind, count })
    }
    reader.finish()
    if (isTick && count === 0) return eventUs
    if (count === 0) throw malformed('a message without readings')
    this.#columns.endMessage({
      device: device!.number,
      eventUs,
      deltaUs: ingestUs - this.#baseUs,
      flags,
      readings: count,
      identity: identityLength === 0 ? undefined : value.subarray(identityAt),
    })
    return undefined
  }

  /** The batch so far, good until begin(). What is new in it is defined in it. */
  take(): ReadingBatch {
    const definitions = this.#new
    const isNew = definitions.series.length > 0 || definitions.texts.length > 0
    if (isNew) this.#new = { series: [], texts: [] }
    return this.#columns.batch(this.#baseUs, isNew ? definitions : undefined)
  }

  #readMap(
    device: KnownDevice | undefined,
    group: SeriesGroup | undefined,
    { kind, count: before }: { kind: number; count: number },
  ): number {
    const reader = this.#reader
    const columns = this.#columns
    let count = before
    let place = 0
    for (let left = reader.blockCount(); left > 0; left = reader.blockCount()) {
      if (group === undefined || device === undefined) throw malformed('readings of no device')
      if (count + left > READINGS_MAX) throw malformed('too many readings')
      columns.reserve(count + left)
      for (; left > 0; left--, count++, place++) {
        const start = reader.stringStart()
        const known = group.find(kind, place, reader.bytes, start, reader.at)
        const series =
          known >= 0 ? known : this.#defineSeries(device, group, { kind, start, place })
        columns.put(count, series, this.#value(kind))
      }
    }
    return count
  }

  #value(kind: number): number {
    if (kind === 0) return this.#reader.double()
    if (kind === 1) return this.#reader.boolean() ? 1 : 0
    return this.#text(this.#reader.string())
  }

  #text(text: string): number {
    const known = this.#texts.get(text)
    if (known !== undefined) return known
    if (this.#nextText >= this.#limits.textsMax) {
      throw new WeirError('TEXT_LIMIT', `all ${this.#limits.textsMax} different texts are in use`)
    }
    const id = this.#nextText++
    this.#texts.set(text, id)
    this.#new.texts.push([id, text])
    return id
  }

  #device(headerEnd: number): KnownDevice {
    const { bytes } = this.#reader
    const header = latin1(bytes, 0, headerEnd)
    return this.#devices.get(header) ?? this.#defineDevice(header, bytes)
  }

  #defineDevice(header: string, bytes: Uint8Array): KnownDevice {
    const reader = new AvroReader()
    reader.reset(bytes)
    const [tenant, deviceId, deviceType] = [reader.string(), reader.string(), reader.string()]
    const name = nameOf(tenant, deviceId)
    const number = this.#numbers.get(name) ?? this.#nextDevice++
    this.#numbers.set(name, number)
    const groups = new Map<string, SeriesGroup>()
    const device = { number, tenant, deviceId, deviceType, groups, plain: undefined }
    this.#devices.set(header, device)
    return device
  }

  #group(device: KnownDevice, start: number, end: number): SeriesGroup {
    const isPlain = end - start === 1
    if (isPlain && device.plain !== undefined) return device.plain
    const key = latin1(this.#reader.bytes, start, end)
    let group = device.groups.get(key)
    if (group === undefined) {
      group = this.#makeGroup(device, start)
      device.groups.set(key, group)
    }
    if (isPlain) device.plain = group
    return group
  }

  /** With what the device had before a restart, by whatever type. */
  #makeGroup({ number }: KnownDevice, start: number): SeriesGroup {
    const reader = new AvroReader()
    reader.reset(this.#reader.bytes)
    reader.at = start
    const dimensions = reader.strings().toSorted(([a], [b]) => (a < b ? -1 : 1))
    const group = new SeriesGroup(dimensions)
    const same = JSON.stringify(dimensions)
    for (const one of this.#restored.get(number) ?? []) {
      if (JSON.stringify(one.dimensions) !== same) continue
      group.add(KINDS.indexOf(one.kind), one.metric, one.series)
    }
    return group
  }

  #defineSeries(
    { number, tenant, deviceId, deviceType }: KnownDevice,
    group: SeriesGroup,
    { kind, start, place }: { kind: number; start: number; place: number },
  ): number {
    const metric = this.#reader.textOf(start, this.#reader.at)
    if (this.#nextSeries >= this.#limits.seriesMax) {
      throw new WeirError('SERIES_LIMIT', `all ${this.#limits.seriesMax} series are in use`)
    }
    const series = this.#nextSeries++
    const { dimensions } = group
    const name = { tenant, deviceId, deviceType, metric, dimensions, kind: KINDS[kind]! }
    const definition = { series, device: number, ...name }
    this.#new.series.push(definition)
    // Another header of the device, of another type, has groups of its own.
    const ofDevice = this.#restored.get(number)
    if (ofDevice === undefined) this.#restored.set(number, [definition])
    else ofDevice.push(definition)
    group.add(kind, metric, series)
    return group.find(kind, place, this.#reader.bytes, start, this.#reader.at)
  }
}

/** Neither a tenant nor an id holds a NUL. */
const nameOf = (tenant: string, deviceId: string): string => `${tenant}\0${deviceId}`
