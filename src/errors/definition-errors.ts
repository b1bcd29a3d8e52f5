/** The catalogue's rows of what people define while the pipeline runs. */
import { row, type CatalogueRow } from './row.ts'

export const DEFINITION_ERRORS = {
  CONTROL_REVISION_STALE: row(
    'Somebody else has changed it meanwhile',
    { http: 412 },
    'Look at the current state, which the answer has, and decide again.',
  ),
  CONTROL_DEFINITIONS_EXCEEDED: row(
    'There are as many definitions of this kind as there may be',
    { http: 409 },
    'Remove those that are no longer needed; the detail has the number.',
  ),
  RULE_OF_DEFINITION: row(
    'The rule is one of the pipeline definition',
    { http: 409 },
    'Change it there and restart, or choose another id.',
  ),
  RULE_EXISTS: row(
    'There is another rule of this id',
    { http: 409 },
    'Choose another id, or change the rule by PUT /v1/rules/{id}.',
  ),
  ALERT_RECIPIENT_INVALID: row(
    'The recipient is invalid',
    { http: 422 },
    'The detail names the key and what it should be.',
  ),
  ALERT_SILENCE_INVALID: row(
    'The silence is invalid',
    { http: 422 },
    'The detail names the key and what it should be.',
  ),
} as const satisfies Record<string, CatalogueRow>
