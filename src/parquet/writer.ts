/** Puts pages into a file, column after column within each row group. */
import { crc32 } from 'node:zlib'
import { ByteWriter } from './bytes.ts'
import { writeDictionary } from './dictionary.ts'
import { MAGIC, writeTail } from './metadata.ts'
import type { Bound, Column, PageEntry, RowGroupEntry } from './metadata.ts'
import { compress, PLAIN, writePage, type Page, type PageValues } from './page.ts'

/** Where a file's tail is, and its checksum. */
export interface Tail {
  bytes: number
  crc: number
}

export interface NewPage extends Page {
  /** The same values, packed so that no compressor finds more: written where that is shorter. */
  packed?: PageValues
  /** Of the values, where the column has bounds. */
  least?: Bound
  most?: Bound
}

/** One column's pages of the row group that is being written. */
class Chunk {
  readonly out = new ByteWriter(1 << 16)
  readonly encodings = new Set<number>()
  pages: PageEntry[] = []
  rows = 0
  nulls = 0
  plainBytes = 0
  dictionaryBytes = 0

  clear(): void {
    this.out.clear()
    this.encodings.clear()
    this.pages = []
    this.rows = 0
    this.nulls = 0
    this.plainBytes = 0
    this.dictionaryBytes = 0
  }
}

export class ParquetWriter {
  readonly #columns: readonly Column[]
  readonly #chunks: readonly Chunk[]
  readonly #write: (bytes: Uint8Array, position: number) => Promise<void>
  readonly #level: number
  readonly #groups: RowGroupEntry[] = []
  #at = 0

  /** `write` is done with the bytes when it resolves. `level` is zstd's. */
  constructor(how: {
    columns: readonly Column[]
    level: number
    write: (bytes: Uint8Array, position: number) => Promise<void>
  }) {
    this.#columns = how.columns
    this.#chunks = how.columns.map(() => new Chunk())
    this.#level = how.level
    this.#write = how.write
  }

  /** What a string column's pages of this row group choose from: before the first of them. */
  addDictionary(column: number, values: readonly Uint8Array[]): void {
    const chunk = this.#chunks[column]!
    const { bytes, plainBytes } = writeDictionary(chunk.out, values, this.#level)
    chunk.dictionaryBytes = bytes
    chunk.plainBytes += plainBytes
    chunk.encodings.add(PLAIN)
  }

  addPage(column: number, { packed, least = 0, most = 0, ...page }: NewPage): void {
    const chunk = this.#chunks[column]!
    const compressed = compress(page.values, this.#level)
    const isShorter = compressed.length < page.values.length
    let [shortest, body] = [page, isShorter ? compressed : page.values]
    if (packed !== undefined && packed.values.length < body.length) {
      shortest = { ...page, ...packed }
      body = packed.values
    }
    const at = chunk.out.length
    writePage(chunk.out, shortest, body)
    const bytes = chunk.out.length - at
    chunk.pages.push({ at, bytes, firstRow: chunk.rows, least, most })
    chunk.rows += page.rows
    chunk.nulls += page.nulls
    chunk.encodings.add(shortest.encoding)
    chunk.plainBytes += bytes - body.length + shortest.values.length
  }

  /** All columns have the same rows by now. */
  async endRowGroup(): Promise<void> {
    const rows = this.#chunks[0]!.rows
    if (rows === 0) return
    if (this.#at === 0) await this.#append(MAGIC)
    const group: RowGroupEntry = { rows, chunks: [] }
    for (const chunk of this.#chunks) {
      const at = this.#at
      const { out, dictionaryBytes, plainBytes, nulls, encodings } = chunk
      group.chunks.push({
        ...{ at, bytes: out.length, dictionaryBytes, plainBytes, nulls },
        encodings: [...encodings],
        pages: chunk.pages.map((page) => ({ ...page, at: at + page.at })),
      })
      await this.#append(out.written())
      chunk.clear()
    }
    this.#groups.push(group)
  }

  async finish(): Promise<{ bytes: number; tail: Tail }> {
    await this.endRowGroup()
    if (this.#at === 0) await this.#append(MAGIC)
    const tail = writeTail(this.#at, {
      ...{ columns: this.#columns, groups: this.#groups, createdBy: 'weir' },
    })
    await this.#append(tail)
    return { bytes: this.#at, tail: { bytes: tail.length, crc: crc32(tail) } }
  }

  async #append(bytes: Uint8Array): Promise<void> {
    await this.#write(bytes, this.#at)
    this.#at += bytes.length
  }
}
