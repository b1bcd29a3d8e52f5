/** What the stage of alerts tells about itself. */
import type { Registry } from '../observe/observe.ts'

/** From the change to its delivery; 1 ms to an hour. */
const DELAY_BOUNDS_SECONDS = [
  ...[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5],
  ...[1, 2.5, 5, 10, 30, 60, 300, 900, 3600],
]

export interface Watched {
  alerts: Readonly<Record<'firing' | 'resolved', number>>
  notices: () => number
}

export type AlertMetrics = ReturnType<typeof createAlertMetrics>

export function createAlertMetrics(registry: Registry) {
  const messages = (outcome: string, help: string, channel: string) =>
    registry.counter(`weir_alerts_messages_${outcome}_total`, help, { channel })
  const events = registry.counter('weir_alerts_events_total', 'Rule events that were taken.')
  const failures = registry.counter(
    'weir_alerts_writes_failed_total',
    'Writes of alerts that the database did not take.',
  )
  const delay = registry.histogram(
    'weir_alerts_delivery_delay_seconds',
    'From when a message was written to when its receiver took it over.',
    { bounds: DELAY_BOUNDS_SECONDS },
  )
  return {
    took: (count: number) => events.add(count),
    failed: () => failures.add(),
    delivered(channel: string, delaySeconds: number) {
      messages('delivered', 'Messages that receivers took over.', channel).add()
      delay.observe(delaySeconds)
    },
    tryFailed: (channel: string) =>
      messages('failed', 'Tries that receivers did not take.', channel).add(),
    died: (channel: string) =>
      messages('dead', 'Messages that became dead letters.', channel).add(),
    /** The reason without the id in it. */
    suppressed: (problem: string) =>
      registry
        .counter('weir_alerts_notifications_suppressed_total', 'Notifications that became none.', {
          reason: problem.startsWith('it ended') ? 'over' : (problem.split(' ')[0] ?? ''),
        })
        .add(),
    watch({ alerts, notices }: Watched) {
      for (const state of ['firing', 'resolved'] as const) {
        const help = 'Alerts in memory: those that fire, and those that may be reopened.'
        registry.gaugeOf('weir_alerts_alerts', help, () => alerts[state], { state })
      }
      const help = 'Notifications that wait for a token or the end of quiet hours.'
      registry.gaugeOf('weir_alerts_notifications_waiting', help, notices)
    },
    watchMessages(waiting: () => number) {
      const help = 'Messages that wait for their receiver.'
      registry.gaugeOf('weir_alerts_messages_waiting', help, waiting)
    },
  }
}
