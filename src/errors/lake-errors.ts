/** The catalogue's rows of object stores, and of the lake in one. */
import { row, type CatalogueRow } from './row.ts'

export const LAKE_ERRORS = {
  OBJECTS_UNAVAILABLE: row(
    'The object store cannot be reached',
    { http: 503, exit: 4, retryable: true },
    'Check that it runs and its address, or the disk of its folder; it is tried again.',
  ),
  OBJECTS_REFUSED: row(
    'The object store refuses the request',
    { http: 500, exit: 3 },
    'Check bucket, region, credentials and what they may do; the detail has its own words.',
  ),
  OBJECT_MISSING: row('There is no such object', { http: 404 }, 'Check its key.'),
  OBJECT_FROZEN: row(
    'The object is in the archive of its bucket',
    { http: 409 },
    'Ask for it with `weir storage restore --from --to`; hours later it can be read.',
  ),
  ARCHIVE_ABSENT: row(
    'There is no archive for cold readings',
    { http: 409, exit: 2 },
    'Only a bucket has one: set cold.bucket.',
  ),
  OBJECT_EXISTS: row(
    'An object with this key exists already',
    { http: 409 },
    'Read it, and choose another key.',
  ),
  OBJECT_KEY_INVALID: row(
    'The key of an object is invalid',
    { http: 422 },
    'Printable parts of 1 to 255 bytes with / between them, at most 1,024 bytes, none . or ..',
  ),
  LAKE_BACKLOG_FULL: row(
    'The lake’s writer holds as many readings as it may',
    { http: 503, retryable: true },
    'Stop reading the log until a commit succeeds; check the object store.',
  ),
  LAKE_FENCED: row(
    'Another writer has taken over these partitions',
    { http: 409, exit: 3 },
    'Start again: what was not committed is read from the log once more.',
  ),
} as const satisfies Record<string, CatalogueRow>
