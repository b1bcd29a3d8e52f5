/**
 * Strings as numbers of a dictionary (RLE_DICTIONARY), for columns that say the same many rows
 * long. The dictionary is the first page of its row group; pages then hold runs:
 *
 *   dictionary  <length u32> <UTF-8> for each string
 *   page        <bits of an index> then for each run <rows << 1, varint> <index, whole bytes>
 */
import { crc32, zstdDecompressSync } from 'node:zlib'
import { ByteReader, ByteWriter } from './bytes.ts'
import { compress, PLAIN } from './page.ts'
import { readStruct, writeStruct, type ReadFields } from './thrift.ts'

const DICTIONARY_PAGE = 2

/** Returns the bytes of the whole page, and what they were without compression. */
export function writeDictionary(
  out: ByteWriter,
  values: readonly Uint8Array[],
  level: number,
): { bytes: number; plainBytes: number } {
  const plain = new ByteWriter(1 << 10)
  for (const value of values) {
    plain.u32(value.length)
    plain.bytes(value)
  }
  // Such a page cannot say that it is not compressed.
  const body = compress(plain.written(), level)
  const start = out.length
  writeStruct(out, {
    ...{ 1: DICTIONARY_PAGE, 2: plain.length, 3: body.length, 4: crc32(body) | 0 },
    7: { 1: values.length, 2: PLAIN },
  })
  const headerBytes = out.length - start
  out.bytes(body)
  return { bytes: out.length - start, plainBytes: headerBytes + plain.length }
}

/** `bytes` are a dictionary's page, header included. Throws RangeError on damage. */
export function readDictionary(bytes: Uint8Array): Uint8Array[] {
  const reader = new ByteReader(bytes)
  const header = readStruct(reader)
  const about = header.get(7) as ReadFields | undefined
  if (about === undefined || header.get(1) !== DICTIONARY_PAGE) throw new RangeError('no such page')
  const body = reader.bytes(Number(header.get(3)))
  if ((crc32(body) | 0) !== header.get(4)) throw new RangeError('a page fails its checksum')
  const plain = new ByteReader(zstdDecompressSync(body))
  return Array.from({ length: Number(about.get(1)) }, () => plain.bytes(plain.u32()))
}

/** Calls back for each run that `IndexRuns` wrote. */
export function eachIndex(values: Uint8Array, visit: (rows: number, index: number) => void): void {
  const reader = new ByteReader(values)
  if (reader.left === 0) return
  const width = Math.ceil(reader.byte() / 8)
  while (reader.left > 0) {
    const head = reader.varint()
    if (head % 2 !== 0) throw new RangeError('indexes are not in runs')
    let index = 0
    for (let byte = 0; byte < width; byte++) index += reader.byte() * 2 ** (8 * byte)
    visit(head / 2, index)
  }
}

/** The indexes of one page. */
export class IndexRuns {
  readonly #out = new ByteWriter(1 << 8)
  readonly #width: number
  #rows = 0
  #index = -1

  /** Of a dictionary of `count` strings. */
  constructor(count: number) {
    const bits = Math.max(1, Math.ceil(Math.log2(count)))
    this.#width = Math.ceil(bits / 8)
    this.#out.byte(bits)
  }

  add(rows: number, index: number): void {
    if (index !== this.#index) this.#end()
    this.#index = index
    this.#rows += rows
  }

  #end(): void {
    if (this.#rows === 0) return
    this.#out.varint(this.#rows * 2)
    for (let byte = 0; byte < this.#width; byte++) this.#out.byte((this.#index >> (byte * 8)) & 255)
    this.#rows = 0
  }

  take(): Uint8Array {
    this.#end()
    return this.#out.written()
  }
}
