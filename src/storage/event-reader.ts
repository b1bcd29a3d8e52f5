/** Anomalies and dead letters: the catalogue's, with memory's laid over by id. */
import { DEAD_LETTERS_PER_DEVICE_MAX } from '../batch/batch.ts'
import type { AnomalyRow, DeadLetterRow, EventsFilter } from '../query/query.ts'
import type { AnomalyEvent } from '../stream/stream.ts'
import type { EventTables } from './event-tables.ts'
import type { Generation } from './generation.ts'
import { type KeptDeadLetter, type RecentEvents } from './recent-events.ts'

const ROWS_MAX = 1000

export class EventReader {
  readonly #tables: EventTables
  readonly #generations: () => readonly Generation[]

  constructor(tables: EventTables, generations: () => readonly Generation[]) {
    this.#tables = tables
    this.#generations = generations
  }

  anomalies(filter: EventsFilter): AnomalyRow[] {
    const bounded = bound(filter)
    const rows = [
      ...this.#tables.anomalies(bounded),
      ...this.#recent(filter, (events) => events.anomalies()),
    ]
    return [...new Map(rows.map((event) => [event.id, event])).values()]
      .toSorted((a, b) => b.eventTimeUs - a.eventTimeUs || compare(a.id, b.id))
      .slice(0, bounded.limit)
      .map(toAnomalyRow)
  }

  deadLetters(filter: EventsFilter): DeadLetterRow[] {
    const bounded = bound(filter)
    const rows = [
      ...this.#tables.deadLetters(bounded),
      ...this.#recent(filter, (events) => events.deadLetters()),
    ].toSorted((a, b) => b.offset - a.offset || b.index - a.index)
    return newestPerDevice(rows).slice(0, bounded.limit).map(toDeadLetterRow)
  }

  deadLetterCount(): number {
    const recent = this.#generations().reduce((sum, one) => sum + one.events.deadLetterCount, 0)
    return this.#tables.deadLetterCount + recent
  }

  #recent<T extends { tenant: string; deviceId: string }>(
    { tenant, deviceId }: EventsFilter,
    list: (events: RecentEvents) => T[],
  ): T[] {
    return this.#generations()
      .flatMap(({ events }) => list(events))
      .filter((one) => one.tenant === tenant && (deviceId ?? one.deviceId) === one.deviceId)
  }
}

const bound = (filter: EventsFilter): EventsFilter => ({
  ...filter,
  limit: Math.max(0, Math.min(filter.limit, ROWS_MAX)),
})

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** Memory and catalogue each keep up to the limit; together a device has no more. */
function newestPerDevice(rows: readonly KeptDeadLetter[]): KeptDeadLetter[] {
  const counts = new Map<string, number>()
  return rows.filter(({ deviceId }) => {
    const count = (counts.get(deviceId) ?? 0) + 1
    counts.set(deviceId, count)
    return count <= DEAD_LETTERS_PER_DEVICE_MAX
  })
}

const toAnomalyRow = (event: AnomalyEvent): AnomalyRow => ({
  id: event.id,
  device_id: event.deviceId,
  metric: event.metric,
  detector_id: event.detectorId,
  ts: event.eventTimeUs / 1000,
  value: event.value,
  score: event.score,
})

const toDeadLetterRow = (letter: KeptDeadLetter): DeadLetterRow => ({
  id: `${letter.offset}-${letter.index}`,
  device_id: letter.deviceId,
  received_at: letter.receivedAtUs / 1000,
  code: letter.code,
  detail: letter.detail,
  payload: letter.payload,
})
