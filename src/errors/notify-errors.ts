/** The catalogue's rows of notifications. */
import { row, type CatalogueRow } from './row.ts'

export const NOTIFY_ERRORS = {
  NOTIFY_ENDPOINT_INVALID: row(
    'The address of a channel is invalid',
    { http: 422 },
    'Give an https address without user name and password in it, or start with ' +
      '--allow-private-webhooks where http will do; docs/notifications.md.',
  ),
  NOTIFY_ADDRESS_FORBIDDEN: row(
    'The address of a channel leads into a private network',
    { http: 422 },
    'Give one that is reached over the internet, or allow private addresses.',
  ),
  NOTIFY_REFUSED: row(
    'The receiver refuses the notification for good',
    { http: 502 },
    'The detail has its answer: correct address, credentials or rights of the channel.',
  ),
  NOTIFY_UNAVAILABLE: row(
    'The receiver does not take the notification now',
    { http: 503, retryable: true },
    'Check that it runs and its address; it is tried again.',
  ),
} as const satisfies Record<string, CatalogueRow>
