/** The catalogue's rows of Flink. */
import { row, type CatalogueRow } from './row.ts'

export const FLINK_ERRORS = {
  FLINK_UNAVAILABLE: row(
    'Flink does not answer',
    { http: 503, exit: 6, retryable: true },
    'Check that JobManager and SQL Gateway run, and flink.restUrl and flink.gatewayUrl.',
  ),
  FLINK_REFUSED: row(
    'Flink refuses the request',
    { http: 502, exit: 3 },
    'The detail has its own words; its logs have more.',
  ),
  FLINK_BUSY: row(
    'Somebody else starts or ends the job',
    { http: 409, exit: 6, retryable: true },
    'Try again when that has ended; `weir flink status` says how the job does.',
  ),
  FLINK_JOB_RUNNING: row(
    'A job of this name runs already',
    { http: 409, exit: 3 },
    'Use `weir flink upgrade` to put another in its place, or give it another flink.name.',
  ),
  FLINK_JOB_ABSENT: row(
    'No job of this name runs',
    { http: 404, exit: 3 },
    'Start it with `weir flink submit`; flink.name is what it goes by.',
  ),
  FLINK_JOB_FAILED: row(
    'The job does not start',
    { http: 502, exit: 4 },
    'The detail is Flink’s; the job was cancelled.',
  ),
  FLINK_STATE_ABSENT: row(
    'There is no state of an earlier job',
    { http: 404, exit: 3 },
    'See flink.checkpoints, name a savepoint with --from, or leave out --resume.',
  ),
  FLINK_STATE_EXISTS: row(
    'There is state of an earlier job',
    { http: 409, exit: 3 },
    'Go on from it with --resume, or begin at the oldest entries of Kafka with --fresh.',
  ),
  FLINK_STATE_DIFFERS: row(
    'The new job cannot take up the state of the other one',
    { http: 409, exit: 3 },
    'Make good what the detail names, or begin anew: `upgrade --replay`, `submit --fresh`.',
  ),
} as const satisfies Record<string, CatalogueRow>
