/** The catalogue's rows of questions. */
import { row, type CatalogueRow } from './row.ts'

export const QUERY_ERRORS = {
  QUERY_LIMIT_EXCEEDED: row(
    'The query exceeds a limit',
    { http: 422 },
    'Narrow the time range, or ask for agg and step.',
  ),
  QUERY_OVERLOADED: row(
    'Too many queries wait',
    { http: 503, retryable: true },
    'Retry after the time in Retry-After; query.concurrency and query.waitingMax say how many.',
  ),
  QUERY_FAILED: row(
    'The query failed',
    { http: 500, retryable: true },
    'Retry; if it persists, see the log.',
  ),
} as const satisfies Record<string, CatalogueRow>
