/**
 * Entries of one partition as batches, with numbers of its own for devices, series and texts:
 * dense, from 0, in the order of their first appearance, so that the same entries give the same.
 *
 * Known names are never made into strings: a device is found by the bytes of its header, and a
 * message's metrics are first compared with those of that device's message before.
 */
import type { Definitions, DeviceFacts, ReadingBatch, ValueKind } from '../batch/batch.ts'
import { WeirError } from '../errors/errors.ts'
import { AvroReader, malformed } from './avro-reader.ts'
import { decodeTold, type ControlEntry } from './control-entry.ts'
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
  /** By dimensions. */
  groups: Map<string, SeriesGroup>
  /** The same by the bytes of the dimensions, which may have them in any order. */
  groupsByBytes: Map<string, SeriesGroup>
  /** Without dimensions. */
  plain: SeriesGroup | undefined
}

/** A device whose type was changed begins its entries differently and is the same device. */
interface KnownHeader {
  device: KnownDevice
  deviceType: string
}

export class MessageDecoder {
  readonly #limits: DecoderLimits
  readonly #reader = new AvroReader()
  readonly #columns = new MessageColumns()
  /** By the bytes of tenant, id and type. */
  readonly #headers = new Map<string, KnownHeader>()
  /** By tenant and id. */
  readonly #devices = new Map<string, KnownDevice>()
  readonly #texts = new Map<string, number>()
  #nextDevice = 0
  #nextSeries = 0
  /** Below that, not in use: of series that another partition has now. The lowest comes last. */
  #freeSeries: number[] = []
  #nextText = 0
  #new: Definitions = { series: [], texts: [] }
  /** µs; deltas count from it. */
  #baseUs = 0
  /** How to take back what the entry under way defined. */
  readonly #undo: (() => void)[] = []

  constructor(limits: DecoderLimits) {
    this.#limits = limits
  }

