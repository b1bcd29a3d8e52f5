/**
 * One change of a written table as a statement of SQLite, checksum included: what a row's covers is
 * known before it is written, since its writer knows all columns.
 */
import type { StatementSync } from 'node:sqlite'
import { withCrc } from '../sqlite/sqlite.ts'
import { WRITTEN_KEYS } from './database.ts'
import type { Change, SqlRow, SqlValue, WrittenTable } from './database.ts'

export class SqliteChanges {
  readonly #prepare: (text: string) => StatementSync
  /** In the table's order, which is the checksum's. */
  readonly #columns = new Map<WrittenTable, readonly string[]>()

  /** `prepare` keeps what it prepared. */
  constructor(prepare: (text: string) => StatementSync) {
    this.#prepare = prepare
  }

  /** False when its expectation was not met. */
  make(change: Change): boolean {
    if ('remove' in change) return this.#remove(change)
    const { expected = 0, ignore = false } = change
    if (expected > 0) return this.#update(change.table, change.put, expected)
    return this.#insert(change.table, change.put) || ignore
  }

  #insert(table: WrittenTable, row: SqlRow): boolean {
    const names = this.#columnsOf(table)
    const places = names.map(() => '?').join(', ')
    const text = `INSERT INTO ${table} (${names.join(', ')}, row_crc) VALUES (${places}, ?)
      ON CONFLICT DO NOTHING`
    return this.#run(text, withCrc(...valuesOf(row, names)) as SqlValue[])
  }

  #update(table: WrittenTable, row: SqlRow, expected: number): boolean {
    const names = this.#columnsOf(table)
    const sets = [...names, 'row_crc'].map((name) => `${name} = ?`).join(', ')
    const text = `UPDATE ${table} SET ${sets} WHERE ${whereKey(table)} AND revision = ?`
    const written = withCrc(...valuesOf(row, names)) as SqlValue[]
    return this.#run(text, [...written, ...valuesOf(row, WRITTEN_KEYS[table]), expected])
  }

  #remove({ table, remove, expected }: Change & { remove: SqlRow }): boolean {
    const keys = valuesOf(remove, WRITTEN_KEYS[table])
    const text = `DELETE FROM ${table} WHERE ${whereKey(table)}`
    if (expected !== undefined) return this.#run(`${text} AND revision = ?`, [...keys, expected])
    this.#run(text, keys)
    return true
  }

  #run(text: string, values: readonly SqlValue[]): boolean {
    return this.#prepare(text).run(...values).changes === 1
  }

  #columnsOf(table: WrittenTable): readonly string[] {
    const known = this.#columns.get(table)
    if (known !== undefined) return known
    const names = this.#prepare(`SELECT * FROM ${table} LIMIT 0`)
      .columns()
      .flatMap(({ column }) => (column === null || column === 'row_crc' ? [] : [column]))
    this.#columns.set(table, names)
    return names
  }
}

const whereKey = (table: WrittenTable): string =>
  WRITTEN_KEYS[table].map((key) => `${key} = ?`).join(' AND ')

/** Half of a surrogate pair cannot be stored, and is the replacement character before it is. */
const valuesOf = (row: SqlRow, names: readonly string[]): SqlValue[] =>
  names.map((name) => {
    const value = row[name]
    if (value === undefined) throw new TypeError(`a row has no ${name}`)
    return typeof value === 'string' ? value.toWellFormed() : value
  })
