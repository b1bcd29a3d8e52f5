/**
 * From the events of one rule on one device to what people deal with: the rule of live alerts,
 * which reopens one whose last episode is not long over.
 */
import type { RuleEvent } from '../stream/stream.ts'

/** After an end, for how long a breach is the same alert. */
const REOPEN_US = 300_000_000

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
  let endedUs = -Infinity
  for (const { state, triggeredAtUs, resolvedAtUs } of events) {
    if (state === 'resolved') {
      const newest = episodes.at(-1)
      if (newest?.triggeredAtUs === triggeredAtUs) newest.resolvedAtUs = resolvedAtUs
      endedUs = resolvedAtUs ?? triggeredAtUs
      continue
    }
    if (triggeredAtUs > endedUs + REOPEN_US) alertsUs.push(triggeredAtUs)
    episodes.push({ triggeredAtUs, resolvedAtUs: undefined })
  }
  return { episodes, alertsUs, flapping: 0 }
}
