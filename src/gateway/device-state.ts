/**
 * What the gateway keeps of a device between its messages, and how it finds one by a topic's bytes.
 */
import type { Device, DeviceReader } from '../control/control.ts'
import type { Dictionary } from './dictionary.ts'
import type { GatewayType, GatewayTypes } from './device-types.ts'

/** What rules may ask of a device, to compare it. */
const factsOf = ({ location, tags, parent }: Device): string =>
  JSON.stringify([location, tags, parent])
const NO_FACTS = JSON.stringify([undefined, {}, undefined])

export class DeviceState {
  readonly number: number
  readonly tenant: string
  readonly id: string
  readonly type: GatewayType
  readonly parent: string | undefined
  readonly isGateway: boolean
  /** By seriesKey(); what the fast path needs stands also in #seriesAt by metric index. */
  readonly series = new Map<string, number>()
  #seriesAt = new Int32Array(0)
  /** Ingest times given as event times rise strictly per device. */
  lastIngestTimeUs = 0
  /** MQTT connections with its token. */
  connections = 0
  deadLettersInHour = 0
  deadLetterHour = 0
  /** What was told of it last. */
  facts = NO_FACTS

  constructor(
    device: { number: number; tenant: string; id: string; parent: string | undefined },
    type: GatewayType,
    isGateway: boolean,
  ) {
    this.number = device.number
    this.tenant = device.tenant
    this.id = device.id
    this.type = type
    this.parent = device.parent
    this.isGateway = isGateway
  }

  /** Series of the metric with this index and no dimensions, or -1. */
  seriesAt(metricIndex: number): number {
    return this.#seriesAt[metricIndex] ?? -1
  }

  setSeriesAt(metricIndex: number, series: number): void {
    if (metricIndex >= this.#seriesAt.length) {
      const larger = new Int32Array(Math.max(4, metricIndex + 1)).fill(-1)
      larger.set(this.#seriesAt)
      this.#seriesAt = larger
    }
    this.#seriesAt[metricIndex] = series
  }

  /** The clock's time, or the next microsecond after this device's last one. */
  risingTimeUs(nowUs: number): number {
    this.lastIngestTimeUs = Math.max(nowUs, this.lastIngestTimeUs + 1)
    return this.lastIngestTimeUs
  }
}

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

const SLOTS_AT_FIRST = 1024

/** FNV-1a over bytes; the table verifies the bytes, so a collision costs time, never an answer. */
function hashBytes(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0x811c9dc5
  for (let at = start; at < end; at++) hash = Math.imul(hash ^ bytes[at]!, 0x01000193)
  return hash ^ (hash >>> 15)
}

/**
 * Devices seen, in an open-addressing table keyed by the id's bytes, so that a publish to
 * `devices/{id}/telemetry` finds its device without making a string. Hashes and ids stand in flat
 * arrays, so that a look-up touches two or three cache lines and no object but its answer. Holds
 * registered devices only; an unknown id asks the reader each time, since it may be registered in
 * the next second. A reader that must ask a server is asked to prepare first: `look-ahead.ts`.
 */
export class DeviceTable {
  readonly #reader: DeviceReader
  readonly #types: GatewayTypes
  readonly #dictionary: Dictionary
  readonly #tenant: string
  readonly #devices: DeviceState[] = []
  /** By slot: index of the device plus one, 0 for none; and the hash of its id. */
  #indexes = new Uint32Array(SLOTS_AT_FIRST)
  #hashes = new Int32Array(SLOTS_AT_FIRST)
  /** Ids one behind the other; that of device i is #ids[#ends[i - 1] or 0, #ends[i]). */
  #ids = new Uint8Array(SLOTS_AT_FIRST * 8)
  #ends = new Uint32Array(SLOTS_AT_FIRST)

