/**
 * Columns of doubles as PostgreSQL packs them: one value of bytes a page and column, in network
 * order. A row of its own for each reading would cost ten times as much on either side.
 */

/** An aggregate that packs the column; integers up to 2^53 stay exact. */
export const packed = (column: string): string =>
  `string_agg(float8send(${column}::float8), ''::bytea) AS ${column}`

/** Null is what no rows pack to. */
export function unpack(bytes: Uint8Array | null): Float64Array {
  if (bytes === null) return new Float64Array(0)
  const doubles = new Float64Array(bytes.length / Float64Array.BYTES_PER_ELEMENT)
  const target = Buffer.from(doubles.buffer)
  target.set(bytes)
  target.swap64()
  return doubles
}
