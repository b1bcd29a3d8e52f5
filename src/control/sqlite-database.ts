/** The control database on SQLite. Changes of one turn of the event loop share one flush. */
import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite'
import { WeirError } from '../errors/errors.ts'
import { emptyWriteAheadLog, isIntact, withCrc, type Row } from '../sqlite/sqlite.ts'
import type { Clock } from '../world/world.ts'
import { WRITTEN_KEYS } from './database.ts'
import type { Change, ControlDatabase, SqlRow, SqlValue } from './database.ts'
import type { TableName, WrittenTable } from './database.ts'
import { SqliteChanges } from './sqlite-changes.ts'

/** Behind the last change. */
const WAL_REST_MS = 1000
const SQLITE_CONSTRAINT = 19

/** Told of a row that fails its checksum: whom it stands for is treated as unknown. */
export type OnDamage = (problem: string) => void

/** What its checksum covers is known only when the database has given the row its number. */
const INSERT_KEYS = { device: 'number', admin_key: 'hash' } as const
type InsertTable = keyof typeof INSERT_KEYS

export class SqliteDatabase implements ControlDatabase {
  readonly #database: DatabaseSync
  readonly #clock: Clock
  readonly #onDamage: OnDamage
  readonly #statements = new Map<string, StatementSync>()
  readonly #changes: SqliteChanges
  #group: PromiseWithResolvers<void> | undefined
  #cancelEmptying: () => void = () => undefined

  constructor(database: DatabaseSync, clock: Clock, onDamage: OnDamage) {
    this.#database = database
    this.#clock = clock
    this.#onDamage = onDamage
    this.#changes = new SqliteChanges((text) => this.#statement(text))
  }

  async select(
    table: TableName,
    clauses: string,
    parameters: readonly SqlValue[],
  ): Promise<SqlRow[]> {
    const rows = await this.#ask(`SELECT * FROM ${table} ${clauses}`, parameters)
    return rows.filter((row) => isIntactRow(row, table, this.#onDamage)) as SqlRow[]
  }

  async count(table: TableName, clauses: string, parameters: readonly SqlValue[]): Promise<number> {
    const [row] = await this.#ask(`SELECT count(*) AS count FROM ${table} ${clauses}`, parameters)
    return Number(row?.['count'])
  }

  async insert(table: InsertTable, values: SqlRow): Promise<SqlRow | undefined> {
    const group = this.#begin()
    const names = Object.keys(values)
    const places = names.map(() => '?').join(', ')
    const row = this.#insertOnce(
      `INSERT INTO ${table} (${names.join(', ')}) VALUES (${places}) RETURNING *`,
      Object.values(values),
    )
    if (row !== undefined) this.#seal(table, row)
    await group.promise
    return row as SqlRow | undefined
  }

  /** In a savepoint: what fails its expectation takes nothing of the others with it. */
  async write(changes: readonly Change[]): Promise<boolean> {
    const group = this.#begin()
    this.#database.exec('SAVEPOINT one_write')
    const isDone = this.#makeAll(changes)
    this.#database.exec(isDone ? 'RELEASE one_write' : 'ROLLBACK TO one_write; RELEASE one_write')
    // What it failed at may be a change of this group, which is not durable yet.
    await group.promise
    return isDone
  }

  #makeAll(changes: readonly Change[]): boolean {
    try {
      return changes.every((change) => this.#changes.make(change))
    } catch (cause) {
      // A full disk ends the whole transaction, savepoints and all.
      if (this.#database.isTransaction)
        this.#database.exec('ROLLBACK TO one_write; RELEASE one_write')
      throw new WeirError('CONTROL_WRITE_FAILED', String(cause), { cause })
    }
  }

  async close(): Promise<void> {
    if (!this.#database.isOpen) return
    this.#commit()
    this.#cancelEmptying()
    this.#database.close()
  }

  async #ask(text: string, parameters: readonly SqlValue[]): Promise<Row[]> {
    // What is not durable yet must not be answered from.
    while (this.#group !== undefined) await this.#group.promise.catch(() => undefined)
    return this.#statement(text).all(...parameters)
  }

  /** Prepared once; `$1` is `?1` here. */
  #statement(text: string): StatementSync {
    const known = this.#statements.get(text)
    if (known !== undefined) return known
    const statement = this.#database.prepare(text.replaceAll('$', '?'))
    this.#statements.set(text, statement)
    return statement
  }

  #insertOnce(text: string, values: SqlValue[]): Row | undefined {
    try {
      return this.#statement(text).get(...values)
    } catch (cause) {
      if ((((cause as { errcode?: number }).errcode ?? 0) & 0xff) === SQLITE_CONSTRAINT)
        return undefined
      throw cause
    }
  }

  #seal(table: InsertTable, row: Row): void {
    const { row_crc: _, ...written } = row
    const crc = withCrc(...(Object.values(written) as SQLInputValue[])).at(-1)!
    const key = INSERT_KEYS[table]
    this.#statement(`UPDATE ${table} SET row_crc = ? WHERE ${key} = ?`).run(crc, row[key]!)
  }

  /** Opens the transaction that all changes of this turn share. */
  #begin(): PromiseWithResolvers<void> {
    if (this.#group !== undefined && this.#database.isTransaction) return this.#group
    // A full disk has ended the transaction: whoever waits for it hears of that.
    this.#commit()
    this.#database.exec('BEGIN IMMEDIATE')
    const group = Promise.withResolvers<void>()
    this.#group = group
    // Whoever waits hears of a failure; nobody need wait.
    group.promise.catch(() => undefined)
    this.#clock.soon(() => this.#commit())
    return group
  }

  #commit(): void {
    const group = this.#group
    if (group === undefined) return
    this.#group = undefined
    try {
      this.#database.exec('COMMIT')
      group.resolve()
      this.#emptyWalSoon()
    } catch (cause) {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK')
      group.reject(new WeirError('CONTROL_WRITE_FAILED', String(cause), { cause }))
    }
  }

  /** Once for a whole fleet that registers, not behind each of its commits. */
  #emptyWalSoon(): void {
    this.#cancelEmptying()
    this.#cancelEmptying = this.#clock.after(WAL_REST_MS, () => emptyWriteAheadLog(this.#database))
  }
}

/** Whether a row is what was written; otherwise it is reported. */
export function isIntactRow(row: Row, table: TableName, onDamage: OnDamage): boolean {
  if (isIntact(row)) return true
  const { row_crc: _, token_hash: __, hash: ___, ...unkeyed } = row
  const keys: readonly string[] | undefined = WRITTEN_KEYS[table as WrittenTable]
  // A definition may hold secrets: of what is edited only the key is told.
  const named =
    keys === undefined ? unkeyed : Object.fromEntries(keys.map((key) => [key, row[key]]))
  onDamage(`a row of ${table} fails its checksum: ${JSON.stringify(named)}`)
  return false
}
