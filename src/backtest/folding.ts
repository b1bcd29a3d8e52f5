/**
 * From the events of one rule on one device to what people deal with, by the machine of live
 * alerts. Silences and what a parent's alert holds back belong to a moment, and are not asked for.
 */
import { advance, ALERT_TIMES, type LiveAlert } from '../alerts/alert-machine.ts'
import type { RuleEvent } from '../stream/stream.ts'

export interface Folded {
  episodes: { triggeredAtUs: number; resolvedAtUs: number | undefined }[]
  /** When each alert began. */
  alertsUs: number[]
  /** Alerts that came and went often enough to be folded for longer. */
  flapping: number
}

/** `events` are in their order. */
export function foldEpisodes(events: readonly RuleEvent[]): Folded {
  const episodes: Folded['episodes'] = []
  const alertsUs: number[] = []
  let flapping = 0
  let alert: LiveAlert | undefined
  for (const event of events) {
    const { state, triggeredAtUs, resolvedAtUs } = event
    const kind = state === 'firing' ? 'fired' : 'ended'
    if (kind === 'fired') episodes.push({ triggeredAtUs, resolvedAtUs: undefined })
    else episodes.at(-1)!.resolvedAtUs = resolvedAtUs
    const context = { nowUs: resolvedAtUs ?? triggeredAtUs, times: ALERT_TIMES }
    const next = advance(alert, { kind, event }, context).alert
    if (next?.record.id !== alert?.record.id) alertsUs.push(triggeredAtUs)
    else if (alert?.flapUntilUs === 0 && next!.flapUntilUs > 0) flapping++
    alert = next
  }
  return { episodes, alertsUs, flapping }
}
