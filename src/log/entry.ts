/**
 * One entry of a segment file: a header and the caller's bytes, both at positions that are
 * multiples of 8, so that a frame read from a file can be viewed as typed arrays.
 *
 * Header, 48 bytes, little endian:
 *
 *    0 u32 magic 'ENT1'      24 u32 payload length, bytes
 *    4 u32 CRC32 of 8..48    28 u32 payload CRC32
 *    8 f64 segment's salt    32 u32 index: entries before it in its segment
 *   16 f64 offset            36 u32 place: entries before it in its group
 *                            40 u32 run
 *                            44 u32 zero
 *
 * Why so much: a header must be judged alone, wherever it is found after a power cut.
 * - The salt tells it from what a recycled file held before.
 * - The index gives the segment's first offset even when its first entry is damaged.
 * - The place gives its group: everything before the group was durable when it was written. So a
 *   broken entry before a *later group* is damage; one inside the last group is a torn write.
 * - The run rises with every open and every failed write and never falls along a segment. So what a
 *   torn or refused write left behind the end is never taken for what should follow a new entry.
 */
import { crc32 } from 'node:zlib'

export const ENTRY_HEADER_BYTES = 48
export const ENTRY_MAGIC = 0x31544e45

export interface EntryHeader {
  salt: number
  offset: number
  payloadBytes: number
  payloadCrc: number
  index: number
  place: number
  run: number
}

const align8 = (bytes: number): number => Math.ceil(bytes / 8) * 8

/** Bytes that an entry takes in its segment. */
export const entryBytes = (payloadBytes: number): number =>
  ENTRY_HEADER_BYTES + align8(payloadBytes)

const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, ENTRY_HEADER_BYTES)

const headerCrc = (bytes: Uint8Array): number => crc32(bytes.subarray(8, ENTRY_HEADER_BYTES))

/** Writes header, payload and padding to the start of `into`. Returns the count of bytes. */
export function encodeEntry(into: Uint8Array, header: EntryHeader, payload: Uint8Array): number {
  const view = viewOf(into)
  view.setUint32(0, ENTRY_MAGIC, true)
  view.setFloat64(8, header.salt, true)
  view.setFloat64(16, header.offset, true)
  view.setUint32(24, header.payloadBytes, true)
  view.setUint32(28, header.payloadCrc, true)
  view.setUint32(32, header.index, true)
  view.setUint32(36, header.place, true)
  view.setUint32(40, header.run, true)
  view.setUint32(44, 0, true)
  view.setUint32(4, headerCrc(into), true)
  into.set(payload, ENTRY_HEADER_BYTES)
  const end = entryBytes(payload.length)
  return into.fill(0, ENTRY_HEADER_BYTES + payload.length, end) && end
}

/** The header at the start of `bytes`, or undefined when it is not an intact one of this salt. */
export function decodeEntryHeader(bytes: Uint8Array, salt: number): EntryHeader | undefined {
  if (bytes.length < ENTRY_HEADER_BYTES) return undefined
  const view = viewOf(bytes)
  if (view.getUint32(0, true) !== ENTRY_MAGIC) return undefined
  if (view.getFloat64(8, true) !== salt) return undefined
  if (view.getUint32(4, true) !== headerCrc(bytes)) return undefined
  return {
    salt,
    offset: view.getFloat64(16, true),
    payloadBytes: view.getUint32(24, true),
    payloadCrc: view.getUint32(28, true),
    index: view.getUint32(32, true),
    place: view.getUint32(36, true),
    run: view.getUint32(40, true),
  }
}

/** Whether this place held no entry of the segment: zeroes, or a recycled file's old entry. */
export function isUnwritten(bytes: Uint8Array, salt: number): boolean {
  if (bytes.every((byte) => byte === 0)) return true
  const view = viewOf(bytes)
  const oldSalt = view.getFloat64(8, true)
  return oldSalt !== salt && decodeEntryHeader(bytes, oldSalt) !== undefined
}
