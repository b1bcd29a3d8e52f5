/**
 * FlatBuffers, as far as Arrow's messages need them: tables, vectors and strings, written forwards.
 * A table says where its fields are in a vtable before it; what a field refers to stands behind.
 *
 * Format: https://flatbuffers.dev/internals
 */
const encoder = new TextEncoder()

/** Undefined: the field is absent, and means its default. */
export type FlatField =
  | { u8: number }
  | { i16: number }
  | { i64: number }
  /** Writes what is referred to, and returns its place. */
  | { ref: () => number }
  | undefined

export class FlatBuffer {
  #bytes = new Uint8Array(1024)
  #view = new DataView(this.#bytes.buffer)
  #length = 0

  /** The whole buffer, padded to 8 bytes. `root` writes a table. */
  static of(root: (out: FlatBuffer) => number): Uint8Array {
    const out = new FlatBuffer()
    out.#grow(8)
    out.#view.setUint32(0, root(out), true)
    out.#align(8)
    return out.#bytes.subarray(0, out.#length)
  }

  table(fields: readonly FlatField[]): number {
    this.#align(2)
    const vtable = this.#grow(4 + 2 * fields.length)
    this.#align(8)
    const table = this.#grow(4)
    this.#view.setInt32(table, table - vtable, true)
    const later: [place: number, write: () => number][] = []
    for (const [at, field] of fields.entries()) {
      if (field === undefined) continue
      const size = sizeOf(field)
      this.#align(size)
      const place = this.#grow(size)
      this.#view.setUint16(vtable + 4 + 2 * at, place - table, true)
      if ('ref' in field) later.push([place, field.ref])
      else this.#put(place, field)
    }
    this.#view.setUint16(vtable, 4 + 2 * fields.length, true)
    this.#view.setUint16(vtable + 2, this.#length - table, true)
    for (const [place, write] of later) this.#refer(place, write())
    return table
  }

  text(text: string): number {
    const bytes = encoder.encode(text)
    this.#align(4)
    const place = this.#grow(4 + bytes.length + 1)
    this.#view.setUint32(place, bytes.length, true)
    this.#bytes.set(bytes, place + 4)
    return place
  }

  /** Of tables. */
  vector(items: readonly (() => number)[]): number {
    this.#align(4)
    const place = this.#grow(4 + 4 * items.length)
    this.#view.setUint32(place, items.length, true)
    for (const [at, write] of items.entries()) this.#refer(place + 4 + 4 * at, write())
    return place
  }

  /** Of structs of two i64. */
  pairs(pairs: readonly (readonly [number, number])[]): number {
    // The structs behind the count are aligned to 8.
    this.#align(8)
    this.#grow(4)
    const place = this.#grow(4 + 16 * pairs.length)
    this.#view.setUint32(place, pairs.length, true)
    for (const [at, [one, other]] of pairs.entries()) {
      this.#view.setBigInt64(place + 4 + 16 * at, BigInt(one), true)
      this.#view.setBigInt64(place + 12 + 16 * at, BigInt(other), true)
    }
    return place
  }

  #put(place: number, field: { u8: number } | { i16: number } | { i64: number }): void {
    if ('u8' in field) this.#view.setUint8(place, field.u8)
    else if ('i16' in field) this.#view.setInt16(place, field.i16, true)
    else this.#view.setBigInt64(place, BigInt(field.i64), true)
  }

  #refer(from: number, to: number): void {
    this.#view.setUint32(from, to - from, true)
  }

  #align(to: number): void {
    this.#grow((to - (this.#length % to)) % to)
  }

  /** Zeroes; returns where they are. */
  #grow(bytes: number): number {
    const place = this.#length
    this.#length += bytes
    if (this.#length > this.#bytes.length) {
      const grown = new Uint8Array(this.#length * 2)
      grown.set(this.#bytes)
      this.#bytes = grown
      this.#view = new DataView(grown.buffer)
    }
    return place
  }
}

function sizeOf(field: Exclude<FlatField, undefined>): number {
  if ('u8' in field) return 1
  if ('i16' in field) return 2
  return 'i64' in field ? 8 : 4
}
