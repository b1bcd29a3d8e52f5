/**
 * What is kept in memory of segments that were read, the longest unused forgotten first: their page
 * tables (about 30 bytes a page) and where in a block each series begins (8 bytes a run). With
 * both, a question about one series reads nothing but the pages that hold its rows.
 */
import type { PageTable } from '../parquet/parquet.ts'
import type { Disk } from '../world/world.ts'
import { SERIES } from './reading-columns.ts'
import { readTables, sizeOfTables } from './reading-file.ts'
import type { Segment } from './segment-set.ts'

const BYTES_MAX = 48 << 20

/** The runs of a block in the order of its rows; the last `from` is its count of rows. */
export interface Runs {
  series: Int32Array
  from: Int32Array
}

/** Of one segment. */
export class FileTables {
  readonly pages: readonly PageTable[]
  readonly #runs: (Runs | undefined)[]
  readonly #grow: (bytes: number) => void
  bytes: number

  constructor(pages: readonly PageTable[], grow: (bytes: number) => void) {
    this.pages = pages
    this.#runs = Array.from({ length: pages[SERIES]!.count }, () => undefined)
    this.#grow = grow
    this.bytes = sizeOfTables(pages)
  }

  /** Where the series of a block begin; `read` fetches the series of its rows. */
  async runs(block: number, read: () => Promise<Int32Array>): Promise<Runs> {
    const known = this.#runs[block]
    if (known !== undefined) return known
    const runs = findRuns(await read())
    if (this.#runs[block] === undefined) {
      const bytes = runs.series.byteLength + runs.from.byteLength
      this.bytes += bytes
      this.#grow(bytes)
    }
    this.#runs[block] = runs
    return runs
  }
}

function findRuns(ids: Int32Array): Runs {
  const series: number[] = []
  const from: number[] = []
  let last = -1
  for (let row = 0; row < ids.length; row++) {
    const id = ids[row]!
    if (id === last) continue
    series.push(id)
    from.push(row)
    last = id
  }
  from.push(ids.length)
  return { series: Int32Array.from(series), from: Int32Array.from(from) }
}

export class PageTables {
  readonly #folder: string
  readonly #disk: Disk
  /** In the order of their last use. */
  readonly #known = new Map<string, FileTables>()
  #bytes = 0

  constructor(folder: string, disk: Disk) {
    this.#folder = folder
    this.#disk = disk
  }

  /** Errors: DATA_FILE_DAMAGED. */
  async get({ file, bytes, tail }: Segment): Promise<FileTables> {
    if (tail === undefined) throw new TypeError(`${file} is not ours`)
    const known = this.#known.get(file) ?? (await this.#read(file, bytes, tail))
    this.#known.delete(file)
    this.#known.set(file, known)
    return known
  }

  async #read(
    file: string,
    bytes: number,
    tail: NonNullable<Segment['tail']>,
  ): Promise<FileTables> {
    const pages = await readTables(this.#disk, `${this.#folder}/${file}`, { bytes, tail })
    // Another question may have read them meanwhile.
    const meanwhile = this.#known.get(file)
    if (meanwhile !== undefined) return meanwhile
    const tables = new FileTables(pages, (bytes) => {
      if (this.#known.get(file) === tables) this.#grow(bytes)
    })
    this.#known.set(file, tables)
    this.#grow(tables.bytes)
    return tables
  }

  #grow(bytes: number): void {
    this.#bytes += bytes
    for (const [file, { bytes }] of this.#known) {
      if (this.#bytes <= BYTES_MAX || this.#known.size === 1) return
      this.#known.delete(file)
      this.#bytes -= bytes
    }
  }
}
