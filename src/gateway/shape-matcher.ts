/**
 * Compares a message with a shape and parses its values straight into the batch. This loop runs for
 * every message of the fleet: it makes no object, no string and no call that V8 does not inline.
 */
import type { BatchBuilder } from './batch-builder.ts'
import type { DeviceState, DeviceTable } from './device-state.ts'
import type { Dictionary } from './dictionary.ts'
import { hashIdentity, type Identity } from './identity.ts'
import { scanNumber, scanner } from './number-scanner.ts'
import {
  PART_BOOLEAN,
  PART_DEVICE,
  PART_IDENTITY,
  PART_NUMBER,
  PART_TIME,
  type Shape,
} from './shape.ts'

const ID_BYTES_MAX = 256

export class ShapeMatcher {
  /** Of the message last matched; NaN when its shape has no time. */
  timeUs = NaN
  readonly identity: Identity = { high: 0, low: 0 }
  hasIdentity = false
  device: DeviceState | undefined
  readonly #builder: BatchBuilder
  readonly #dictionary: Dictionary
  readonly #devices: DeviceTable

  constructor(parts: { builder: BatchBuilder; dictionary: Dictionary; devices: DeviceTable }) {
    this.#builder = parts.builder
    this.#dictionary = parts.dictionary
    this.#devices = parts.devices
  }

  /**
   * Position after the message when bytes[start…] is a message of this shape, else -1 (and then
   * nothing counts). Its readings stand in the builder at readingCount…, not yet ended. `device` is
   * undefined when the message itself must name it.
   */
  match(
    shape: Shape,
    bytes: Uint8Array,
    range: { start: number; end: number },
    device: DeviceState | undefined,
  ): number {
    const { literals, parts } = shape
    const { end } = range
    const builder = this.#builder
    const { value, series } = builder
    let reading = builder.readingCount
    let at = range.start
    this.timeUs = NaN
    this.hasIdentity = false
    this.device = device
    for (let p = 0; ; p++) {
      const literal = literals[p]!
      const length = literal.length
      // Reading past `end` stays inside the buffer or gives undefined: neither matches by accident,
      // because the position is checked once more at the end.
      for (let i = 0; i < length; i++) if (bytes[at + i] !== literal[i]) return -1
      at += length
      if (p === parts.length) return at > end || this.device === undefined ? -1 : at
      const part = parts[p]!
      if (part.kind === PART_NUMBER) {
        const number = scanNumber(bytes, at)
        // A NaN fails both comparisons.
        if (!(number >= part.min && number <= part.max)) return -1
        at = scanner.end
        const target = this.#series(part.metricIndex, 0)
        if (target < 0) return -1
        value[reading] = number
        series[reading++] = target
      } else if (part.kind === PART_TIME) {
        this.timeUs = Math.round(scanNumber(bytes, at) * 1000)
        if (Number.isNaN(this.timeUs)) return -1
        at = scanner.end
      } else if (part.kind === PART_BOOLEAN) {
        const isTrue = bytes[at] === 0x74
        if (!(isTrue ? isTrueAt(bytes, at) : isFalseAt(bytes, at))) return -1
        at += isTrue ? 4 : 5
        const target = this.#series(part.metricIndex, 1)
        if (target < 0) return -1
        value[reading] = isTrue ? 1 : 0
        series[reading++] = target
      } else {
        at = this.#text(part.kind, bytes, at, end)
        if (at < 0) return -1
      }
    }
  }

  /** The device's series of this metric if it exists and has this kind (0 number, 1 boolean). */
  #series(metricIndex: number, kind: number): number {
    const device = this.device
    if (device === undefined) return -1
    const series = device.seriesAt(metricIndex)
    return series >= 0 && this.#dictionary.kindCode(series) === kind ? series : -1
  }

  /** Reads an id's or a device's text up to its quote; -1 sends the message the slow way. */
  #text(kind: number, bytes: Uint8Array, start: number, end: number): number {
    let at = start
    while (at < end && bytes[at] !== 0x22) {
      const byte = bytes[at]!
      // Escapes, control characters, what must be checked as UTF-8 and overlong ids: the slow way.
      if (byte === 0x5c || byte < 0x20 || byte >= 0x80 || at - start >= ID_BYTES_MAX) return -1
      at++
    }
    if (at === start || at >= end) return -1
    if (kind === PART_IDENTITY) {
      hashIdentity(bytes, start, at, this.identity)
      this.hasIdentity = true
    } else if (kind === PART_DEVICE) {
      const named = this.#devices.findByBytes(bytes, start, at)
      if (this.device !== undefined && this.device !== named) return -1
      this.device = named
      if (named === undefined) return -1
    }
    return at
  }
}

function isTrueAt(bytes: Uint8Array, at: number): boolean {
  return bytes[at + 1] === 0x72 && bytes[at + 2] === 0x75 && bytes[at + 3] === 0x65
}

function isFalseAt(bytes: Uint8Array, at: number): boolean {
  return (
    bytes[at] === 0x66 &&
    bytes[at + 1] === 0x61 &&
    bytes[at + 2] === 0x6c &&
    bytes[at + 3] === 0x73 &&
    bytes[at + 4] === 0x65
  )
}
