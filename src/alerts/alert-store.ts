/** What is kept of alerts, in the control database: read in pages, written as one. */
import type { Change, ControlDatabase, SqlRow, SqlValue } from '../control/control.ts'
import type { LiveAlert } from './alert-machine.ts'
import {
  toEpisode,
  toLiveAlert,
  toMessage,
  toNotice,
  toPace,
  type EpisodeRow,
  type MessageRow,
  type NoticeRow,
  type PaceRow,
} from './alert-rows.ts'

export type AlertTable = Extract<
  Change['table'],
  'alert_state' | 'alert_episode' | 'alert_history' | 'notification' | 'message' | 'recipient_pace'
>

const PAGE = 1000
/** Fewer than either database takes as parameters of one statement. */
const IDS_MAX = 500

export class AlertStore {
  readonly #database: ControlDatabase

  constructor(database: ControlDatabase) {
    this.#database = database
  }

  /** All or nothing; false when a row is of another revision. Errors: CONTROL_WRITE_FAILED. */
  write(changes: readonly Change[]): Promise<boolean> {
    return changes.length === 0 ? Promise.resolve(true) : this.#database.write(changes)
  }

  select(table: AlertTable, clauses: string, parameters: readonly SqlValue[]): Promise<SqlRow[]> {
    return this.#database.select(table, clauses, parameters)
  }

  /** Those that fire, and those that may be reopened: of which an event was within `withinUs`. */
  async openAlerts(withinUs: number): Promise<LiveAlert[]> {
    const [newest] = await this.select('alert_state', 'ORDER BY last_us DESC LIMIT 1', [])
    const fromUs = Number(newest?.['last_us'] ?? 0) - withinUs
    const rows = await this.#pages('alert_state', `(state = 'firing' OR last_us > $1)`, [fromUs])
    return rows.map(toLiveAlert)
  }

  async alerts(tenant: string, ids: readonly string[]): Promise<LiveAlert[]> {
    return (await this.#byIds('alert_state', tenant, ids)).map(toLiveAlert)
  }

  async actedAlerts(): Promise<LiveAlert[]> {
    const clauses = `WHERE is_acted = 1 ORDER BY tenant, id LIMIT ${PAGE}`
    return (await this.select('alert_state', clauses, [])).map(toLiveAlert)
  }

  async episodes(tenant: string, ids: readonly string[]): Promise<EpisodeRow[]> {
    return (await this.#byIds('alert_episode', tenant, ids)).map(toEpisode)
  }

  async waitingNotices(): Promise<NoticeRow[]> {
    return (await this.#pages('notification', `state = 'waiting'`, [])).map(toNotice)
  }

  async paces(): Promise<PaceRow[]> {
    const rows = await this.select('recipient_pace', '', [])
    return rows.map(toPace)
  }

  async message(tenant: string, id: string): Promise<MessageRow | undefined> {
    const [row] = await this.select('message', 'WHERE tenant = $1 AND id = $2', [tenant, id])
    return row === undefined ? undefined : toMessage(row)
  }

  async waitingMessages(): Promise<MessageRow[]> {
    return (await this.#pages('message', `state = 'waiting'`, [])).map(toMessage)
  }

  async actedMessages(): Promise<MessageRow[]> {
    const clauses = `WHERE is_acted = 1 ORDER BY tenant, id LIMIT ${PAGE}`
    return (await this.select('message', clauses, [])).map(toMessage)
  }

  async #byIds(table: AlertTable, tenant: string, ids: readonly string[]): Promise<SqlRow[]> {
    const found: SqlRow[] = []
    for (let from = 0; from < ids.length; from += IDS_MAX) {
      const some = ids.slice(from, from + IDS_MAX)
      const places = some.map((_, at) => `$${at + 2}`).join(', ')
      const rows = await this.select(table, `WHERE tenant = $1 AND id IN (${places})`, [
        tenant,
        ...some,
      ])
      found.push(...rows)
    }
    return found
  }

  async #pages(
    table: AlertTable,
    condition: string,
    parameters: readonly SqlValue[],
  ): Promise<SqlRow[]> {
    const found: SqlRow[] = []
    const [first, second] = [parameters.length + 1, parameters.length + 2]
    const clauses = `WHERE ${condition} AND (tenant, id) > ($${first}, $${second})
      ORDER BY tenant, id LIMIT ${PAGE}`
    for (;;) {
      const last = found.at(-1)
      const after = [String(last?.['tenant'] ?? ''), String(last?.['id'] ?? '')]
      const page = await this.select(table, clauses, [...parameters, ...after])
      found.push(...page)
      if (page.length < PAGE) return found
    }
  }
}
