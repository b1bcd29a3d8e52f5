/**
 * Thrift's compact protocol, as far as Parquet's footers and page headers need it.
 *
 *   field    delta of the field's number (1 to 15) << 4 | type, then the value
 *   integer  zigzag varint          binary  varint length, bytes
 *   list     count << 4 | type (count 15: varint count behind), then the values
 *   struct   fields, then a zero byte; a boolean field has its value in its type
 */
import { ByteReader, ByteWriter } from './bytes.ts'

const TRUE = 1
const FALSE = 2
const BYTE = 3
const I16 = 4
const I32 = 5
const I64 = 6
const DOUBLE = 7
const BINARY = 8
const LIST = 9
const SET = 10
const STRUCT = 12

const encoder = new TextEncoder()

/** What is written: numbers are i32 unless wrapped in `i64`; fields of undefined are left out. */
export type ThriftValue = number | boolean | string | Uint8Array | I64 | ThriftValue[] | Fields
interface I64 {
  i64: number
}
/** By field number, ascending as numeric keys are. */
export interface Fields {
  [field: number]: ThriftValue | undefined
}

export const i64 = (value: number): I64 => ({ i64: value })

export function writeStruct(out: ByteWriter, fields: Fields): void {
  let last = 0
  for (const [key, value] of Object.entries(fields) as [string, ThriftValue | undefined][]) {
    if (value === undefined) continue
    const field = Number(key)
    const type = value === true ? TRUE : typeOf(value)
    out.byte(((field - last) << 4) | type)
    last = field
    if (typeof value !== 'boolean') writeValue(out, value)
  }
  out.byte(0)
}

function typeOf(value: ThriftValue): number {
  if (typeof value === 'number') return I32
  if (typeof value === 'boolean') return FALSE
  if (typeof value === 'string' || value instanceof Uint8Array) return BINARY
  if (Array.isArray(value)) return LIST
  return 'i64' in value ? I64 : STRUCT
}

function writeValue(out: ByteWriter, value: ThriftValue): void {
  if (typeof value === 'number') return out.zigzag(value)
  // Only within a list: a field's boolean is in its type.
  if (typeof value === 'boolean') return out.byte(value ? TRUE : FALSE)
  if (typeof value === 'string') return writeValue(out, encoder.encode(value))
  if (value instanceof Uint8Array) {
    out.varint(value.length)
    return out.bytes(value)
  }
  if (Array.isArray(value)) return writeList(out, value)
  return 'i64' in value ? out.zigzag(value.i64) : writeStruct(out, value)
}

const itemType = (item: ThriftValue): number => (typeof item === 'boolean' ? TRUE : typeOf(item))

/** Items are of one type; an empty list may be of any. */
function writeList(out: ByteWriter, items: ThriftValue[]): void {
  const type = items[0] === undefined ? STRUCT : itemType(items[0])
  out.byte((Math.min(items.length, 15) << 4) | type)
  if (items.length >= 15) out.varint(items.length)
  for (const item of items) writeValue(out, item)
}

/** What is read: integers of every width are numbers. */
export type Read = number | boolean | Uint8Array | Read[] | ReadFields
export type ReadFields = Map<number, Read>

/** Throws RangeError on what is not this protocol. */
export function readStruct(from: ByteReader): ReadFields {
  const fields: ReadFields = new Map()
  let field = 0
  for (;;) {
    const head = from.byte()
    if (head === 0) return fields
    if (!(head > 0)) throw new RangeError('a struct ends before its end')
    const type = head & 15
    field = head >> 4 === 0 ? from.zigzag() : field + (head >> 4)
    fields.set(field, type === TRUE || type === FALSE ? type === TRUE : readValue(from, type))
  }
}

function readValue(from: ByteReader, type: number): Read {
  switch (type) {
    case TRUE:
    case FALSE:
      return from.byte() === TRUE
    case BYTE:
      return from.byte()
    case I16:
    case I32:
    case I64:
      return from.zigzag()
    case DOUBLE:
      return from.f64()
    case BINARY:
      return from.bytes(from.varint())
    case LIST:
    case SET:
      return readList(from)
    case STRUCT:
      return readStruct(from)
    default:
      throw new RangeError(`no type ${type}`)
  }
}

function readList(from: ByteReader): Read[] {
  const head = from.byte()
  const count = head >> 4 === 15 ? from.varint() : head >> 4
  if (!(count <= from.left)) throw new RangeError('a list is longer than its bytes')
  return Array.from({ length: count }, () => readValue(from, head & 15))
}