  /** What was given before. Call it first. */
  restore({ series, texts, devices = [] }: Definitions): void {
    for (const { tenant, deviceId, device: number } of devices) {
      this.#devices.set(nameOf(tenant, deviceId), newDevice(number, tenant, deviceId))
      this.#nextDevice = Math.max(this.#nextDevice, number + 1)
    }
    for (const one of series) {
      const { tenant, deviceId, device: number, dimensions, kind } = one
      const name = nameOf(tenant, deviceId)
      const device = this.#devices.get(name) ?? newDevice(number, tenant, deviceId)
      this.#devices.set(name, device)
      groupOf(device, dimensions).add(KINDS.indexOf(kind), one.metric, one.series)
      this.#nextDevice = Math.max(this.#nextDevice, number + 1)
      this.#nextSeries = Math.max(this.#nextSeries, one.series + 1)
    }
    const used = new Set(series.map((one) => one.series))
    for (let number = this.#nextSeries - 1; number >= 0; number--) {
      if (!used.has(number)) this.#freeSeries.push(number)
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
   * Adds a message to the batch, or gives the time of a tick, µs, or what define() takes. After an
   * error nothing of the entry is in the batch, and nothing that it named is defined.
   * Errors: ENTRY_MALFORMED, SERIES_LIMIT, TEXT_LIMIT.
   */
  add(value: Uint8Array): number | ControlEntry | undefined {
    try {
      return this.#add(value)
    } catch (error) {
      for (const undo of this.#undo.toReversed()) undo()
      throw error
    } finally {
      if (this.#undo.length > 0) this.#undo.length = 0
    }
  }

  /**
   * For all messages of the batch: those that were read before are to be taken before. Facts of a
   * device replace those that it had.
   */
  define(told: ControlEntry): void {
    if ('rules' in told) {
      this.#new.rules ??= []
      this.#new.rules.push(...told.rules)
      return
    }
    const { tenant, deviceId } = told.device
    const name = nameOf(tenant, deviceId)
    const device = this.#devices.get(name) ?? newDevice(this.#nextDevice++, tenant, deviceId)
    this.#devices.set(name, device)
    this.#new.devices ??= []
    this.#new.devices.push({ device: device.number, ...told.device })
  }

  #add(value: Uint8Array): number | ControlEntry | undefined {
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
    const dimensionsEnd = reader.at
    const header = isTick ? undefined : this.#header(headerEnd)
    const group = header && this.#group(header.device, dimensionsAt, dimensionsEnd)
    let count = 0
    for (let kind = 0; kind < KINDS.length; kind++) {
      count = this.#readMap(header, group, { kind, count })
    }
    reader.finish()
    if (isTick) return this.#told(dimensionsAt, dimensionsEnd) ?? eventUs
    if (count === 0) throw malformed('a message without readings')
    this.#columns.endMessage({
      device: header!.device.number,
      eventUs,
      deltaUs: ingestUs - this.#baseUs,
      flags,
      readings: count,
      identity: identityLength === 0 ? undefined : value.subarray(identityAt),
    })
    return undefined
  }

  #told(start: number, end: number): ControlEntry | undefined {
    if (end - start === 1) return undefined
    const reader = new AvroReader()
    reader.reset(this.#reader.bytes)
    reader.at = start
    const told = decodeTold(reader.strings())
    if (told === undefined || 'rules' in told) return told
    const { tenant, deviceId } = told.device
    // As many as there may be series: those whose messages are all refused have none.
    if (this.#nextDevice < this.#limits.seriesMax) return told
    if (this.#devices.has(nameOf(tenant, deviceId))) return told
    throw new WeirError('SERIES_LIMIT', `all ${this.#limits.seriesMax} devices are in use`)
  }

  /** Whether the next batch has facts of this device: another one's come behind it. */
  hasFactsOf({ tenant, deviceId }: Pick<DeviceFacts, 'tenant' | 'deviceId'>): boolean {
    const number = this.#devices.get(nameOf(tenant, deviceId))?.number
    return this.#new.devices?.some(({ device }) => device === number) ?? false
  }

  /** Whether the next batch defines something. */
  get isDefining(): boolean {
    const { series, texts, devices, rules } = this.#new
    return series.length > 0 || texts.length > 0 || devices !== undefined || rules !== undefined
  }

  /** The batch so far, good until begin(). What is new in it is defined in it. */
  take(): ReadingBatch {
    const definitions = this.#new
    if (!this.isDefining) return this.#columns.batch(this.#baseUs, undefined)
    this.#new = { series: [], texts: [] }
    return this.#columns.batch(this.#baseUs, definitions)
  }

  #readMap(
    header: KnownHeader | undefined,
    group: SeriesGroup | undefined,
    { kind, count: before }: { kind: number; count: number },
  ): number {
    const reader = this.#reader
    const columns = this.#columns
    let count = before
    let place = 0
    for (let left = reader.blockCount(); left > 0; left = reader.blockCount()) {
      if (group === undefined || header === undefined) throw malformed('readings of no device')
      if (count + left > READINGS_MAX) throw malformed('too many readings')
      columns.reserve(count + left)
      for (; left > 0; left--, count++, place++) {
        const start = reader.stringStart()
        const known = group.find(kind, place, reader.bytes, start, reader.at)
        const series =
          known >= 0 ? known : this.#defineSeries(header, group, { kind, start, place })
        columns.put(count, series, this.#value(kind))
      }
    }
    return count
  }

  #value(kind: number): number {
    if (kind === 1) return this.#reader.boolean() ? 1 : 0
    if (kind === 2) return this.#text(this.#reader.string())
    const value = this.#reader.double()
    // One would make every sum that it comes into one of its kind.
    if (!Number.isFinite(value)) throw malformed(`a reading of ${value}`)
    return value
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
    this.#undo.push(() => {
      this.#nextText--
      this.#texts.delete(text)
      this.#new.texts.pop()
    })
    return id
  }

  #header(end: number): KnownHeader {
    const key = latin1(this.#reader.bytes, 0, end)
    return this.#headers.get(key) ?? this.#readHeader(key)
  }

