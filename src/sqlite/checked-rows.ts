/**
 * Rows that carry a checksum of their own: SQLite finds damage in the structure of its file, but
 * takes a flipped bit in a value for the value. The last column of each table, `row_crc`, is the
 * CRC32 of the others; a row that has none (NULL) is of an older format and is believed.
 */
import type { DatabaseSync, SQLInputValue, SQLOutputValue } from 'node:sqlite'
import { crc32 } from 'node:zlib'

export type Row = Record<string, SQLOutputValue>

const plain = (value: SQLInputValue | SQLOutputValue | undefined): unknown =>
  value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value

const rowCrc = (values: readonly (SQLInputValue | SQLOutputValue | undefined)[]): number =>
  crc32(JSON.stringify(values.map(plain)))

/** The values with their checksum behind them, as an INSERT of all columns wants them. */
export const withCrc = (...values: SQLInputValue[]): SQLInputValue[] => [...values, rowCrc(values)]

/** Of a row with all its columns. */
export function isIntact(row: Row): boolean {
  const { row_crc, ...values } = row
  return row_crc === null || row_crc === rowCrc(Object.values(values))
}

/** A migration: the column, and the checksums of the rows that are there. */
export function addRowChecksums(
  database: DatabaseSync,
  table: string,
  keys: readonly string[],
): void {
  database.exec(`ALTER TABLE ${table} ADD COLUMN row_crc INTEGER`)
  const where = keys.map((key) => `"${key}" = ?`).join(' AND ')
  const update = database.prepare(`UPDATE ${table} SET row_crc = ? WHERE ${where}`)
  for (const row of database.prepare(`SELECT * FROM ${table}`).all()) {
    const { row_crc: _, ...values } = row
    update.run(rowCrc(Object.values(values)), ...keys.map((key) => row[key]!))
  }
}
