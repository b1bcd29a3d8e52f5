/** Settings of `query` that are about statements of SQL. */
import { bytes, duration, integer } from './settings.ts'

export const SQL_SETTINGS = {
  sqlTimeout: duration(
    '30s',
    ['100ms', '1h'],
    'Longest time of a statement of SQL; before it as long again to bring what it reads.',
  ),
  sqlRowsMax: integer(10_000, [1, 1_000_000], 'Rows in the answer of a statement of SQL.'),
  sqlMemoryBytes: bytes(
    '256 MiB',
    ['64 MiB', '1 TiB'],
    'Memory of a statement of SQL, in a process of its own.',
  ),
  sqlFilesBytesMax: bytes(
    '4 GiB',
    ['1 MiB', '16 TiB'],
    'Temporary files of statements of SQL: files of a bucket, kept for the next statement, or on a cluster what they read. One that needs more is refused.',
  ),
  sqlReadingsMax: integer(
    5_000_000,
    [1, 1_000_000_000],
    'On a cluster: readings and windows that are brought out of PostgreSQL and the lake for a statement of SQL.',
  ),
}
