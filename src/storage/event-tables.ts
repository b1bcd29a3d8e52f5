/**
 * Anomalies and dead letters in the catalogue. Every id is deterministic, so a replay never doubles
 * one.
 */
import type { DatabaseSync, SQLOutputValue } from 'node:sqlite'
import { DEAD_LETTERS_PER_DEVICE_MAX } from '../batch/batch.ts'
import type { EventsFilter } from '../query/query.ts'
import { isIntact, withCrc } from '../sqlite/sqlite.ts'
import type { AnomalyEvent } from '../stream/stream.ts'
import { type KeptDeadLetter, type RecentEvents } from './recent-events.ts'
import type { SalvagedEvents } from './salvage-events.ts'

/** Anomalies that are kept of one device; beyond it the newest win. */
const ANOMALIES_PER_DEVICE_MAX = 10_000

export class EventTables {
  readonly #database: DatabaseSync
  /** Told of rows that fail their checksum and are left out of answers. */
  onDamage: (problem: string) => void = () => {}
  #deadLetterCount: number | undefined

  constructor(database: DatabaseSync) {
    this.#database = database
  }

  /** Within the caller's transaction. */
  insert(events: RecentEvents): void {
    this.#insertAnomalies(events.anomalies())
    this.#insertDeadLetters(events.deadLetters())
    this.#deadLetterCount = undefined
  }

  /** Of another catalogue, as they were there. Within the caller's transaction. */
  insertRows(rows: SalvagedEvents): void {
    for (const table of ['anomalies', 'dead_letters'] as const) {
      for (const row of rows[table]) {
        const values = Object.values(row)
        const places = values.map(() => '?').join()
        this.#database.prepare(`INSERT OR IGNORE INTO ${table} VALUES (${places})`).run(...values)
      }
    }
    this.#deadLetterCount = undefined
  }

  #insertAnomalies(anomalies: readonly AnomalyEvent[]): void {
    const insert = this.#database.prepare(
      'INSERT OR IGNORE INTO anomalies VALUES (?, ?, ?, ?, ?, ?)',
    )
    for (const event of anomalies) {
      const { id, tenant, deviceId, eventTimeUs } = event
      insert.run(...withCrc(id, tenant, deviceId, eventTimeUs, JSON.stringify(event)))
    }
    const trim = this.#database.prepare(
      `DELETE FROM anomalies WHERE tenant = ?1 AND device_id = ?2 AND event_time_us <
         (SELECT event_time_us FROM anomalies WHERE tenant = ?1 AND device_id = ?2
          ORDER BY event_time_us DESC LIMIT 1 OFFSET ${ANOMALIES_PER_DEVICE_MAX - 1})`,
    )
    for (const [tenant, deviceId] of devicesOf(anomalies)) trim.run(tenant, deviceId)
  }

  #insertDeadLetters(letters: readonly KeptDeadLetter[]): void {
    const insert = this.#database.prepare(
      'INSERT OR IGNORE INTO dead_letters VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)',
    )
    for (const { offset, index, tenant, deviceId, receivedAtUs, ...rest } of letters) {
      const { code, detail, payload } = rest
      insert.run(...withCrc(offset, index, tenant, deviceId, receivedAtUs, code, detail, payload))
    }
    const trim = this.#database.prepare(
      `DELETE FROM dead_letters WHERE tenant = ?1 AND device_id = ?2 AND ("offset", "index") <
         (SELECT "offset", "index" FROM dead_letters WHERE tenant = ?1 AND device_id = ?2
          ORDER BY "offset" DESC, "index" DESC
          LIMIT 1 OFFSET ${DEAD_LETTERS_PER_DEVICE_MAX - 1})`,
    )
    for (const [tenant, deviceId] of devicesOf(letters)) trim.run(tenant, deviceId)
  }

  anomalies(filter: EventsFilter): AnomalyEvent[] {
    return this.#newest('anomalies', 'event_time_us DESC', filter).map(
      ({ event }) => JSON.parse(String(event)) as AnomalyEvent,
    )
  }

  deadLetters(filter: EventsFilter): KeptDeadLetter[] {
    return this.#newest('dead_letters', '"offset" DESC, "index" DESC', filter).map((row) => ({
      offset: Number(row.offset),
      index: Number(row.index),
      tenant: String(row.tenant),
      deviceId: String(row.device_id),
      receivedAtUs: Number(row.received_at_us),
      code: String(row.code),
      detail: String(row.detail),
      payload: String(row.payload),
    }))
  }

  /** Counted anew after a commit only: statistics are asked often. */
  get deadLetterCount(): number {
    const count = this.#database.prepare('SELECT count(*) AS count FROM dead_letters')
    return (this.#deadLetterCount ??= Number(count.get()?.count))
  }

  forgetCounts(): void {
    this.#deadLetterCount = undefined
  }

  #newest(
    table: string,
    order: string,
    { tenant, deviceId, limit }: EventsFilter,
  ): Record<string, SQLOutputValue>[] {
    const ofDevice = deviceId === undefined ? '' : 'AND device_id = ?'
    const sql = `SELECT * FROM ${table} WHERE tenant = ? ${ofDevice} ORDER BY ${order} LIMIT ?`
    const values = deviceId === undefined ? [tenant, limit] : [tenant, deviceId, limit]
    return this.#database
      .prepare(sql)
      .all(...values)
      .filter((row) => {
        const isWhole = isIntact(row)
        if (!isWhole) this.onDamage(`a row of ${table} fails its checksum: ${firstValues(row)}`)
        return isWhole
      })
  }
}

const firstValues = (row: Record<string, SQLOutputValue>): string =>
  JSON.stringify(Object.values(row).slice(0, 2))

/** Each (tenant, device) once. */
function devicesOf(rows: readonly { tenant: string; deviceId: string }[]): [string, string][] {
  const devices = new Map(
    rows.map(({ tenant, deviceId }) => [`${tenant}\0${deviceId}`, [tenant, deviceId] as const]),
  )
  return [...devices.values()].map(([tenant, deviceId]) => [tenant, deviceId])
}
