/**
 * DELTA_BINARY_PACKED of the Parquet format: integers as differences, packed in miniblocks.
 *
 *   <values a block> <miniblocks a block> <values in all> <first value, zigzag>
 *   then blocks of <least delta, zigzag> <bits of each miniblock> <packed deltas less the least>
 *
 * The standard leaves the writer a choice that matters to the compressor behind it:
 *
 * - `packExact`: miniblocks of 32, each in as few bits as it needs. A compressor finds little more.
 * - `packAligned`: one block, every delta in the same count of whole bytes. Longer, but equal
 *   stretches of deltas are equal bytes wherever they lie, so that a compressor finds the times of
 *   a device's second series to be those of its first, and codes noise by how often a byte occurs.
 *
 * Values are integers of at most 2^50 either way, so that doubles compute deltas exactly.
 */
import { ByteReader, type ByteWriter } from './bytes.ts'

const BLOCK_VALUES = 128
const MINIBLOCKS = 4
const MINIBLOCK_VALUES = BLOCK_VALUES / MINIBLOCKS
/** Wider miniblocks of the exact form take whole bytes: a 32 bit register holds no more. */
const EXACT_BITS_MAX = 24

export type Integers = Float64Array | Int32Array

/** Rows [from, to) of a column. */
export interface Stretch {
  from: number
  to: number
}

/** One block for all values, each delta in the same count of whole bytes. */
export function packAligned(out: ByteWriter, values: Integers, { from, to }: Stretch): void {
  const count = to - from
  const block = Math.max(1, Math.ceil((count - 1) / BLOCK_VALUES)) * BLOCK_VALUES
  writeHeader(out, { block, miniblocks: 1, count, first: values[from]! })
  if (count === 1) return
  const { least, most } = deltaRange(values, { from: from + 1, to })
  const bytes = bytesFor(most - least)
  out.zigzag(least)
  out.byte(bytes * 8)
  packBytes(out, values, { from: from + 1, to, least, bytes })
  out.zeroes((block - (count - 1)) * bytes)
}

/** Blocks of 128 values, each miniblock of 32 in as few bits as it needs. */
export function packExact(out: ByteWriter, values: Integers, { from, to }: Stretch): void {
  writeHeader(out, {
    ...{ block: BLOCK_VALUES, miniblocks: MINIBLOCKS, count: to - from, first: values[from]! },
  })
  for (let start = from + 1; start < to; start += BLOCK_VALUES) {
    packBlock(out, values, { from: start, to: Math.min(start + BLOCK_VALUES, to) })
  }
}

function packBlock(out: ByteWriter, values: Integers, { from, to }: Stretch): void {
  const { least } = deltaRange(values, { from, to })
  out.zigzag(least)
  const miniblocks = Array.from({ length: MINIBLOCKS }, (_, index) => {
    const start = from + index * MINIBLOCK_VALUES
    const stretch = { from: start, to: Math.min(start + MINIBLOCK_VALUES, to) }
    const bits = start < to ? bitsFor(deltaRange(values, stretch).most - least) : 0
    out.byte(bits)
    return { ...stretch, bits }
  })
  for (const { from: start, to: end, bits } of miniblocks) {
    if (bits === 0) continue
    if (bits <= EXACT_BITS_MAX) {
      packBits(out, values, { from: start, to: end, least, bits })
      continue
    }
    packBytes(out, values, { from: start, to: end, least, bytes: bits / 8 })
    out.zeroes((MINIBLOCK_VALUES - (end - start)) * (bits / 8))
  }
}

function writeHeader(
  out: ByteWriter,
  header: { block: number; miniblocks: number; count: number; first: number },
): void {
  out.varint(header.block)
  out.varint(header.miniblocks)
  out.varint(header.count)
  out.zigzag(header.first)
}

/** Of the differences from the value before, within [from, to). */
function deltaRange(values: Integers, { from, to }: Stretch): { least: number; most: number } {
  let least = Infinity
  let most = -Infinity
  let last = values[from - 1]!
  for (let at = from; at < to; at++) {
    const value = values[at]!
    const delta = value - last
    if (delta < least) least = delta
    if (delta > most) most = delta
    last = value
  }
  return { least, most }
}

function bytesFor(range: number): number {
  let bytes = 0
  for (let limit = 1; range >= limit; limit *= 256) bytes++
  return bytes
}

function bitsFor(range: number): number {
  let bits = 0
  for (let limit = 1; range >= limit; limit *= 2) bits++
  return bits <= EXACT_BITS_MAX ? bits : Math.ceil(bits / 8) * 8
}

