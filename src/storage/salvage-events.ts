/** Anomalies and dead letters of a damaged catalogue, as far as they can be read: see repair.ts. */
import { DatabaseSync } from 'node:sqlite'
import { isIntact, type Row } from '../sqlite/sqlite.ts'

export interface SalvagedEvents {
  anomalies: Row[]
  dead_letters: Row[]
}

/** Rows whose checksums are right. What SQLite cannot read ends a table, and nothing else. */
export function salvageEvents(path: string): SalvagedEvents {
  const events: SalvagedEvents = { anomalies: [], dead_letters: [] }
  let database: DatabaseSync
  try {
    database = new DatabaseSync(path)
  } catch {
    return events
  }
  try {
    for (const table of ['anomalies', 'dead_letters'] as const) {
      try {
        for (const row of database.prepare(`SELECT * FROM ${table}`).iterate()) {
          if (row['row_crc'] !== undefined && isIntact(row)) events[table].push(row)
        }
      } catch {
        // A page of it is damaged: what was read before counts.
      }
    }
  } finally {
    database.close()
  }
  return events
}