  constructor(parts: {
    reader: DeviceReader
    types: GatewayTypes
    dictionary: Dictionary
    tenant: string
  }) {
    this.#reader = parts.reader
    this.#types = parts.types
    this.#dictionary = parts.dictionary
    this.#tenant = parts.tenant
  }

  /** The device whose id is bytes[start, end), or undefined when none is registered. */
  findByBytes(bytes: Uint8Array, start: number, end: number): DeviceState | undefined {
    const hash = hashBytes(bytes, start, end)
    const mask = this.#indexes.length - 1
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const next = this.#indexes[slot]!
      if (next === 0) return this.#load(bytes, start, end)
      if (this.#hashes[slot] === hash && this.#isId(next - 1, bytes, start, end)) {
        return this.#devices[next - 1]
      }
    }
  }

  find(id: string): DeviceState | undefined {
    const bytes = encoder.encode(id)
    return this.findByBytes(bytes, 0, bytes.length)
  }

  /**
   * The registry was asked again: what has changed of a device, or was never told, goes into the
   * log before its next message.
   */
  tell(state: DeviceState, device: Device): void {
    const facts = factsOf(device)
    if (facts === state.facts) return
    state.facts = facts
    const { number, tenant, id: deviceId, location, tags, parent } = device
    const deviceType = state.type.name
    const told = { device: number, tenant, deviceId, deviceType, location, tags, parent }
    this.#dictionary.tellFacts(told)
  }

  typeOf(name: string): GatewayType {
    return this.#types.get(name)
  }

  #isId(index: number, bytes: Uint8Array, start: number, end: number): boolean {
    const idStart = index === 0 ? 0 : this.#ends[index - 1]!
    const length = this.#ends[index]! - idStart
    if (length !== end - start) return false
    const ids = this.#ids
    for (let at = 0; at < length; at++) if (ids[idStart + at] !== bytes[start + at]) return false
    return true
  }

  #load(bytes: Uint8Array, start: number, end: number): DeviceState | undefined {
    let id: string
    try {
      id = decoder.decode(bytes.subarray(start, end))
    } catch {
      return undefined
    }
    const device = this.#reader.find(this.#tenant, id)
    if (device === undefined) return undefined
    const state = new DeviceState(device, this.#types.get(device.type), device.isGateway)
    this.#dictionary.adopt(state)
    this.tell(state, device)
    this.#insert(state, encoder.encode(id))
    return state
  }

  #insert(device: DeviceState, id: Uint8Array): void {
    const index = this.#devices.length
    const idStart = index === 0 ? 0 : this.#ends[index - 1]!
    this.#ids = roomFor(this.#ids, idStart + id.length)
    this.#ids.set(id, idStart)
    this.#ends = roomFor(this.#ends, index + 1)
    this.#ends[index] = idStart + id.length
    this.#devices.push(device)
    if (this.#devices.length * 2 > this.#indexes.length) this.#grow()
    this.#place(index, hashBytes(id, 0, id.length))
  }

  #grow(): void {
    const { length } = this.#indexes
    const indexes = this.#indexes
    const hashes = this.#hashes
    this.#indexes = new Uint32Array(length * 2)
    this.#hashes = new Int32Array(length * 2)
    for (let slot = 0; slot < length; slot++) {
      if (indexes[slot] !== 0) this.#place(indexes[slot]! - 1, hashes[slot]!)
    }
  }

  #place(index: number, hash: number): void {
    const mask = this.#indexes.length - 1
    let slot = hash & mask
    while (this.#indexes[slot] !== 0) slot = (slot + 1) & mask
    this.#indexes[slot] = index + 1
    this.#hashes[slot] = hash
  }
}

/** The array itself while it is long enough, else a copy of twice its length or more. */
function roomFor<T extends Uint8Array | Uint32Array>(array: T, length: number): T {
  if (length <= array.length) return array
  const larger = new (array.constructor as new (length: number) => T)(
    Math.max(length, array.length * 2),
  )
  larger.set(array)
  return larger
}
