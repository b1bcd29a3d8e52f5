/** An alert as the API tells it, for tests. */
import type { AlertBody } from '../api.ts'

export const makeAlert = (of: Partial<AlertBody> = {}): AlertBody => ({
  id: 'alert-1',
  device_id: 'pump-1',
  rule_id: 'hot',
  rule_version: 1,
  severity: 'critical',
  state: 'firing',
  triggered_at: 1000,
  since: 1000,
  resolved_at: null,
  occurrences: 1,
  flapping: false,
  acknowledged: null,
  snoozed_until: null,
  suppressed_by: null,
  reason: { kind: 'condition', condition: 'temperature > 80' },
  values: { temperature: 91 },
  ...of,
})
