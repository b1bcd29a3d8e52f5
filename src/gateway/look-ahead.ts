/**
 * Who a request's messages are of, found out before they are decoded: where the registry is a
 * server, decoding cannot wait for it in the middle. Who was seen before is not asked for.
 */
import type { DeviceReader, PrepareNeed } from '../control/control.ts'
import type { DeviceTable } from './device-state.ts'
import type { IngestRequest } from './gateway.ts'
import { namesOfDevices } from './json-names.ts'
import type { LineDoor } from './line-door.ts'

/** So few at once that what a reader remembers holds them all. */
const IDS_AT_ONCE_MAX = 500

export class LookAhead {
  readonly #reader: DeviceReader
  readonly #devices: DeviceTable
  readonly #lines: LineDoor
  readonly #tenant: string

  constructor(parts: {
    reader: DeviceReader
    devices: DeviceTable
    lines: LineDoor
    tenant: string
  }) {
    this.#reader = parts.reader
    this.#devices = parts.devices
    this.#lines = parts.lines
    this.#tenant = parts.tenant
  }

  /** Undefined when all devices are known already. Fails with CONTROL_UNAVAILABLE. */
  prepare(request: IngestRequest): Promise<void> | undefined {
    const missing = [...this.#idsOf(request)].filter((id) => this.#devices.find(id) === undefined)
    return missing.length === 0 ? undefined : this.load(missing)
  }

  /** Asks for these devices; those that are registered are in the table then, and stay there. */
  async load(ids: readonly string[], need?: PrepareNeed): Promise<void> {
    for (let from = 0; from < ids.length; from += IDS_AT_ONCE_MAX) {
      const some = ids.slice(from, from + IDS_AT_ONCE_MAX)
      await this.#reader.prepare?.(this.#tenant, some, need)
      for (const id of some) this.#devices.find(id)
    }
  }

  #idsOf({ format, body, principal, deviceId }: IngestRequest): Iterable<string> {
    // For one device only: names in the body are refused unless they are its own.
    if (deviceId !== undefined) return [deviceId]
    if (principal.kind === 'device') return [principal.deviceId]
    if (format === 'line') return this.#lines.deviceIds(body)
    return namesOfDevices(body, (start, end) => {
      return this.#devices.findByBytes(body, start, end) !== undefined
    })
  }
}
