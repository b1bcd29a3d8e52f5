/**
 * A table as a stream of Arrow's IPC format: what pyarrow, DuckDB, Polars and the like read without
 * parsing a text. Flat columns of times, doubles, booleans and texts, in one record batch.
 *
 *   schema | record batch | end          each: 0xFFFFFFFF | length i32 | FlatBuffer | body
 *
 * Format: https://arrow.apache.org/docs/format/Columnar.html (1.5), Message.fbs, Schema.fbs.
 */
import { FlatBuffer, type FlatField } from './flat-buffer.ts'

export interface ArrowColumn {
  name: string
  /** `timeUs`: µs since 1970 UTC, integers. */
  type: 'timeUs' | 'double' | 'boolean' | 'text'
  isOptional: boolean
  /** Of the type; null only where it is optional. */
  values: readonly (number | boolean | string | null)[]
}

const VERSION_5 = 4
const SCHEMA = 1
const RECORD_BATCH = 3
/** Members of the union Type, and their tables. */
const TYPES: Record<ArrowColumn['type'], [number, (out: FlatBuffer) => FlatField[]]> = {
  // unit MICROSECOND.
  timeUs: [10, (out) => [{ i16: 2 }, { ref: () => out.text('UTC') }]],
  // precision DOUBLE.
  double: [3, () => [{ i16: 2 }]],
  boolean: [6, () => []],
  text: [5, () => []],
}
const CONTINUATION = 0xffffffff
const ALIGNMENT = 8

/** All columns have the same number of values. */
export function writeArrowStream(columns: readonly ArrowColumn[]): Uint8Array {
  const rows = columns[0]?.values.length ?? 0
  const bodies = columns.map(buffersOf)
  const buffers = bodies.flatMap((body) => body.buffers)
  let at = 0
  const places = buffers.map(({ length }): [number, number] => {
    const place = at
    at += length + padding(length)
    return [place, length]
  })
  const batch = message(RECORD_BATCH, at, (out) =>
    out.table([
      { i64: rows },
      { ref: () => out.pairs(bodies.map(({ nulls }) => [rows, nulls])) },
      { ref: () => out.pairs(places) },
    ]),
  )
  const schema = message(SCHEMA, 0, (out) =>
    out.table([
      { i16: 0 },
      { ref: () => out.vector(columns.map((column) => () => fieldOf(out, column))) },
    ]),
  )
  const padded = buffers.flatMap((bytes) => [bytes, new Uint8Array(padding(bytes.length))])
  return Buffer.concat([schema, batch, ...padded, head(0)])
}

const padding = (length: number): number => (ALIGNMENT - (length % ALIGNMENT)) % ALIGNMENT

function head(metadataBytes: number): Uint8Array {
  const bytes = Buffer.alloc(8)
  bytes.writeUInt32LE(CONTINUATION, 0)
  bytes.writeInt32LE(metadataBytes, 4)
  return bytes
}

/** Without its body. */
function message(
  type: number,
  bodyBytes: number,
  content: (out: FlatBuffer) => number,
): Uint8Array {
  const metadata = FlatBuffer.of((out) =>
    out.table([
      ...[{ i16: VERSION_5 }, { u8: type }, { ref: () => content(out) }, { i64: bodyBytes }],
    ]),
  )
  return Buffer.concat([head(metadata.length), metadata])
}

function fieldOf(out: FlatBuffer, { name, type, isOptional }: ArrowColumn): number {
  const [union, fields] = TYPES[type]
  return out.table([
    { ref: () => out.text(name) },
    { u8: Number(isOptional) },
    { u8: union },
    { ref: () => out.table(fields(out)) },
    undefined,
    { ref: () => out.vector([]) },
  ])
}

/** Validity, and for texts offsets, then values. */
function buffersOf({ type, values }: ArrowColumn): { buffers: Uint8Array[]; nulls: number } {
  const nulls = values.filter((value) => value === null).length
  const validity = nulls === 0 ? new Uint8Array(0) : bits(values, (value) => value !== null)
  const data = type === 'text' ? texts(values) : [fixed(type, values)]
  return { nulls, buffers: [validity, ...data] }
}

function fixed(type: 'timeUs' | 'double' | 'boolean', values: ArrowColumn['values']): Uint8Array {
  if (type === 'boolean') return bits(values, (value) => value === true)
  const numbers =
    type === 'double'
      ? Float64Array.from(values, Number)
      : BigInt64Array.from(values, (value) => BigInt(Number(value)))
  return new Uint8Array(numbers.buffer)
}

function texts(values: ArrowColumn['values']): [offsets: Uint8Array, bytes: Uint8Array] {
  const offsets = new Int32Array(values.length + 1)
  const all = values.map((value) => Buffer.from(value === null ? '' : String(value)))
  for (const [at, { length }] of all.entries()) offsets[at + 1] = offsets[at]! + length
  return [new Uint8Array(offsets.buffer), Buffer.concat(all)]
}

/** The lowest bit first. */
function bits(
  values: ArrowColumn['values'],
  isSet: (value: ArrowColumn['values'][number]) => boolean,
): Uint8Array {
  const bytes = new Uint8Array(Math.ceil(values.length / 8))
  for (const [at, value] of values.entries()) {
    if (isSet(value)) bytes[at >> 3]! |= 1 << (at & 7)
  }
  return bytes
}
