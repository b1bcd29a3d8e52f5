/** What API and command line ask of alerts, in any process of the database. */
import { WeirError } from '../errors/errors.ts'
import type { Channel, Notification } from '../notify/notify.ts'
import type { Clock, Random } from '../world/world.ts'
import type { SqlValue } from '../control/control.ts'
import type {
  AlertAction,
  AlertFilter,
  AlertRecord,
  Book,
  ChannelDefinition,
  Delivery,
  DeliveryFilter,
  HistoryEntry,
  Recipient,
} from './alerts.ts'
import { advance, recordAt, type AlertTimes, type LiveAlert } from './alert-machine.ts'
import {
  alertChange,
  deliveryOfMessage,
  deliveryOfNotice,
  historyChange,
  messageChange,
  toHistory,
  toLiveAlert,
  toMessage,
  toNotice,
} from './alert-rows.ts'
import type { AlertStore, AlertTable } from './alert-store.ts'

export interface DeskParts {
  clock: Clock
  random: Random
  store: AlertStore
  times: AlertTimes
  lifeUs: number
  recipients: Book<Recipient>
  openChannel: (definition: ChannelDefinition) => Promise<Channel>
  linkOf: (alertId: string | undefined) => string
  /** So that a runner in this process need not wait to find out. */
  onChange: () => void
}

/** Each time somebody else was faster; more is not chance. */
const TRIES_MAX = 20

export class AlertDesk {
  readonly #parts: DeskParts

  constructor(parts: DeskParts) {
    this.#parts = parts
  }

