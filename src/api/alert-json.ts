/** An alert as JSON: what the API answers and the live stream tells. */
import { Type, type Static } from 'typebox'
import type { AlertRecord } from '../alerts/alerts.ts'
import { MaybeMilliseconds, Milliseconds, millisecondsOf } from './shapes.ts'

export const Alert = Type.Object({
  id: Type.String(),
  device_id: Type.String(),
  rule_id: Type.String(),
  rule_version: Type.Integer(),
  severity: Type.String(),
  state: Type.Enum(['firing', 'resolved']),
  triggered_at: Milliseconds,
  since: Type.Number({ description: 'The first breach of the newest episode, in milliseconds.' }),
  resolved_at: Type.Union([Milliseconds, Type.Null()], { description: 'Null while it fires.' }),
  occurrences: Type.Integer({ description: 'Episodes so far.' }),
  flapping: Type.Boolean({ description: 'It comes and goes so often that it is one alert.' }),
  acknowledged: Type.Union([Type.Object({ by: Type.String(), at: Milliseconds }), Type.Null()]),
  snoozed_until: MaybeMilliseconds,
  suppressed_by: Type.Union(
    [
      Type.Object({ silence: Type.String() }),
      Type.Object({ parent_alert: Type.String() }),
      Type.Null(),
    ],
    { description: 'Why nobody is told: a silence, or the alert of its gateway.' },
  ),
  reason: Type.Object({
    kind: Type.Enum(['condition', 'silence']),
    condition: Type.String(),
    metric: Type.Optional(Type.String()),
    unit: Type.Optional(Type.String()),
    value: Type.Optional(Type.Number()),
    threshold: Type.Optional(Type.Number()),
    value_before: Type.Optional(Type.Number()),
  }),
  values: Type.Record(Type.String(), Type.Number()),
})

export type AlertBody = Static<typeof Alert>

export function alertJson(alert: AlertRecord): AlertBody {
  const { kind, condition, metric, unit, value, threshold, valueBefore } = alert.reason
  const { acknowledged, suppressedBy } = alert
  return {
    id: alert.id,
    device_id: alert.deviceId,
    rule_id: alert.ruleId,
    rule_version: alert.ruleVersion,
    severity: alert.severity,
    state: alert.state,
    triggered_at: alert.triggeredAtUs / 1000,
    since: alert.sinceUs / 1000,
    resolved_at: millisecondsOf(alert.resolvedAtUs),
    occurrences: alert.occurrences,
    flapping: alert.isFlapping,
    acknowledged: acknowledged ? { by: acknowledged.by, at: acknowledged.atUs / 1000 } : null,
    snoozed_until: millisecondsOf(alert.snoozedUntilUs),
    suppressed_by: suppressedJson(suppressedBy),
    reason: {
      ...{ kind, condition },
      ...(metric !== undefined && { metric }),
      ...(unit !== undefined && { unit }),
      ...(value !== undefined && { value }),
      ...(threshold !== undefined && { threshold }),
      ...(valueBefore !== undefined && { value_before: valueBefore }),
    },
    values: alert.values,
  }
}

function suppressedJson(by: AlertRecord['suppressedBy']) {
  if (by === undefined) return null
  return 'silence' in by ? { silence: by.silence } : { parent_alert: by.parentAlert }
}
