/** What the gateway keeps of a device between its messages, and how it finds one by a topic's bytes. */
import type { DeviceReader } from '../control/control.ts'
import type { Dictionary } from './dictionary.ts'
import type { GatewayType, GatewayTypes } from './device-types.ts'

export class DeviceState {
  readonly number: number
  readonly tenant: string
  readonly id: string
  readonly idBytes: Uint8Array
  readonly type: GatewayType
  readonly parent: string | undefined
  readonly isGateway: boolean
  /** By seriesKey(); what the fast path needs stands also in #seriesAt by metric index. */
  readonly series = new Map<string, number>()
  #seriesAt = new Int32Array(0)
  /** Ingest times given as event times rise strictly per device. */
  lastIngestTimeUs = 0
  deadLettersInHour = 0
  deadLetterHour = 0

  constructor(
    device: { number: number; tenant: string; id: string; parent: string | undefined },
    type: GatewayType,
    isGateway: boolean,
  ) {
    this.number = device.number
    this.tenant = device.tenant
    this.id = device.id
    this.idBytes = new TextEncoder().encode(device.id)
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

/** FNV-1a over bytes; the table verifies the bytes, so a collision costs time, never an answer. */
function hashBytes(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0x811c9dc5
  for (let at = start; at < end; at++) hash = Math.imul(hash ^ bytes[at]!, 0x01000193)
  return hash ^ (hash >>> 15)
}

/**
 * Devices seen, in an open-addressing table keyed by the id's bytes, so that a publish to
 * `devices/{id}/telemetry` finds its device without making a string. Holds registered devices only;
 * an unknown id asks the registry each time, since it may be registered in the next second.
 */
export class DeviceTable {
  readonly #reader: DeviceReader
  readonly #types: GatewayTypes
  readonly #dictionary: Dictionary
  readonly #tenant: string
  #slots: (DeviceState | undefined)[] = Array.from({ length: 1024 })
  #count = 0

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
    const mask = this.#slots.length - 1
    let slot = hashBytes(bytes, start, end) & mask
    for (;;) {
      const device = this.#slots[slot]
      if (device === undefined) return this.#load(bytes, start, end)
      if (isSame(device.idBytes, bytes, start, end)) return device
      slot = (slot + 1) & mask
    }
  }

  find(id: string): DeviceState | undefined {
    const bytes = encoder.encode(id)
    return this.findByBytes(bytes, 0, bytes.length)
  }

  typeOf(name: string): GatewayType {
    return this.#types.get(name)
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
    this.#insert(state)
    return state
  }

  #insert(device: DeviceState): void {
    if (++this.#count * 2 > this.#slots.length) {
      const old = this.#slots
      this.#slots = Array.from({ length: old.length * 2 })
      for (const known of old) if (known) this.#place(known)
    }
    this.#place(device)
  }

  #place(device: DeviceState): void {
    const mask = this.#slots.length - 1
    let slot = hashBytes(device.idBytes, 0, device.idBytes.length) & mask
    while (this.#slots[slot] !== undefined) slot = (slot + 1) & mask
    this.#slots[slot] = device
  }
}

function isSame(id: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  if (id.length !== end - start) return false
  for (let at = 0; at < id.length; at++) if (id[at] !== bytes[start + at]) return false
  return true
}
