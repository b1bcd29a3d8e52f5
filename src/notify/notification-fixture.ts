/** A notification for tests, with what matters to one of them changed. */
import type { Alert, Notification } from './notify.ts'

/** 2026-11-24T03:00:00Z. */
export const NOW_US = 1_795_489_200_000_000

const alertOf = (change: Partial<Alert> = {}): Alert => ({
  id: 'alert-1',
  deviceId: 'pump-01',
  ruleId: 'hot',
  severity: 'critical',
  state: 'firing',
  sinceUs: NOW_US - 150_000_000,
  triggeredAtUs: NOW_US - 120_000_000,
  occurrences: 1,
  condition: 'temperature > 80',
  metric: 'temperature',
  unit: '°C',
  value: 93.2,
  threshold: 80,
  valueBefore: 71.4,
  ...change,
})

export const notificationOf = (
  alert: Partial<Alert> = {},
  change: Partial<Notification> = {},
): Notification => ({
  id: 'notification-1',
  change: 'opened',
  createdAtUs: NOW_US,
  alert: alertOf(alert),
  link: 'https://weir.example/alerts/alert-1',
  ...change,
})
