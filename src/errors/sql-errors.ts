/** The catalogue's rows of statements of SQL. */
import { row, type CatalogueRow } from './row.ts'

export const SQL_ERRORS = {
  SQL_REFUSED: row(
    'The statement is not allowed',
    { http: 403, exit: 5 },
    'One SELECT over telemetry, aggregations, devices and alerts; no files, network or settings.',
  ),
  SQL_INVALID: row(
    'The statement is wrong',
    { http: 400 },
    'The detail is the database’s own; the views and their columns are in docs/api.md.',
  ),
} as const satisfies Record<string, CatalogueRow>
