/**
 * Walking a segment file: which entries it holds, where it ends, what is torn and what is damaged.
 *
 * The walk follows the headers. Where one is not what must come next, the rest of the file is
 * searched for an intact header of this segment. If there is one of a *later group*, the broken
 * entries had been durable: they are damage, marked and stepped over. If there is none, this is
 * where the log was torn, or simply ends.
 */
import { crc32 } from 'node:zlib'
import type { DiskFile } from '../world/world.ts'
import {
  ENTRY_HEADER_BYTES,
  ENTRY_MAGIC,
  decodeEntryHeader,
  entryBytes,
  isUnwritten,
  type EntryHeader,
} from './entry.ts'
import { SEGMENT_DATA_START, type Segment, type SegmentIndex } from './segment.ts'

/** Payloads are to be checked: read them in large pieces. Found by trial: larger is no faster. */
const CHUNK_WITH_PAYLOADS_BYTES = 1 << 20
/** Headers only: a piece holds many small entries, and wastes little between large ones. */
const CHUNK_OF_HEADERS_BYTES = 16 << 10

/** A buffered look at any place of a file. */
class FileWindow {
  readonly #file: DiskFile
  readonly #chunkBytes: number
  #buffer: Uint8Array = new Uint8Array(0)
  #start = 0

  constructor(file: DiskFile, chunkBytes: number) {
    this.#file = file
    this.#chunkBytes = chunkBytes
  }

  /** Up to `length` bytes from `position`: fewer only at the end. Valid until the next call. */
  async at(position: number, length: number): Promise<Uint8Array> {
    const isInside =
      position >= this.#start && position + length <= this.#start + this.#buffer.length
    if (!isInside) {
      const buffer = new Uint8Array(Math.max(length, this.#chunkBytes))
      this.#buffer = buffer.subarray(0, await this.#file.read(buffer, position))
      this.#start = position
    }
    return this.#buffer.subarray(position - this.#start, position - this.#start + length)
  }
}

interface Found {
  position: number
  header: EntryHeader
}

/** Intact headers of the segment from `from` (a multiple of 8) on, wherever they are. */
async function* intactHeaders(segment: Segment, from: number): AsyncGenerator<Found> {
  const chunk = new Uint8Array(CHUNK_WITH_PAYLOADS_BYTES)
  const words = new Uint32Array(chunk.buffer)
  // Chunks overlap by a header, so that each header lies whole in one of them.
  const stride = chunk.length - ENTRY_HEADER_BYTES
  let count = chunk.length
  for (let start = from; count === chunk.length; start += stride) {
    count = await segment.file.read(chunk, start)
    for (let at = 0; at < Math.min(stride, count); at += 8) {
      if (words[at >> 2] !== ENTRY_MAGIC) continue
      const header = decodeEntryHeader(chunk.subarray(at, count), segment.salt)
      if (header !== undefined) yield { position: start + at, header }
    }
  }
}

/**
 * The offset of the segment's first entry, or undefined when it holds none. Reads one header, and
 * more only if that one is damaged.
 */
export async function findBaseOffset(segment: Segment): Promise<number | undefined> {
  if (Number.isNaN(segment.salt)) return undefined
  const bytes = new Uint8Array(ENTRY_HEADER_BYTES)
  await segment.file.read(bytes, SEGMENT_DATA_START)
  const first = decodeEntryHeader(bytes, segment.salt)
  if (first !== undefined) return first.offset - first.index
  if (isUnwritten(bytes, segment.salt)) return undefined
  for await (const { header } of intactHeaders(segment, SEGMENT_DATA_START + 8))
    return header.offset - header.index
  return undefined
}

export interface WalkOptions {
  /** Offset behind the segment's last entry, where the next segment says it; else undefined. */
  endOffset: number | undefined
  isCheckingPayloads: boolean
}

export interface Walk {
  index: SegmentIndex
  /** Where the next entry goes. */
  endPosition: number
  /** Entries before this index had been flushed; the rest, the last group, perhaps not. */
  provenCount: number
  /** The highest run seen, in entries that count and in those that do not. */
  runMax: number
}

/** Walks a segment whose `baseOffset` is known. Reads headers only, unless asked for payloads. */
export async function walkSegment(segment: Segment, options: WalkOptions): Promise<Walk> {
  const positions: number[] = []
  const payloadBytes: number[] = []
  const countMax = (options.endOffset ?? Number.POSITIVE_INFINITY) - segment.baseOffset
  const window = new FileWindow(
    segment.file,
    options.isCheckingPayloads ? CHUNK_WITH_PAYLOADS_BYTES : CHUNK_OF_HEADERS_BYTES,
  )
  const markDamaged = (count: number): void => {
    while (positions.length < count) payloadBytes[positions.push(-1) - 1] = 0
  }
  let position = SEGMENT_DATA_START
  let run = 0
  let runMax = 0
  let provenCount = 0
  while (positions.length < countMax) {
    const bytes = await window.at(position, ENTRY_HEADER_BYTES)
    const header = decodeEntryHeader(bytes, segment.salt)
    const isNext =
      header !== undefined && header.index === positions.length && follows(header, segment, run)
    if (isNext) runMax = Math.max(runMax, header.run)
    const end = position + (isNext ? entryBytes(header.payloadBytes) : 8)
    if (isNext && (!options.isCheckingPayloads || (await isIntact(window, position, header)))) {
      payloadBytes[positions.push(position) - 1] = header.payloadBytes
      run = header.run
      provenCount = header.index - header.place
      position = end
      continue
    }
    // From `end`, since an intact header's payload could hold anything, headers too.
    const rest = await searchBehind(segment, end, { count: positions.length, run, countMax })
    runMax = Math.max(runMax, rest.runMax)
    if (rest.resume === undefined) break
    markDamaged(rest.resume.header.index)
    position = rest.resume.position
  }
  if (options.endOffset !== undefined) markDamaged(countMax)
  return { index: { positions, payloadBytes }, endPosition: position, provenCount, runMax }
}

const follows = (header: EntryHeader, segment: Segment, run: number): boolean =>
  header.offset - header.index === segment.baseOffset && header.run >= run

async function isIntact(window: FileWindow, position: number, header: EntryHeader) {
  const length = ENTRY_HEADER_BYTES + header.payloadBytes
  const bytes = await window.at(position, length)
  return bytes.length === length && crc32(bytes.subarray(ENTRY_HEADER_BYTES)) === header.payloadCrc
}

/**
 * The first entry behind a broken one, if something proves that the broken one had been durable:
 * an entry of a later group, or the known end of a segment that is no longer written.
 */
async function searchBehind(
  segment: Segment,
  from: number,
  broken: { count: number; run: number; countMax: number },
): Promise<{ resume: Found | undefined; runMax: number }> {
  const isSealed = Number.isFinite(broken.countMax)
  let resume: Found | undefined
  let isProven = isSealed
  let runMax = 0
  for await (const found of intactHeaders(segment, from)) {
    const { index, place, run } = found.header
    runMax = Math.max(runMax, run)
    if (index <= broken.count || index >= broken.countMax) continue
    if (!follows(found.header, segment, broken.run)) continue
    resume ??= found
    isProven ||= index - place > broken.count
    if (isSealed) break
  }
  return { resume: isProven ? resume : undefined, runMax }
}
