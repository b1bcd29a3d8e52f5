/**
 * The page tables of segments, the longest unused forgotten first: about 30 bytes for each page, so
 * that these megabytes hold those of a thousand million readings.
 */
import type { PageTable } from '../parquet/parquet.ts'
import type { Disk } from '../world/world.ts'
import { readTables, sizeOfTables } from './reading-file.ts'
import type { Segment } from './segment-set.ts'

const BYTES_MAX = 32 << 20

export class PageTables {
  readonly #folder: string
  readonly #disk: Disk
  /** In the order of their last use. */
  readonly #known = new Map<string, PageTable[]>()
  #bytes = 0

  constructor(folder: string, disk: Disk) {
    this.#folder = folder
    this.#disk = disk
  }

  /** Errors: DATA_FILE_DAMAGED. */
  async get({ file, bytes, tail }: Segment): Promise<PageTable[]> {
    if (tail === undefined) throw new TypeError(`${file} is not ours`)
    const known = this.#known.get(file)
    if (known !== undefined) {
      this.#known.delete(file)
      this.#known.set(file, known)
      return known
    }
    const tables = await readTables(this.#disk, `${this.#folder}/${file}`, { bytes, tail })
    if (!this.#known.has(file)) this.#bytes += sizeOfTables(tables)
    this.#known.set(file, tables)
    for (const [oldest, dropped] of this.#known) {
      if (this.#bytes <= BYTES_MAX || oldest === file) break
      this.#known.delete(oldest)
      this.#bytes -= sizeOfTables(dropped)
    }
    return tables
  }
}