function packBytes(
  out: ByteWriter,
  values: Integers,
  { from, to, least, bytes }: Stretch & { least: number; bytes: number },
): void {
  const target = out.reserve((to - from) * bytes)
  let place = out.length
  let last = values[from - 1]! + least
  if (bytes === 1) {
    for (let at = from; at < to; at++) {
      const value = values[at]!
      target[place++] = value - last
      last = value + least
    }
  } else if (bytes > 1) {
    for (let at = from; at < to; at++) {
      const value = values[at]!
      const delta = value - last
      last = value + least
      target[place++] = delta
      target[place++] = delta / 0x100
      if (bytes === 2) continue
      target[place++] = delta / 0x10000
      let rest = Math.floor(delta / 0x1000000)
      for (let byte = 3; byte < bytes; byte++) {
        target[place++] = rest
        rest = Math.floor(rest / 256)
      }
    }
  }
  out.length = place
}

/** One miniblock; what is missing at its end is zeroes. */
function packBits(
  out: ByteWriter,
  values: Integers,
  { from, to, least, bits }: Stretch & { least: number; bits: number },
): void {
  const target = out.reserve((MINIBLOCK_VALUES / 8) * bits)
  const end = out.length + (MINIBLOCK_VALUES / 8) * bits
  let place = out.length
  let register = 0
  let held = 0
  let last = values[from - 1]! + least
  for (let at = from; at < to; at++) {
    const value = values[at]!
    register |= (value - last) << held
    last = value + least
    held += bits
    while (held >= 8) {
      target[place++] = register
      register >>>= 8
      held -= 8
    }
  }
  if (held > 0) target[place++] = register
  while (place < end) target[place++] = 0
  out.length = end
}

/** Unpacks the first `count` values of either form. Throws RangeError when they are not there. */
export function unpack(bytes: Uint8Array, into: Integers, count: number): void {
  const reader = new ByteReader(bytes)
  const blockValues = reader.varint()
  const miniblocks = reader.varint()
  const total = reader.varint()
  if (!(count <= total)) throw new RangeError(`${count} of ${total} values`)
  into[0] = reader.zigzag()
  const stretch = { at: 1, least: 0, bits: 0 }
  while (stretch.at < count) {
    stretch.least = reader.zigzag()
    for (const bits of reader.bytes(miniblocks)) {
      if (stretch.at >= count) return
      stretch.bits = bits
      const packed = reader.bytes(Math.ceil((blockValues / miniblocks) * (bits / 8)))
      const end = Math.min(count, stretch.at + blockValues / miniblocks)
      if ((end - stretch.at) * bits > packed.length * 8) throw new RangeError('values are missing')
      stretch.at = unpackMiniblock(packed, into, { ...stretch, end })
    }
  }
}

function unpackMiniblock(
  packed: Uint8Array,
  into: Integers,
  { at: start, end, least, bits }: { at: number; end: number; least: number; bits: number },
): number {
  let last = into[start - 1]!
  if (bits === 8) {
    for (let at = start; at < end; at++) into[at] = last += packed[at - start]! + least
  } else if (bits === 16) {
    for (let at = start, place = 0; at < end; at++, place += 2) {
      into[at] = last += packed[place]! + packed[place + 1]! * 0x100 + least
    }
  } else if (bits % 8 === 0) {
    unpackBytes(packed, into, { start, end, least, bytes: bits / 8 })
  } else if (bits <= EXACT_BITS_MAX) {
    unpackBits(packed, into, { start, end, least, bits })
  } else throw new RangeError(`no miniblock of ${bits} bits`)
  return end
}

function unpackBytes(
  packed: Uint8Array,
  into: Integers,
  how: { start: number; end: number; least: number; bytes: number },
): void {
  let last = into[how.start - 1]!
  let place = 0
  for (let at = how.start; at < how.end; at++) {
    let delta = 0
    for (let byte = how.bytes - 1; byte >= 0; byte--) delta = delta * 256 + packed[place + byte]!
    place += how.bytes
    into[at] = last += delta + how.least
  }
}

function unpackBits(
  packed: Uint8Array,
  into: Integers,
  how: { start: number; end: number; least: number; bits: number },
): void {
  const mask = 2 ** how.bits - 1
  let last = into[how.start - 1]!
  let register = 0
  let held = 0
  let place = 0
  for (let at = how.start; at < how.end; at++) {
    while (held < how.bits) {
      register |= packed[place++]! << held
      held += 8
    }
    into[at] = last += (register & mask) + how.least
    register >>>= how.bits
    held -= how.bits
  }
}
