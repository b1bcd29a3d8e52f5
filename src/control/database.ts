/**
 * The SQL behind the control store, as far as SQLite and PostgreSQL agree: one set of statements
 * runs on both. Statements come from this folder alone, never from a caller.
 *
 * D1 insert() resolves once the row would survive a power cut; every select() that begins after it
 *    sees the row. Inserts under way at once may share a flush.
 * D2 insert() of a key that is taken changes nothing and gives undefined.
 * D3 A number that the database gave is never given again.
 * D4 A row that is not what was written is left out of select(), and reported.
 * D5 write() makes all of its changes or none, as of one moment, and resolves once they would
 *    survive a power cut. Writes under way at once may share a flush, not their fate.
 */
export type SqlValue = string | number | null | Uint8Array
export type SqlRow = Record<string, SqlValue>

export type TableName = 'device' | 'admin_key'

/** Tables whose keys their writers know. `revision` is a column of those that are edited. */
export type WrittenTable = never

/**
 * A whole row. `expected`: the revision that the row of its key must have, 0 for none; without, the
 * key must not be taken, or `ignore` says that then nothing is to be done.
 */
export type Change =
  | { table: WrittenTable; put: SqlRow; expected?: number; ignore?: true }
  | { table: WrittenTable; remove: SqlRow; expected?: number }

export interface ControlDatabase {
  /**
   * Whole rows. `clauses` stand behind the table's name, with `$1`, `$2` … for the parameters.
   * Integers are numbers, hashes bytes.
   */
  select(table: TableName, clauses: string, parameters: readonly SqlValue[]): Promise<SqlRow[]>
  count(table: TableName, clauses: string, parameters: readonly SqlValue[]): Promise<number>
  /** The whole row as written. Errors: CONTROL_WRITE_FAILED. */
  insert(table: TableName, values: SqlRow): Promise<SqlRow | undefined>
  /** D5. False when a revision or a key was another one: nothing is changed then. */
  write?(changes: readonly Change[]): Promise<boolean>
  /** What is under way becomes durable first. May be called again. */
  close(): Promise<void>
}
