/** Columns of numbers as a Parquet file of this machine, which grows by rows. */
import { ParquetWriter, PLAIN, type Column } from '../parquet/parquet.ts'
import type { Disk, DiskFile } from '../world/world.ts'

const PAGE_ROWS = 1 << 15
/** Of some megabytes, which are in memory until they are written. */
const GROUP_ROWS = 1 << 18
/** It is read once or twice. */
const ZSTD_LEVEL = 1
const NOTHING = new Uint8Array(0)

export class NumberFile {
  readonly #file: DiskFile
  readonly #parquet: ParquetWriter
  readonly #page: Float64Array[]
  #pageRows = 0
  #groupRows = 0
  #writing: Promise<void> | undefined
  /** What came while a group is written, and belongs to the next. */
  #waiting: { count: number; columns: Float64Array[] }[] = []
  rows = 0

  private constructor(file: DiskFile, names: readonly string[], took: (bytes: number) => void) {
    this.#file = file
    this.#page = names.map(() => new Float64Array(PAGE_ROWS))
    this.#parquet = new ParquetWriter({
      ...{ columns: names.map((name): Column => ({ name, type: 'double' })), level: ZSTD_LEVEL },
      async write(bytes, position) {
        took(bytes.length)
        await file.write(bytes, position)
      },
    })
  }

  /** `took` is told of bytes before they are written, and may throw. */
  static async create(
    path: string,
    how: { disk: Disk; names: readonly string[]; took: (bytes: number) => void },
  ): Promise<NumberFile> {
    return new NumberFile(await how.disk.open(path, 'create'), how.names, how.took)
  }

  /** The first `count` of each column. They are copied. */
  add(count: number, columns: readonly Float64Array[]): void {
    this.rows += count
    if (this.#writing === undefined) return this.#take(count, columns)
    this.#waiting.push({ count, columns: columns.map((column) => column.slice(0, count)) })
  }

  /** One row, of as many columns. */
  addRow(row: Float64Array): void {
    if (this.#writing !== undefined)
      return this.add(
        1,
        Array.from(row, (one) => Float64Array.of(one)),
      )
    this.rows++
    for (const [at, column] of this.#page.entries()) column[this.#pageRows] = row[at]!
    this.#pageRows++
    if (this.#pageRows === PAGE_ROWS) this.#endPage()
  }

  #take(count: number, columns: readonly Float64Array[]): void {
    for (let from = 0; from < count;) {
      const to = Math.min(count, from + PAGE_ROWS - this.#pageRows)
      for (const [at, column] of columns.entries()) {
        this.#page[at]!.set(column.subarray(from, to), this.#pageRows)
      }
      this.#pageRows += to - from
      from = to
      if (this.#pageRows === PAGE_ROWS) this.#endPage()
    }
  }

  #endPage(): void {
    const rows = this.#pageRows
    if (rows === 0) return
    for (const [at, column] of this.#page.entries()) {
      const values = new Uint8Array(column.buffer, 0, rows * Float64Array.BYTES_PER_ELEMENT)
      const page = { rows, nulls: 0, levels: NOTHING, encoding: PLAIN, values } as const
      this.#parquet.addPage(at, page)
    }
    this.#groupRows += rows
    this.#pageRows = 0
  }

  /** Writes what there is much of. Errors: those of the disk and of `took`. */
  async flush(): Promise<void> {
    if (this.#writing === undefined && this.#groupRows < GROUP_ROWS) return
    this.#writing ??= this.#endGroup()
    await this.#writing
  }

  async #endGroup(): Promise<void> {
    await this.#parquet.endRowGroup()
    this.#groupRows = 0
    this.#writing = undefined
    for (const { count, columns } of this.#waiting.splice(0)) this.#take(count, columns)
  }

  async finish(): Promise<void> {
    await this.#writing
    this.#endPage()
    await this.#parquet.finish()
  }

  close(): Promise<void> {
    return this.#file.close()
  }
}
