/**
 * Parquet, as far as our segments and the lake need it, and a little better than general writers do
 * it: flat tables of integers, doubles, booleans and strings, data pages of version 2, zstd,
 * page indexes, checksums. Any other tool reads what is written; only what is written here is read.
 *
 * No disk and no clock: bytes come in and go out.
 *
 * P1 What is written is read back bit by bit, and other readers of the format read the same.
 * P2 A flipped bit in a page is a RangeError, never another value. (A tail has no place for a
 *    checksum of its own: who keeps the file keeps `Tail` beside it.)
 *
 * Format: https://github.com/apache/parquet-format (2.11), parquet.thrift, Encodings.md.
 */
export { ByteWriter } from './bytes.ts'
export { joinBytes, splitBytes } from './byte-streams.ts'
export { eachIndex, IndexRuns, readDictionary } from './dictionary.ts'
export { packAligned, packExact, unpack } from './delta-packing.ts'
export {
  describeFooter,
  ENDING_BYTES,
  footerBytesOf,
  groupBounds,
  readTail,
  type Column,
  type PageTable,
} from './metadata.ts'
export {
  BYTE_STREAM_SPLIT,
  DELTA_BINARY_PACKED,
  eachLevel,
  Levels,
  PLAIN,
  readPage,
  RLE_DICTIONARY,
  type Page,
  type PageValues,
} from './page.ts'
export { writeTable } from './table.ts'
export { ParquetWriter, type Tail } from './writer.ts'
