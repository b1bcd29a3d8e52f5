/**
 * Kafka's record batch, version 2: what one append writes to one partition, and what a fetch
 * returns. Our own, since the library makes some ten objects for each record: with it, a core
 * writes and reads a third as much.
 *
 *     RecordBatch => baseOffset INT64, batchLength INT32, partitionLeaderEpoch INT32, magic INT8,
 *                    crc UINT32, attributes INT16, lastOffsetDelta INT32, baseTimestamp INT64,
 *                    maxTimestamp INT64, producerId INT64, producerEpoch INT16, baseSequence INT32,
 *                    count INT32, [Record]
 *     Record      => length VARINT, attributes INT8, timestampDelta VARLONG, offsetDelta VARINT,
 *                    keyLength VARINT, key, valueLength VARINT, value, headerCount VARINT, [Header]
 *
 * Of headers there is one, `source`: the offset of what an entry was made from, as INT64.
 *
 * The CRC-32C covers everything behind it. https://kafka.apache.org/documentation/#recordbatch
 */
import { compressionsAlgorithmsByBitmask, crc32c, Writer } from '@platformatic/kafka'
import type { ReadEntry } from './kafka.ts'

const LENGTH_AT = 8
const MAGIC_AT = 16
const CRC_AT = 17
const ATTRIBUTES_AT = 21
const LAST_DELTA_AT = 23
const BASE_TIME_AT = 27
const MAX_TIME_AT = 35
const PRODUCER_ID_AT = 43
const EPOCH_AT = 51
const SEQUENCE_AT = 53
const COUNT_AT = 57
export const BATCH_HEADER_BYTES = 61
/** `batchLength` counts what is behind it. */
const LENGTH_END = 12
const MAGIC = 2
const COMPRESSION_MASK = 0b111
const HAS_APPEND_TIME = 1 << 3
const IS_CONTROL = 1 << 5
const NOTHING = new Uint8Array(0)
const SOURCE = new TextEncoder().encode('source')
const OFFSET_BYTES = 8
/** Both lengths, name and offset. */
const SOURCE_BYTES = 2 + SOURCE.length + OFFSET_BYTES

interface Payload {
  key?: Uint8Array | undefined
  value: Uint8Array
  source?: number
}

/** Who wrote a batch, and which of its batches it is: by this a repeat is known. */
export interface BatchIdentity {
  producerId: bigint
  epoch: number
  sequence: number
}

/** Of a number that is not negative, in zigzag form. */
function varintBytes(value: number): number {
  const zigzag = value * 2
  if (zigzag < 0x80) return 1
  if (zigzag < 0x4000) return 2
  if (zigzag < 0x20_0000) return 3
  return zigzag < 0x1000_0000 ? 4 : 5
}

function bodyBytes({ key, value, source }: Payload, offsetDelta: number): number {
  const keyBytes = key === undefined ? 1 : varintBytes(key.length) + key.length
  // Three bytes: attributes, time delta, count of headers.
  const fixedBytes = source === undefined ? 3 : 3 + SOURCE_BYTES
  return fixedBytes + varintBytes(offsetDelta) + keyBytes + varintBytes(value.length) + value.length
}

/** What an entry takes in a batch when it is the one at `offsetDelta`. */
export function recordBytes(entry: Payload, offsetDelta: number): number {
  const body = bodyBytes(entry, offsetDelta)
  return varintBytes(body) + body
}

/** A batch of these entries, in `bytes`, the sum of their `recordBytes`. To be stamped. */
export function encodeBatch(
  entries: readonly Payload[],
  bytes: number,
  timestampMs: number,
): Uint8Array {
  const batch = new Uint8Array(BATCH_HEADER_BYTES + bytes)
  const view = new DataView(batch.buffer)
  view.setInt32(LENGTH_AT, batch.length - LENGTH_END)
  // Which leader wrote it, the leader knows.
  view.setInt32(LENGTH_END, -1)
  view.setInt8(MAGIC_AT, MAGIC)
  view.setInt32(LAST_DELTA_AT, entries.length - 1)
  view.setBigInt64(BASE_TIME_AT, BigInt(timestampMs))
  view.setBigInt64(MAX_TIME_AT, BigInt(timestampMs))
  view.setInt32(COUNT_AT, entries.length)
  let at = BATCH_HEADER_BYTES
  for (let delta = 0; delta < entries.length; delta++) {
    const entry = entries[delta]!
    const { key, value, source } = entry
    at = putVarint(batch, at, bodyBytes(entry, delta))
    // Attributes and time delta are zero.
    at = putVarint(batch, at + 2, delta)
    if (key === undefined) batch[at++] = 1
    else at = putBytes(batch, at, key)
    at = putBytes(batch, at, value)
    if (source === undefined) at++
    else {
      at = putBytes(batch, putVarint(batch, at, 1), SOURCE)
      at = putVarint(batch, at, OFFSET_BYTES)
      view.setBigInt64(at, BigInt(source))
      at += OFFSET_BYTES
    }
  }
  return batch
}

function putBytes(into: Uint8Array, at: number, bytes: Uint8Array): number {
  const start = putVarint(into, at, bytes.length)
  into.set(bytes, start)
  return start + bytes.length
}

