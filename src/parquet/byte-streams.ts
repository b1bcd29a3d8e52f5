/**
 * BYTE_STREAM_SPLIT of the Parquet format for doubles: the first bytes of all values, then the
 * second bytes of all, and so on. Signs, exponents and zeroes then lie together, and zstd finds
 * them.
 */
import type { ByteWriter } from './bytes.ts'

const BYTES = 8

export function splitBytes(out: ByteWriter, values: Float64Array): void {
  const { length } = values
  const from = new Uint8Array(values.buffer, values.byteOffset, length * BYTES)
  const to = out.reserve(from.length)
  let place = out.length
  for (let byte = 0; byte < BYTES; byte++) {
    for (let at = byte; at < from.length; at += BYTES) to[place++] = from[at]!
  }
  out.length = place
}

/** The inverse: `bytes` hold as many values as `into`. Throws RangeError when they do not. */
export function joinBytes(bytes: Uint8Array, into: Float64Array): void {
  if (bytes.length !== into.length * BYTES) throw new RangeError('values are missing')
  const to = new Uint8Array(into.buffer, into.byteOffset, bytes.length)
  let place = 0
  for (let byte = 0; byte < BYTES; byte++) {
    for (let at = byte; at < to.length; at += BYTES) to[at] = bytes[place++]!
  }
}
