/**
 * Files in the object store, in the catalogue: which of them count, where in them each series is,
 * and which are being put, so that what a crash leaves there is found.
 */
import type { DatabaseSync } from 'node:sqlite'
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { WeirError } from '../errors/errors.ts'
import { isIntact, withCrc, type Row } from '../sqlite/sqlite.ts'
import { boundsOf, boundsValues } from './segment-rows.ts'
import type { Segment } from './segment-set.ts'

/** Format 5. */
export const COLD_SCHEMA = `
CREATE TABLE cold_files (
  file TEXT PRIMARY KEY, first_offset INTEGER NOT NULL, last_offset INTEGER NOT NULL,
  row_count INTEGER NOT NULL, bytes INTEGER NOT NULL,
  min_series INTEGER NOT NULL, max_series INTEGER NOT NULL,
  min_time_us INTEGER NOT NULL, max_time_us INTEGER NOT NULL, has_unverified INTEGER NOT NULL,
  tail_bytes INTEGER NOT NULL, tail_crc INTEGER NOT NULL, file_crc INTEGER NOT NULL,
  runs BLOB NOT NULL, row_crc INTEGER
) STRICT;
CREATE TABLE cold_pending (file TEXT PRIMARY KEY, row_crc INTEGER) STRICT;
`

/** A file's series in the order of its rows, each with how many they are. */
export interface ColdRuns {
  series: Int32Array
  rows: Int32Array
}

export interface ColdSegment extends Segment {
  isCold: true
}

export class ColdTables {
  readonly #database: DatabaseSync
  readonly #path: string

  constructor(database: DatabaseSync, path: string) {
    this.#database = database
    this.#path = path
  }

  /** Within the caller's transaction. */
  insert(files: readonly { segment: ColdSegment; runs: ColdRuns }[]): void {
    const insert = this.#database.prepare(
      'INSERT INTO cold_files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
    )
    const arrive = this.#database.prepare('DELETE FROM cold_pending WHERE file = ?')
    for (const { segment: s, runs } of files) {
      const values = withCrc(
        ...[s.file, ...boundsValues(s)],
        ...[s.tail!.bytes, s.tail!.crc, s.crc!, encodeRuns(runs)],
      )
      insert.run(...values)
      arrive.run(s.file)
    }
  }

  /** Within the caller's transaction. */
  delete(files: readonly string[]): void {
    const remove = this.#database.prepare('DELETE FROM cold_files WHERE file = ?')
    for (const file of files) remove.run(file)
  }

  /** Files that are put from now on. Within the caller's transaction. */
  insertPending(files: readonly string[]): void {
    const insert = this.#database.prepare('INSERT OR REPLACE INTO cold_pending VALUES (?, ?)')
    for (const file of files) insert.run(...withCrc(file))
  }

  deletePending(file: string): void {
    this.#database.prepare('DELETE FROM cold_pending WHERE file = ?').run(file)
  }

  pending(): string[] {
    const rows = this.#database.prepare('SELECT * FROM cold_pending').all()
    return rows.map((row) => String(this.#checked(row)['file']))
  }

  segments(): ColdSegment[] {
    const rows = this.#database.prepare('SELECT * FROM cold_files').all()
    return rows.map((row) => {
      const checked = this.#checked(row)
      return {
        ...{ kind: 'readings', isCold: true, file: String(checked['file']) },
        ...boundsOf(checked),
        tail: { bytes: Number(checked['tail_bytes']), crc: Number(checked['tail_crc']) },
        crc: Number(checked['file_crc']),
      }
    })
  }

  runs(file: string): ColdRuns {
    const row = this.#database.prepare('SELECT * FROM cold_files WHERE file = ?').get(file)
    if (row === undefined) throw new WeirError('QUERY_FAILED', `${file} is not in the catalogue`)
    return decodeRuns(this.#checked(row)['runs'] as Uint8Array)
  }

  #checked(row: Row): Row {
    if (isIntact(row)) return row
    const problem = `a row of the cold files fails its checksum: ${JSON.stringify(row['file'])}`
    throw new WeirError('DATA_FILE_DAMAGED', `${this.#path}: ${problem}`)
  }
}

/** i32 series, then i32 rows, through zstd. */
export function encodeRuns({ series, rows }: ColdRuns): Uint8Array {
  const plain = new Int32Array(series.length * 2)
  plain.set(series)
  plain.set(rows, series.length)
  return zstdCompressSync(new Uint8Array(plain.buffer))
}

export function decodeRuns(bytes: Uint8Array): ColdRuns {
  const plain = new Int32Array(Uint8Array.from(zstdDecompressSync(bytes)).buffer)
  const half = plain.length / 2
  return { series: plain.subarray(0, half), rows: plain.subarray(half) }
}