function putVarint(into: Uint8Array, at: number, value: number): number {
  let rest = value * 2
  while (rest >= 0x80) {
    into[at++] = (rest & 0x7f) | 0x80
    rest = Math.floor(rest / 0x80)
  }
  into[at++] = rest
  return at
}

/** Gives a batch its identity, the first or another, and the checksum that goes with it. */
export function stampBatch(batch: Uint8Array, identity: BatchIdentity): void {
  const view = new DataView(batch.buffer, batch.byteOffset, batch.length)
  view.setBigInt64(PRODUCER_ID_AT, identity.producerId)
  view.setInt16(EPOCH_AT, identity.epoch)
  view.setInt32(SEQUENCE_AT, identity.sequence)
  view.setUint32(CRC_AT, checksumOf(batch))
}

/** The library's function copies plain bytes, and takes a writer's as they are. */
const checksumOf = (batch: Uint8Array): number =>
  crc32c(Writer.create().append(bufferOf(batch.subarray(ATTRIBUTES_AT))).dynamicBuffer)

const bufferOf = (bytes: Uint8Array): Buffer =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)

/** Entries are read until here: this batch is not what was written. */
export interface BatchDamage {
  offset: number
  /** Of the batch behind it. */
  resumeOffset: number
}

/**
 * Entries at or behind `fromOffset` of all whole batches in `bytes`; a broker may cut the last one.
 * The entries are views. Says where it met damage; what is before that is read.
 */
export function decodeBatches(
  bytes: Uint8Array,
  fromOffset: number,
  entries: ReadEntry[],
): BatchDamage | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  for (let at = 0; at + BATCH_HEADER_BYTES <= bytes.length;) {
    const end = at + LENGTH_END + view.getInt32(at + LENGTH_AT)
    if (end > bytes.length) return undefined
    const baseOffset = int64At(view, at)
    const batch = bytes.subarray(at, end)
    if (view.getInt8(at + MAGIC_AT) !== MAGIC || view.getUint32(at + CRC_AT) !== checksumOf(batch))
      return {
        offset: Math.max(fromOffset, baseOffset),
        resumeOffset: baseOffset + view.getInt32(at + LAST_DELTA_AT) + 1,
      }
    if ((view.getInt16(at + ATTRIBUTES_AT) & IS_CONTROL) === 0)
      decodeRecords(batch, fromOffset, entries)
    at = end
  }
  return undefined
}

const int64At = (view: DataView, at: number): number =>
  view.getInt32(at) * 0x1_0000_0000 + view.getUint32(at + 4)

function decodeRecords(batch: Uint8Array, fromOffset: number, entries: ReadEntry[]): void {
  const view = new DataView(batch.buffer, batch.byteOffset, batch.length)
  const baseOffset = int64At(view, 0)
  const attributes = view.getInt16(ATTRIBUTES_AT)
  const hasAppendTime = (attributes & HAS_APPEND_TIME) !== 0
  const baseTimestamp = int64At(view, hasAppendTime ? MAX_TIME_AT : BASE_TIME_AT)
  const bytes = plainRecords(batch.subarray(BATCH_HEADER_BYTES), attributes)
  const cursor = new Cursor(bytes)
  for (let count = view.getInt32(COUNT_AT); count > 0; count--) {
    const length = cursor.varint()
    const end = cursor.at + length
    cursor.at++
    const timestampDelta = cursor.varint()
    const offset = baseOffset + cursor.varint()
    if (offset >= fromOffset) {
      const key = cursor.bytes()
      const value = cursor.bytes() ?? NOTHING
      const timestampMs = hasAppendTime ? baseTimestamp : baseTimestamp + timestampDelta
      entries.push({ offset, key, value, timestampMs, source: sourceAt(cursor) })
    }
    cursor.at = end
  }
}

/** Behind the value. Others may have written other headers. */
function sourceAt(cursor: Cursor): number | undefined {
  let source: number | undefined
  for (let count = cursor.varint(); count > 0; count--) {
    const name = cursor.bytes() ?? NOTHING
    const value = cursor.bytes()
    const isSource = value?.length === OFFSET_BYTES && name.length === SOURCE.length
    if (isSource && SOURCE.every((byte, at) => byte === name[at])) {
      source = int64At(new DataView(value.buffer, value.byteOffset), 0)
    }
  }
  return source
}

/** Topics may be set to compress, and other people's programs do. */
function plainRecords(records: Uint8Array, attributes: number): Uint8Array {
  const bits = attributes & COMPRESSION_MASK
  if (bits === 0) return records
  return compressionsAlgorithmsByBitmask[String(bits)]!.decompressSync(bufferOf(records))
}

class Cursor {
  at = 0
  readonly #bytes: Uint8Array

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  varint(): number {
    let byte = this.#bytes[this.at++]!
    if (byte < 0x80) return (byte >>> 1) ^ -(byte & 1)
    let zigzag = byte & 0x7f
    for (let factor = 0x80; byte >= 0x80; factor *= 0x80) {
      byte = this.#bytes[this.at++]!
      zigzag += (byte & 0x7f) * factor
    }
    return zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2
  }

  bytes(): Uint8Array | undefined {
    const length = this.varint()
    if (length < 0) return undefined
    const start = this.#bytes.byteOffset + this.at
    this.at += length
    return new Uint8Array(this.#bytes.buffer, start, length)
  }
}
