/** A whole table of values as they are at hand, as one file: for answers, not for storage. */
import { ByteWriter } from './bytes.ts'
import type { Column } from './metadata.ts'
import { Levels, PLAIN } from './page.ts'
import { ParquetWriter } from './writer.ts'

export interface TableColumn {
  name: string
  /** `timeUs`: µs since 1970 UTC, integers. */
  type: 'timeUs' | 'double' | 'boolean' | 'text'
  isOptional: boolean
  /** Of the type; null only where it is optional. */
  values: readonly (number | boolean | string | null)[]
}

const PAGE_ROWS = 1 << 15
const ZSTD_LEVEL = 3

/** All columns have the same number of values. */
export async function writeTable(columns: readonly TableColumn[]): Promise<Uint8Array> {
  const out = new ByteWriter(1 << 16)
  const parquet = new ParquetWriter({
    ...{ columns: columns.map(columnOf), level: ZSTD_LEVEL },
    write: async (bytes) => out.bytes(bytes),
  })
  for (const [column, { type, isOptional, values }] of columns.entries()) {
    for (let from = 0; from < values.length; from += PAGE_ROWS) {
      const page = values.slice(from, from + PAGE_ROWS)
      const present = page.filter((value) => value !== null)
      const levels = new Levels()
      if (isOptional) for (const value of page) levels.add(1, value !== null)
      parquet.addPage(column, {
        ...{ rows: page.length, nulls: page.length - present.length, levels: levels.take() },
        ...{ encoding: PLAIN, values: plain(type, present) },
      })
    }
  }
  await parquet.finish()
  return out.written()
}

function columnOf({ name, type, isOptional }: TableColumn): Column {
  if (type === 'timeUs') return { name, type: 'int64', meaning: 'timeUs', isOptional }
  return { name, type: type === 'text' ? 'string' : type, isOptional }
}

function plain(
  type: TableColumn['type'],
  values: readonly (number | boolean | string)[],
): Uint8Array {
  const out = new ByteWriter(8 * values.length + 8)
  if (type === 'boolean') {
    for (let at = 0; at < values.length; at += 8) {
      const byte = values
        .slice(at, at + 8)
        .reduce<number>((sum, one, bit) => sum | (Number(one) << bit), 0)
      out.byte(byte)
    }
    return out.written()
  }
  for (const value of values) {
    if (type === 'timeUs') out.i64(Number(value))
    else if (type === 'double') out.f64(Number(value))
    else {
      const bytes = Buffer.from(String(value))
      out.u32(bytes.length)
      out.bytes(bytes)
    }
  }
  return out.written()
}