  #readHeader(key: string): KnownHeader {
    const reader = new AvroReader()
    reader.reset(this.#reader.bytes)
    const [tenant, deviceId, deviceType] = [reader.string(), reader.string(), reader.string()]
    const device = this.#device(tenant, deviceId)
    const header = { device, deviceType }
    // More than two for each device are types that come and go.
    if (this.#headers.size >= 2 * this.#devices.size) this.#headers.clear()
    this.#headers.set(key, header)
    this.#undo.push(() => this.#headers.delete(key))
    return header
  }

  #device(tenant: string, deviceId: string): KnownDevice {
    const name = nameOf(tenant, deviceId)
    const known = this.#devices.get(name)
    if (known !== undefined) return known
    const device = newDevice(this.#nextDevice++, tenant, deviceId)
    this.#devices.set(name, device)
    this.#undo.push(() => {
      this.#nextDevice--
      this.#devices.delete(name)
    })
    return device
  }

  #group(device: KnownDevice, start: number, end: number): SeriesGroup {
    const isPlain = end - start === 1
    if (isPlain && device.plain !== undefined) return device.plain
    const key = latin1(this.#reader.bytes, start, end)
    return device.groupsByBytes.get(key) ?? this.#readGroup(device, start, key)
  }

  #readGroup(device: KnownDevice, start: number, key: string): SeriesGroup {
    const reader = new AvroReader()
    reader.reset(this.#reader.bytes)
    reader.at = start
    const dimensions = reader.strings().toSorted(([a], [b]) => (a < b ? -1 : Number(a > b)))
    const { size } = device.groups
    const group = groupOf(device, dimensions)
    if (device.groups.size > size) {
      this.#undo.push(() => {
        device.groups.delete(JSON.stringify(dimensions))
        device.plain = device.groups.get(PLAIN)
      })
    }
    // More than a few ways to write the same: another program's orders, not worth keeping.
    if (device.groupsByBytes.size >= 4 * device.groups.size) device.groupsByBytes.clear()
    device.groupsByBytes.set(key, group)
    this.#undo.push(() => device.groupsByBytes.delete(key))
    return group
  }

  #defineSeries(
    { device, deviceType }: KnownHeader,
    group: SeriesGroup,
    { kind, start, place }: { kind: number; start: number; place: number },
  ): number {
    const metric = this.#reader.textOf(start, this.#reader.at)
    const free = this.#freeSeries.pop()
    if (free === undefined && this.#nextSeries >= this.#limits.seriesMax) {
      throw new WeirError('SERIES_LIMIT', `all ${this.#limits.seriesMax} series are in use`)
    }
    const series = free ?? this.#nextSeries++
    const { number, tenant, deviceId } = device
    const { dimensions } = group
    const name = { tenant, deviceId, deviceType, metric, dimensions, kind: KINDS[kind]! }
    this.#new.series.push({ series, device: number, ...name })
    group.add(kind, metric, series)
    this.#undo.push(() => {
      if (free === undefined) this.#nextSeries--
      else this.#freeSeries.push(free)
      this.#new.series.pop()
      group.remove(kind, metric)
    })
    return group.find(kind, place, this.#reader.bytes, start, this.#reader.at)
  }
}

const PLAIN = '[]'

/** The length says where the tenant ends, whatever it is made of. */
const nameOf = (tenant: string, deviceId: string): string => `${tenant.length}/${tenant}${deviceId}`

const newDevice = (number: number, tenant: string, deviceId: string): KnownDevice => ({
  ...{ number, tenant, deviceId, groups: new Map(), groupsByBytes: new Map(), plain: undefined },
})

function groupOf(device: KnownDevice, dimensions: [string, string][]): SeriesGroup {
  const key = JSON.stringify(dimensions)
  let group = device.groups.get(key)
  if (group === undefined) {
    group = new SeriesGroup(dimensions)
    device.groups.set(key, group)
    if (key === PLAIN) device.plain = group
  }
  return group
}
