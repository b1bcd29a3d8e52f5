/**
 * What a gateway remembers of a registry that is a server: rows found, and ids that were not. Of
 * more than `devicesMax` the least recently used are forgotten.
 */
import type { Device } from './control.ts'
import { toDevice, type DeviceRow } from './device-row.ts'

export interface KnownDevice {
  /** Undefined: there is none of this id. */
  readonly device: Device | undefined
  readonly tokenHash: Uint8Array | undefined
  /** Monotonic ms. It was so at some time after `askedMs`. */
  readonly askedMs: number
  readonly answeredMs: number
  /** Counts until then in any case: the registry was away when it was asked again. */
  heldUntilMs: number
}

/** Neither part holds a NUL. */
const keyOf = (tenant: string, id: string): string => `${tenant}\0${id}`

export class DeviceCache {
  /** In the order of their last use: a Map keeps the order in which keys were put. */
  readonly #known = new Map<string, KnownDevice>()
  readonly #devicesMax: number

  constructor(devicesMax: number) {
    this.#devicesMax = devicesMax
  }

  get size(): number {
    return this.#known.size
  }

  get(tenant: string, id: string): KnownDevice | undefined {
    const key = keyOf(tenant, id)
    const known = this.#known.get(key)
    if (known === undefined) return undefined
    this.#known.delete(key)
    this.#known.set(key, known)
    return known
  }

  /** The registry's answer for these ids of a tenant. */
  take(
    asked: { tenant: string; ids: Iterable<string>; askedMs: number; answeredMs: number },
    rows: readonly DeviceRow[],
  ): void {
    const { tenant, ids, askedMs, answeredMs } = asked
    const byId = new Map(rows.map((row) => [row.id, row]))
    for (const id of ids) {
      const key = keyOf(tenant, id)
      const row = byId.get(id)
      this.#known.delete(key)
      this.#known.set(key, {
        device: row === undefined ? undefined : toDevice(row),
        tokenHash: row?.token_hash,
        ...{ askedMs, answeredMs, heldUntilMs: 0 },
      })
    }
    for (const key of this.#known.keys()) {
      if (this.#known.size <= this.#devicesMax) return
      this.#known.delete(key)
    }
  }
}
