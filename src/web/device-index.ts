/** All known devices in memory: search, order and pages without asking the server again. */
import type { DeviceRow } from './api.ts'

/** Beyond this the page asks for a device by its exact id: 50,000 rows are 20 MB of memory. */
export const DEVICES_MAX = 50_000

export type DeviceOrder = 'name' | 'name-descending' | 'type' | 'firing'

export interface DeviceView {
  search: string
  order: DeviceOrder
  /** Devices with a firing rule: first in the order `firing`. */
  firing: ReadonlySet<string>
}

/** Numbers inside names count as numbers: pump-2 stands before pump-10. */
const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: 'base' })

export class DeviceIndex {
  readonly #rows = new Map<string, DeviceRow>()
  /** Lower-case id, type, location and tags of each device. */
  readonly #words = new Map<string, string>()
  #byName: DeviceRow[] = []
  #isSorted = true

  get count(): number {
    return this.#rows.size
  }

  get(id: string): DeviceRow | undefined {
    return this.#rows.get(id)
  }

  add(rows: readonly DeviceRow[]): void {
    for (const row of rows) {
      this.#rows.set(row.id, row)
      const parts = [row.id, row.type, row.location ?? '', ...Object.values(row.tags ?? {})]
      this.#words.set(row.id, parts.join('\n').toLowerCase())
    }
    this.#isSorted = false
  }

  /** Forgets the devices that are not among `ids`. */
  keepOnly(ids: ReadonlySet<string>): void {
    for (const id of this.#rows.keys()) {
      if (ids.has(id)) continue
      this.#rows.delete(id)
      this.#words.delete(id)
      this.#isSorted = false
    }
  }

  /** Every word of the search must occur somewhere in id, type, location or tags. */
  find(view: DeviceView): DeviceRow[] {
    const words = view.search.toLowerCase().split(/\s+/).filter(Boolean)
    const named = this.#sortedByName()
    const found = words.length === 0 ? [...named] : named.filter((row) => this.#has(row, words))
    // Array.sort is stable, so equal types and states keep the order of names.
    if (view.order === 'name-descending') found.reverse()
    if (view.order === 'type') found.sort((a, b) => collator.compare(a.type, b.type))
    if (view.order === 'firing') {
      found.sort((a, b) => Number(view.firing.has(b.id)) - Number(view.firing.has(a.id)))
    }
    return found
  }

  #has(row: DeviceRow, words: readonly string[]): boolean {
    const text = this.#words.get(row.id) ?? ''
    return words.every((word) => text.includes(word))
  }

  #sortedByName(): DeviceRow[] {
    if (!this.#isSorted) {
      this.#byName = [...this.#rows.values()].sort((a, b) => collator.compare(a.id, b.id))
      this.#isSorted = true
    }
    return this.#byName
  }
}
