/** The catalogue's rows of engines over the lake. */
import { row, type CatalogueRow } from './row.ts'

export const ENGINE_ERRORS = {
  ENGINE_UNAVAILABLE: row(
    'The engine over the lake cannot be reached, or fails',
    { http: 503, exit: 4, retryable: true },
    'Check that it runs and engine.url or engine.region; questions are answered without it.',
  ),
  ENGINE_REFUSED: row(
    'The engine over the lake refuses a statement',
    { http: 500, exit: 3 },
    'Check engine.table, the user and what it may read; the detail has the engine’s words.',
  ),
  ENGINE_LIMIT_EXCEEDED: row(
    'A statement takes more than the engine’s limits',
    { http: 422 },
    'See engine.timeout, rowsMax and bytesMax; or ask for less.',
  ),
  ENGINE_TABLE_STALE: row(
    'The engine’s table does not show the files that count',
    { http: 500, retryable: true },
    'Run the statement for new folders that `weir lake ddl` prints; check engine.location.',
  ),
} as const satisfies Record<string, CatalogueRow>
