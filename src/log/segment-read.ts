/** Reading entries back: one read of the disk for a run of neighbours, each checked again. */
import { crc32 } from 'node:zlib'
import { WeirError } from '../errors/errors.ts'
import { ENTRY_HEADER_BYTES, decodeEntryHeader, entryBytes } from './entry.ts'
import type { LogEntry } from './log.ts'
import type { Segment, SegmentIndex } from './segment.ts'

export interface Wanted {
  offset: number
  bytesMax: number
  /** The entries are views of it, if they fit. */
  into: Uint8Array<ArrayBuffer> | undefined
}

/**
 * The entry at `offset` and what follows in the same segment up to `bytesMax`, headers included.
 * Throws LOG_ENTRY_DAMAGED if that first one is damaged; a later damaged one ends the answer.
 */
export async function readEntries(
  segment: Segment,
  index: SegmentIndex,
  from: Wanted,
): Promise<LogEntry[]> {
  const first = from.offset - segment.baseOffset
  const start = index.positions[first] ?? -1
  if (start < 0) throw damaged(segment, index, from.offset)
  const last = lastWithin(index, first, from.bytesMax)
  const end = index.positions[last]! + entryBytes(index.payloadBytes[last]!)
  const length = end - start
  const { into } = from
  const isLent = into !== undefined && length <= into.length
  const piece = isLent ? into.subarray(0, length) : new Uint8Array(length)
  try {
    await segment.file.read(piece, start)
  } catch (cause) {
    if (last === first) throw damaged(segment, index, from.offset, cause)
    return readEntries(segment, index, { ...from, bytesMax: 0 })
  }
  const entries: LogEntry[] = []
  for (let at = first; at <= last; at++) {
    const offset = segment.baseOffset + at
    const payload = payloadOf(piece.subarray(index.positions[at]! - start), segment.salt, offset)
    if (payload === undefined && at === first) throw damaged(segment, index, offset)
    if (payload === undefined) break
    // Else each in a buffer of its own, so that the reader may transfer it to another thread.
    const isAlone = isLent || first === last
    entries.push({ offset, bytes: isAlone ? payload : payload.slice() })
  }
  return entries
}

/** The last entry that lies right behind its neighbours and within the limit. */
function lastWithin(index: SegmentIndex, first: number, bytesMax: number): number {
  const count = index.positions.length
  let last = first
  let bytes = entryBytes(index.payloadBytes[first]!)
  while (last + 1 < count && index.positions[last + 1]! >= 0) {
    bytes += entryBytes(index.payloadBytes[last + 1]!)
    if (bytes > bytesMax) break
    last++
  }
  return last
}

function payloadOf(bytes: Uint8Array, salt: number, offset: number): Uint8Array | undefined {
  const header = decodeEntryHeader(bytes, salt)
  if (header === undefined || header.offset !== offset) return undefined
  const payload = bytes.subarray(ENTRY_HEADER_BYTES, ENTRY_HEADER_BYTES + header.payloadBytes)
  return crc32(payload) === header.payloadCrc ? payload : undefined
}

function damaged(
  segment: Segment,
  index: SegmentIndex,
  offset: number,
  cause?: unknown,
): WeirError {
  const { positions } = index
  let next = offset - segment.baseOffset + 1
  while (next < positions.length && positions[next]! < 0) next++
  const details = { segment: segment.name, offset, resumeOffset: segment.baseOffset + next }
  return new WeirError('LOG_ENTRY_DAMAGED', `Entry ${offset} in ${segment.name} is damaged`, {
    details,
    ...(cause === undefined ? {} : { cause }),
  })
}
