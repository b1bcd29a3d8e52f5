/**
 * One segment file: a page with its header (twice, in case a sector of it rots), then entries back
 * to back. All segments have one size, are filled with zeroes ahead of use, and are recycled.
 *
 * Header, 40 bytes, little endian, at 0 and at 2048:
 *   u32 magic 'WLG1' | u32 CRC32 of the rest | u32 version | u32 zero
 *   f64 sequence | f64 salt (integer below 2^48) | f64 size of the file, bytes
 */
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { WeirError } from '../errors/errors.ts'
import type { Disk, DiskFile } from '../world/world.ts'

/** Entries start on a page of their own: writing them never rewrites the header's sectors. */
export const SEGMENT_DATA_START = 4096
const HEADER_BYTES = 40
const HEADER_COPIES = [0, 2048]
const SEGMENT_MAGIC = 0x31474c57
const SEGMENT_VERSION = 1

export const SEGMENT_SUFFIX = '.segment'
export const SPARE_SUFFIX = '.spare'

export interface Segment {
  /** File name in the log's folder; it carries the sequence. */
  name: string
  sequence: number
  salt: number
  file: DiskFile
  /** Offset of its first entry. */
  baseOffset: number
  /** Undefined until somebody reads from it. The index of the segment being written grows. */
  index: SegmentIndex | undefined
  /** Under way, so that two readers do not both walk the file. */
  indexing: Promise<SegmentIndex> | undefined
  /** The file is shorter than its header says: its end, and what stood there, is gone. */
  isCut: boolean
}

/** Where entries are, by (offset − baseOffset). A position of -1 marks a damaged entry. */
export interface SegmentIndex {
  positions: number[]
  payloadBytes: number[]
}

export const fileName = (sequence: number, suffix: string): string =>
  `${String(sequence).padStart(16, '0')}${suffix}`

/** The sequence in a file's name, or undefined when the name is not of this kind. */
export function sequenceOf(name: string, suffix: string): number | undefined {
  const digits = name.slice(0, -suffix.length)
  return name.endsWith(suffix) && /^\d{16}$/.test(digits) ? Number(digits) : undefined
}

export interface SegmentIdentity {
  sequence: number
  salt: number
  segmentBytes: number
}

/** The first page of a segment. */
export function encodeSegmentHeader(identity: SegmentIdentity): Uint8Array {
  const page = new Uint8Array(SEGMENT_DATA_START)
  const view = new DataView(page.buffer)
  view.setUint32(0, SEGMENT_MAGIC, true)
  view.setUint32(8, SEGMENT_VERSION, true)
  view.setFloat64(16, identity.sequence, true)
  view.setFloat64(24, identity.salt, true)
  view.setFloat64(32, identity.segmentBytes, true)
  view.setUint32(4, crc32(page.subarray(8, HEADER_BYTES)), true)
  for (const at of HEADER_COPIES) page.copyWithin(at, 0, HEADER_BYTES)
  return page
}

/** From whichever copy is intact; undefined when none is. Throws DATA_FORMAT_NEWER. */
function decodeSegmentHeader(page: Uint8Array): SegmentIdentity | undefined {
  for (const at of HEADER_COPIES) {
    const bytes = page.subarray(at, at + HEADER_BYTES)
    if (bytes.length < HEADER_BYTES) return undefined
    const view = new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES)
    if (view.getUint32(0, true) !== SEGMENT_MAGIC) continue
    if (view.getUint32(4, true) !== crc32(bytes.subarray(8))) continue
    const version = view.getUint32(8, true)
    if (version > SEGMENT_VERSION)
      throw new WeirError('DATA_FORMAT_NEWER', `The log is of version ${version}`)
    return {
      sequence: view.getFloat64(16, true),
      salt: view.getFloat64(24, true),
      segmentBytes: view.getFloat64(32, true),
    }
  }
  return undefined
}

/** What is known of a file before anything was read from it. */
export const blankSegment = (
  of: Pick<Segment, 'name' | 'sequence' | 'salt' | 'file'>,
): Segment => ({ ...of, baseOffset: -1, index: undefined, indexing: undefined, isCut: false })

/** Opens an existing segment file. A salt of NaN, which no entry has, says: header damaged. */
export async function openSegment(disk: Disk, folder: string, sequence: number): Promise<Segment> {
  const name = fileName(sequence, SEGMENT_SUFFIX)
  const file = await disk.open(join(folder, name), 'write')
  const page = new Uint8Array(SEGMENT_DATA_START)
  const pageBytes = await file.read(page, 0)
  const identity = decodeSegmentHeader(page.subarray(0, pageBytes))
  const salt = identity?.sequence === sequence ? identity.salt : Number.NaN
  const isCut = (await file.size()) < (identity?.segmentBytes ?? 0)
  return { ...blankSegment({ name, sequence, salt, file }), isCut }
}