  /** Newest first, by id where they were triggered at the same time: what `after` goes on from. */
  async list(tenant: string, filter: AlertFilter): Promise<AlertRecord[]> {
    const { conditions, parameters } = conditionsOf(tenant, {
      device_id: filter.deviceId,
      rule_id: filter.ruleId,
      state: filter.state,
      severity: filter.severity,
    })
    const { triggeredAtUs = Number.MAX_SAFE_INTEGER, id = '' } = filter.after ?? {}
    const at = `$${parameters.length + 1}`
    const isBehind = `(triggered_at_us < ${at} OR triggered_at_us = ${at}
      AND id > $${parameters.length + 2})`
    const order = 'ORDER BY triggered_at_us DESC, id LIMIT'
    const clauses = `WHERE ${conditions} AND ${isBehind} ${order} ${filter.limit}`
    const rows = await this.#parts.store.select('alert_state', clauses, [
      ...parameters,
      triggeredAtUs,
      id,
    ])
    return this.#records(rows)
  }

  #records(rows: Parameters<typeof toLiveAlert>[0][]): AlertRecord[] {
    const nowUs = this.#parts.clock.nowUs()
    return rows.map((row) => recordAt(toLiveAlert(row), nowUs))
  }

  async find(tenant: string, id: string): Promise<AlertRecord | undefined> {
    const [alert] = await this.#parts.store.alerts(tenant, [id])
    return alert === undefined ? undefined : recordAt(alert, this.#parts.clock.nowUs())
  }

  async history(tenant: string, id: string): Promise<HistoryEntry[]> {
    const clauses = 'WHERE tenant = $1 AND alert_id = $2 ORDER BY number'
    const rows = await this.#parts.store.select('alert_history', clauses, [tenant, id])
    return rows.map(toHistory).toSorted((one, other) => one.atUs - other.atUs)
  }

  async deliveries(tenant: string, filter: DeliveryFilter): Promise<Delivery[]> {
    const { alertId, recipientId, state, limit } = filter
    const order = `ORDER BY created_at_us DESC, id LIMIT ${limit}`
    const own = conditionsOf(tenant, { alert_id: alertId, recipient_id: recipientId })
    const isNotice = state === undefined || state === 'waiting' || state === 'suppressed'
    const notices = isNotice
      ? await this.#select('notification', own, `${noticesIn(state)} ${order}`)
      : []
    const messages = state === 'suppressed' ? [] : await this.#messages(tenant, filter, order)
    const all = [
      ...notices.map(toNotice).map(deliveryOfNotice),
      ...messages.map(toMessage).map(deliveryOfMessage),
    ]
    return all.toSorted((one, other) => other.createdAtUs - one.createdAtUs).slice(0, limit)
  }

  #messages(tenant: string, { alertId, recipientId, state }: DeliveryFilter, order: string) {
    const own = conditionsOf(tenant, { recipient_id: recipientId, state })
    if (alertId === undefined) return this.#select('message', own, order)
    const parameters = [...own.parameters, alertId]
    const groups = `SELECT group_id FROM notification
      WHERE tenant = $1 AND alert_id = $${parameters.length} AND group_id IS NOT NULL`
    const conditions = `${own.conditions} AND group_id IN (${groups})`
    return this.#select('message', { conditions, parameters }, order)
  }

  #select(
    table: AlertTable,
    { conditions, parameters }: { conditions: string; parameters: SqlValue[] },
    clauses: string,
  ) {
    return this.#parts.store.select(table, `WHERE ${conditions} ${clauses}`, parameters)
  }

  async act(tenant: string, id: string, action: AlertAction, by: string): Promise<AlertRecord> {
    const { store, clock, times } = this.#parts
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const [before] = await store.alerts(tenant, [id])
      const nowUs = clock.nowUs()
      const { alert, history } = advance(before, { kind: action.do, action, by }, { nowUs, times })
      const changed = alert as LiveAlert
      const entries = history.map((entry, at) =>
        historyChange(changed.record, changed.entries + at + 1, entry),
      )
      const next = { ...changed, entries: changed.entries + history.length }
      if (!(await store.write([alertChange(next, nowUs, true), ...entries]))) continue
      this.#parts.onChange()
      return recordAt(next, nowUs)
    }
    throw new WeirError('CONTROL_WRITE_FAILED', 'others change this alert all the time')
  }

  async retry(tenant: string, deliveryId: string): Promise<Delivery> {
    const { store, clock, lifeUs } = this.#parts
    const row = await store.message(tenant, deliveryId)
    if (row?.state !== 'dead') throw new WeirError('ALERT_DELIVERY_UNKNOWN')
    const nowUs = clock.nowUs()
    const next = {
      ...row,
      ...{ state: 'waiting' as const, attempts: 0, nextTryAtUs: nowUs, problem: undefined },
      lifeEndsAtUs: nowUs + lifeUs,
    }
    // Somebody else had the same thought.
    if (!(await store.write([messageChange(next, true)]))) return this.retry(tenant, deliveryId)
    this.#parts.onChange()
    return deliveryOfMessage(next)
  }

  async test(tenant: string, recipientId: string): Promise<void> {
    const { recipients, openChannel, random } = this.#parts
    const kept = await recipients.find(tenant, recipientId)
    if (kept === undefined) throw new WeirError('API_NOT_FOUND', 'there is no such recipient')
    const key = `test-${Buffer.from(random.bytes(16)).toString('hex')}`
    const notification = this.#testOf(key)
    for (const definition of kept.value.channels) {
      const channel = await openChannel(definition)
      try {
        await channel.send(notification, key)
      } finally {
        channel.close()
      }
    }
  }

  #testOf(id: string): Notification {
    const { clock, linkOf } = this.#parts
    const nowUs = clock.nowUs()
    const alert = {
      ...{ id, deviceId: 'test', ruleId: 'test', severity: 'info', state: 'firing' as const },
      ...{ sinceUs: nowUs, triggeredAtUs: nowUs, occurrences: 1 },
      condition: 'somebody tries whether messages arrive; nothing is wrong',
    }
    return { id, change: 'opened', createdAtUs: nowUs, alert, link: linkOf(undefined) }
  }
}

function noticesIn(state: DeliveryFilter['state']): string {
  if (state === undefined) return `AND state <> 'sent'`
  return state === 'waiting' ? `AND state = 'waiting'` : `AND state = 'suppressed'`
}

/** Of those that are given, by column. */
function conditionsOf(tenant: string, equal: Record<string, string | undefined>) {
  const parameters: SqlValue[] = [tenant]
  const conditions = ['tenant = $1']
  for (const [column, value] of Object.entries(equal)) {
    if (value === undefined) continue
    parameters.push(value)
    conditions.push(`${column} = $${parameters.length}`)
  }
  return { conditions: conditions.join(' AND '), parameters }
}
