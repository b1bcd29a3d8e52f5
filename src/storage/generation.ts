/** What was output since the last seal: visible to queries, durable only in the log. */
import type { Definitions } from '../batch/batch.ts'
import { RecentEvents } from './recent-events.ts'
import { RecentPartials } from './recent-partials.ts'
import { RecentReadings } from './recent-readings.ts'

export class Generation {
  readonly firstOffset: number
  readonly readings = new RecentReadings()
  readonly partials = new RecentPartials()
  readonly events = new RecentEvents()
  readonly definitions: Definitions = { series: [], texts: [] }

  constructor(firstOffset: number) {
    this.firstOffset = firstOffset
  }
}
