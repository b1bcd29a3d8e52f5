/**
 * The SQL behind the control store, as far as SQLite and PostgreSQL agree: one set of statements
 * runs on both. Clauses are texts of our own code, and what people say is in parameters.
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

/**
 * Tables whose keys their writers know, and the columns that are the key. `revision` is a column of
 * those that are edited. If you add one, its migration stands in both databases.
 */
export const WRITTEN_KEYS = {
  definition: ['kind', 'tenant', 'id'],
  alert_state: ['tenant', 'id'],
  alert_episode: ['tenant', 'id'],
  alert_history: ['tenant', 'alert_id', 'number'],
  notification: ['tenant', 'id'],
  message: ['tenant', 'id'],
  recipient_pace: ['tenant', 'recipient_id'],
} as const satisfies Record<string, readonly string[]>

export type WrittenTable = keyof typeof WRITTEN_KEYS
export type TableName = 'device' | 'admin_key' | WrittenTable

/**
 * `put` is a whole row, all columns named. `expected`: the revision that the row of its key must
 * have, 0 for none; without, the key must not be taken, or `ignore` says that then nothing is to be
 * done. `remove` is a key; without `expected` it may be gone already. In one write a key stands
 * once.
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
  insert(table: 'device' | 'admin_key', values: SqlRow): Promise<SqlRow | undefined>
  /**
   * D5. False when a revision or a key was another one: nothing is changed then.
   * Errors: CONTROL_WRITE_FAILED; where the store is a server it may have been written even so.
   */
  write(changes: readonly Change[]): Promise<boolean>
  /** What is under way becomes durable first. May be called again. */
  close(): Promise<void>
}
