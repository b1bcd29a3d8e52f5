/** Erasures in the catalogue: what was asked, and each file that was rewritten for it. */
import type { DatabaseSync } from 'node:sqlite'
import { WeirError } from '../errors/errors.ts'
import { isIntact, withCrc, type Row } from '../sqlite/sqlite.ts'

/** Format 6. */
export const ERASURE_SCHEMA = `
CREATE TABLE erasures (
  id TEXT PRIMARY KEY, tenant TEXT NOT NULL, devices TEXT NOT NULL, -- JSON
  from_us INTEGER NOT NULL, to_us INTEGER NOT NULL, requested_at_us INTEGER NOT NULL,
  events INTEGER NOT NULL, receipt TEXT, row_crc INTEGER
) STRICT;
CREATE TABLE erased_files (
  erasure TEXT NOT NULL, file TEXT NOT NULL, place TEXT NOT NULL, crc_before INTEGER,
  file_after TEXT, crc_after INTEGER, rows INTEGER NOT NULL, row_crc INTEGER,
  PRIMARY KEY (erasure, file)
) STRICT, WITHOUT ROWID;
`

export interface Erasure {
  id: string
  tenant: string
  deviceIds: string[]
  /** Event times of what is erased, µs; the end is excluded. */
  fromUs: number
  toUs: number
  requestedAtUs: number
  /** Anomalies and dead letters that went. */
  events: number
  /** Signed, once it is done. */
  receipt: string | undefined
}

export interface ErasedFile {
  file: string
  /** Frozen: it is in the archive of the bucket, and stays as it is; nothing of it is shown. */
  place: 'disk' | 'cold' | 'rollups' | 'frozen'
  crcBefore: number | undefined
  /** Undefined: nothing was left. */
  fileAfter: string | undefined
  crcAfter: number | undefined
  /** Rows that went. */
  rows: number
}

export class ErasureTables {
  readonly #database: DatabaseSync
  readonly #path: string

  constructor(database: DatabaseSync, path: string) {
    this.#database = database
    this.#path = path
  }

  /** Within the caller's transaction, as all below. */
  put(erasure: Erasure): void {
    const { id, tenant, deviceIds, fromUs, toUs, requestedAtUs, events, receipt } = erasure
    const values = [id, tenant, JSON.stringify(deviceIds), fromUs, toUs, requestedAtUs, events]
    this.#database
      .prepare('INSERT OR REPLACE INTO erasures VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)')
      .run(...withCrc(...values, receipt ?? null))
  }

  addFile(erasure: string, erased: ErasedFile): void {
    const { file, place, crcBefore, fileAfter, crcAfter, rows } = erased
    const values = [erasure, file, place, crcBefore ?? null, fileAfter ?? null]
    this.#database
      .prepare('INSERT OR REPLACE INTO erased_files VALUES (?, ?, ?, ?, ?, ?, ?, ?)')
      .run(...withCrc(...values, crcAfter ?? null, rows))
  }

  /** Returns how many went. Of dead letters their arrival counts: they have no other time. */
  deleteEvents({ tenant, deviceIds, fromUs, toUs }: Erasure): number {
    let count = 0
    for (const [table, time] of [
      ['anomalies', 'event_time_us'],
      ['dead_letters', 'received_at_us'],
    ] as const) {
      const remove = this.#database.prepare(
        `DELETE FROM ${table} WHERE tenant = ? AND device_id = ? AND ${time} >= ? AND ${time} < ?`,
      )
      for (const id of deviceIds) count += Number(remove.run(tenant, id, fromUs, toUs).changes)
    }
    return count
  }

  all(): Erasure[] {
    const rows = this.#database.prepare('SELECT * FROM erasures ORDER BY requested_at_us').all()
    return rows.map((row) => {
      const one = this.#checked(row, 'erasures')
      return {
        ...{ id: String(one['id']), tenant: String(one['tenant']) },
        deviceIds: JSON.parse(String(one['devices'])) as string[],
        ...{ fromUs: Number(one['from_us']), toUs: Number(one['to_us']) },
        ...{ requestedAtUs: Number(one['requested_at_us']), events: Number(one['events']) },
        receipt: one['receipt'] === null ? undefined : String(one['receipt']),
      }
    })
  }

  files(erasure: string): ErasedFile[] {
    const rows = this.#database.prepare('SELECT * FROM erased_files WHERE erasure = ?').all(erasure)
    return rows.map((row) => {
      const one = this.#checked(row, 'erased_files')
      const number = (name: string): number | undefined =>
        one[name] === null ? undefined : Number(one[name])
      return {
        ...{ file: String(one['file']), place: one['place'] as ErasedFile['place'] },
        ...{ crcBefore: number('crc_before'), crcAfter: number('crc_after') },
        fileAfter: one['file_after'] === null ? undefined : String(one['file_after']),
        rows: Number(one['rows']),
      }
    })
  }

  #checked(row: Row, table: string): Row {
    if (isIntact(row)) return row
    throw new WeirError('DATA_FILE_DAMAGED', `${this.#path}: a row of ${table} fails its checksum`)
  }
}
