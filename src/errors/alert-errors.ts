/** The catalogue's rows of alerts. */
import { row, type CatalogueRow } from './row.ts'

export const ALERT_ERRORS = {
  ALERT_UNKNOWN: row(
    'There is no such alert',
    { http: 404 },
    'GET /v1/alerts lists them; old ones are removed after alerts.retention.',
  ),
  ALERT_DELIVERY_UNKNOWN: row(
    'There is no such dead letter',
    { http: 404 },
    'Only a message that became a dead letter is tried again.',
  ),
} as const satisfies Record<string, CatalogueRow>
