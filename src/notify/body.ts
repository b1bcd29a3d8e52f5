/** A notification as JSON: what webhooks, SNS, SQS and MQTT carry. Names are those of the API. */
import type { Alert, Digest, Notification } from './notify.ts'

/** RFC 3339 with the milliseconds that APIs speak. */
export const timeText = (us: number): string => new Date(Math.floor(us / 1000)).toISOString()

const optional = <T>(name: string, value: T | undefined): Record<string, T> =>
  value === undefined ? {} : { [name]: value }

const alertBody = (alert: Alert): Record<string, unknown> => ({
  id: alert.id,
  device_id: alert.deviceId,
  rule_id: alert.ruleId,
  severity: alert.severity,
  state: alert.state,
  triggered_at: timeText(alert.triggeredAtUs),
  resolved_at: alert.resolvedAtUs === undefined ? null : timeText(alert.resolvedAtUs),
  since: timeText(alert.sinceUs),
  occurrences: alert.occurrences,
  condition: alert.condition,
  ...optional('metric', alert.metric),
  ...optional('unit', alert.unit),
  ...optional('value', alert.value),
  ...optional('threshold', alert.threshold),
  ...optional('value_before', alert.valueBefore),
})

const digestBody = (digest: Digest): Record<string, unknown> => ({
  count: digest.count,
  by_severity: digest.bySeverity,
  by_rule: digest.byRule,
  by_device: digest.byDevice,
  alert_ids: digest.alertIds,
})

export function notificationBody(notification: Notification): string {
  const { id, change, createdAtUs, alert, digest, link } = notification
  return JSON.stringify({
    id,
    change,
    created_at: timeText(createdAtUs),
    alert: alertBody(alert),
    ...(digest === undefined ? {} : { digest: digestBody(digest) }),
    link,
  })
}
